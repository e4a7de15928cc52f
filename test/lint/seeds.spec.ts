import { readdirSync, readFileSync } from 'node:fs';
import { lintMigrations } from '../../libs/rls-tenants/src/lint/index.js';

const OPTIONS = {
  tenantTables: ['finding', 'resource', 'attack_paths_scan'],
  partitionedTables: ['finding'],
};

/** Rule and line of each finding, by file, with and without squawk's rules. */
async function lintFolder(folder: string, squawk: boolean) {
  const inputs = readdirSync(folder).map((file) => ({
    file,
    text: readFileSync(`${folder}/${file}`, 'utf8'),
  }));
  const { findings } = await lintMigrations(inputs, { ...OPTIONS, squawk });
  return Object.fromEntries(
    inputs.map(({ file }) => [
      file.replace(/^\d+-|\.ts$/g, ''),
      findings.filter((finding) => finding.file === file).map(({ ruleId, line }) => `${ruleId}:${line}`),
    ]),
  );
}

describe("the seed document's examples in TypeORM", () => {
  it('the bad ones are flagged, each with its rule', async () => {
    expect(await lintFolder('test/lint/fixtures/seeds-bad', false)).toEqual({
      'index-with-table': ['MIG086:14'],
      'three-tables': [
        'MIG086:14',
        'MIG020:15',
        'MIG084:15',
        'MIG087:15',
        'MIG020:16',
        'MIG022:17',
        'MIG087:17',
      ],
      'partitioned-index': ['MIG022:7'],
      'concurrently-in-transaction': ['MIG001:7', 'MIG009:7', 'MIG004:12'],
      'inline-backfill': ['MIG058:6', 'MIG088:6'],
      'case-policy': ['MIG052:7'],
    });
  });

  it('the good ones are clean, by our rules and by those of squawk', async () => {
    const clean = await lintFolder('test/lint/fixtures/seeds-good', true);
    expect(Object.keys(clean)).toHaveLength(6);
    expect(Object.values(clean).flat()).toEqual([]);
  });
});

describe('what TypeORM generates for the entities of the demo', () => {
  const FOLDER = 'apps/demo/src/migrations';
  const SCHEMA = '1764000000000-create-schema.ts';
  const PROTECTION = '1764000000001-protect-tenants.ts';
  const read = (file: string) => ({ file, text: readFileSync(`${FOLDER}/${file}`, 'utf8') });

  it('breaks the rules that TypeORM does not know: protection at once, indexes apart, unique within a tenant', async () => {
    const { findings, coverage } = await lintMigrations([read(SCHEMA), read(PROTECTION)], { squawk: false });
    const lines = read(SCHEMA).text.split('\n');
    const shown = findings.map(({ ruleId, file, line }) => {
      expect(file).toBe(SCHEMA);
      return `${ruleId} ${/CREATE (?:TABLE|INDEX) "(\w+)"/.exec(lines[line - 1]!)?.[1]}`;
    });
    expect(shown.sort()).toEqual([
      // The tables stand without policies until the second migration has run.
      'MIG050 app_user',
      'MIG050 project',
      'MIG050 tag',
      'MIG050 task',
      'MIG050 task_tag',
      // Meant: people sign in by their address before their workspace is known.
      'MIG061 app_user',
      // Every index, as seen from its table and from the other tables' indexes.
      'MIG086 IDX_309b309e721fad5dabce5affc4',
      'MIG086 task_tenant_project_idx',
      'MIG087 IDX_309b309e721fad5dabce5affc4',
    ]);
    // Foreign keys, checks and columns of new tables lock nobody out, and the keys contain the tenant: no finding.
    expect(coverage).toMatchObject({ migrations: 2, operations: 6, unanalyzable: 0 });
  });

  it("says which later migration protects the tables, and the library's migration is clean", async () => {
    const { findings } = await lintMigrations([{ ...read(SCHEMA), lint: false }, read(PROTECTION)], {
      squawk: false,
    });
    expect(findings).toEqual([]);
    const [first] = (await lintMigrations([read(SCHEMA), read(PROTECTION)], { squawk: false })).findings;
    expect(first!.message).toContain('is protected by ProtectTenants1764000000001 only');
  });
});
