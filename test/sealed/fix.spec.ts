import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DataSource, type MigrationInterface } from 'typeorm';
import { checkRls } from '../../libs/rls-tenants/src/cli/check-rls.js';
import { tenantTablesOf } from '../../libs/rls-tenants/src/entities/index.js';
import { migrationDataSourceOptions, MigrationRunner } from '../../libs/rls-tenants/src/migrations/index.js';
import { alterPolicySql, tenantTablePredicate } from '../../libs/rls-tenants/src/policies/index.js';
import { B, NOTES } from '../support/notes.js';
import { createSealedDatabase, type SealedDatabase } from '../support/sealed-database.js';

describe('check-rls --fix on a sealed database', () => {
  let db: SealedDatabase;
  let directory: string;

  beforeAll(async () => {
    db = await createSealedDatabase(NOTES);
    directory = await mkdtemp(join(tmpdir(), 'check-rls-fix-sealed-'));
    // As before the move.
    for (const table of tenantTablesOf(await db.plain())) {
      const suffix = table.kind === 'entity' ? 'tenant_isolation_policy' : 'm2m_rls_policy';
      await db.as(
        'migrator',
        alterPolicySql(table.table, `${table.table}_${suffix}`, tenantTablePredicate(table)),
      );
    }
    await db.as('migrator', 'ALTER FUNCTION rls.current_tenant() RESET search_path');
  });
  afterAll(async () => {
    await rm(directory, { recursive: true });
    await db.drop();
  });

  const check = async (fix?: string) => {
    let stdout = '';
    const output = { colors: false, out: (text: string) => void (stdout += text), err: () => {} };
    await checkRls(() => db.plain(), { adminRole: db.roles.admin, format: 'json', fix }, output);
    const { findings } = JSON.parse(stdout) as { findings: { ruleId: string; severity: string }[] };
    return findings.filter(({ severity }) => severity !== 'info').map(({ ruleId }) => ruleId);
  };
  const run = async (files: readonly string[]) => {
    const modules = await Promise.all(
      files.map((file) => import(join(directory, file)) as Promise<Record<string, unknown>>),
    );
    const migrations = modules.flatMap((one) => Object.values(one)) as (new () => MigrationInterface)[];
    const application = { type: 'postgres', url: db.url('app'), entities: NOTES, migrations } as const;
    const source = await new DataSource(
      migrationDataSourceOptions(application, { username: db.roles.migrator, password: 'test' }),
    ).initialize();
    try {
      await new MigrationRunner(source, { appRole: db.roles.app }).run();
    } finally {
      await source.destroy();
    }
  };

  it('writes what is broken into one file and the move of the tables into another, and both run', async () => {
    const before = await check(directory);
    expect(before).toContain('RLS061');
    expect(before.filter((id) => id === 'RLS064')).toHaveLength(4);
    const files = (await readdir(directory)).sort();
    expect(files).toEqual([expect.stringContaining('fix-isolation'), expect.stringContaining('seal-tables')]);
    const [repair, move] = await Promise.all(files.map((file) => readFile(join(directory, file), 'utf8')));
    expect(repair).toContain('upgradeSeal()');
    expect(repair).not.toContain('sealTable');
    expect(move).toContain("sealTable({ table: 'public.note'");
    expect(move).toContain("sealJoinTable({ joinTable: 'public.note_tags_tag'");

    await run(files.slice(0, 1));
    expect(new Set(await check())).toEqual(new Set(['RLS064']));
    await run(files);
    expect(await check()).toEqual([]);
    await expect(
      db.as(
        'app',
        `SET rls.current_tenant = '${B}'; INSERT INTO note (tenant_id, body) VALUES ('${B}', 'x')`,
      ),
    ).rejects.toThrow('Seal refused');
  });
});
