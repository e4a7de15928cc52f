import { spawnSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { DataSource } from 'typeorm';
import { generateMigration } from '../../libs/rls-tenants/src/cli/generate-migration.js';
import { ownedEntities } from './generate-entities.js';
import { createProject, type Project } from './generate-support.js';

const { Note, Tag } = ownedEntities();

let project: Project;

beforeEach(async () => {
  project = await createProject();
});
afterEach(() => project.drop());

// The built bin, as `npm test` builds it: what users run.
const BIN = resolve('libs/rls-tenants/dist/cli/main.js');

describe('the bin', () => {
  it('writes the files, checks, and refuses what it does not understand, each with its exit code', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'generate-bin-'));
    const url = (path: string) => pathToFileURL(resolve(path)).href;
    const file = join(dir, 'data-source.mjs');
    await writeFile(
      file,
      `import { DataSource, Entity, PrimaryColumn } from '${url('node_modules/typeorm/index.mjs')}';
       import { TenantColumn, TenantScoped } from '${url('libs/rls-tenants/dist/index.js')}';
       class Note {}
       Entity('note')(Note);
       TenantScoped()(Note);
       TenantColumn({ type: 'uuid' })(Note.prototype, 'tenantId');
       PrimaryColumn('int')(Note.prototype, 'id');
       export default new DataSource({ type: 'postgres', url: '${project.url('migrator')}', entities: [Note] });`,
    );
    const run = (...args: string[]) =>
      spawnSync(process.execPath, [BIN, 'generate-migration', ...args, '--data-source', file], {
        encoding: 'utf8',
      });
    const roles = ['--app-role', project.roles.app, '--admin-role', project.roles.admin];
    try {
      const first = run('AddNotes', ...roles, '--dir', join(dir, 'migrations'));
      expect({ code: first.status, stderr: first.stderr }).toEqual({ code: 0, stderr: '' });
      const [written] = await readdir(join(dir, 'migrations'));
      expect(written).toMatch(/^\d{13}-.*-create-note\.ts$/);
      expect(await readFile(join(dir, 'migrations', written!), 'utf8')).toContain(
        "from 'nestjs-rls-tenants/migrations'",
      );
      expect(run('AddNotes', ...roles, '--check').status).toBe(1);
      expect(run('1st', ...roles)).toMatchObject({ status: 2, stderr: expect.stringMatching(/name "1st"/) });
      expect(run('x', ...roles, '--check', '--dry-run').status).toBe(2);
      expect(run(...roles).status).toBe(2);
    } finally {
      await rm(dir, { recursive: true });
    }
  });
});

describe('generate-migration', () => {
  it('--check ends with 1 and writes nothing where there is a difference', async () => {
    const { code, stdout, files } = await project.generate([Note, Tag], { check: true });
    expect(code).toBe(1);
    expect(stdout).toMatch(/differ:[\s\S]*my-change-create-note\.ts {2}in a transaction/);
    expect(files).toEqual([]);
  });

  it('--dry-run shows the files and writes none', async () => {
    const { code, stdout, files } = await project.generate([Note, Tag], { dryRun: true });
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /change-create-note\.ts\n[\s\S]*export class MyChangeCreateNote\d{13} extends RlsMigration/,
    );
    expect(files).toEqual([]);
  });

  it('generates nothing while a migration is pending', async () => {
    await project.generate([Note, Tag]);
    const { code, stderr, files } = await project.generate([Note, Tag]);
    expect(code).toBe(2);
    expect(stderr).toMatch(
      /would be generated again: MyChangeCreateTag\d+, .* are pending[\s\S]*migrate run/,
    );
    expect(files).toEqual([]);
  });

  it('wants to know the app role, and does not make one up', async () => {
    expect(await project.generate([Note, Tag], { appRole: undefined })).toMatchObject({ code: 2, files: [] });
    const { code, stderr } = await project.generate([Note, Tag], { appRole: 'nobody_at_all' });
    expect(code).toBe(2);
    expect(stderr).toMatch(/Role "nobody_at_all" does not exist/);
    const own = await project.generate([Note, Tag], { appRole: project.roles.migrator });
    expect(own.code).toBe(2);
    expect(own.stderr).toMatch(/connects as "migrator_\w+", the login that serves requests/);
  });

  it.each([
    ['synchronize', /synchronize: true/],
    ['dropSchema', /dropSchema: true/],
    ['migrationsRun', /migrationsRun: true/],
  ])('refuses a data source with %s before it connects', async (option, message) => {
    const dataSource = new DataSource({ type: 'postgres', url: project.url('migrator'), [option]: true });
    const initialize = jest.spyOn(dataSource, 'initialize');
    let stderr = '';
    const output = { out: () => undefined, err: (text: string) => void (stderr += text), colors: false };
    expect(await generateMigration(() => Promise.resolve(dataSource), 'x', { appRole: 'app' }, output)).toBe(
      2,
    );
    expect(stderr).toMatch(message);
    expect(initialize).not.toHaveBeenCalled();
  });
});

describe('tables of every kind', () => {
  it('in a schema of their own, and join tables in the EXISTS form', async () => {
    await project.as(
      'migrator',
      `CREATE SCHEMA store; GRANT USAGE ON SCHEMA store TO ${project.roles.app}, ${project.roles.admin}`,
    );
    const { Note, Tag } = ownedEntities({ schema: 'store', joinTables: 'exists' });
    await project.generate([Note, Tag]);
    expect(await project.lintErrors()).toEqual([]);
    await project.migrate();
    expect(await project.failures([Note, Tag])).toEqual([]);
    expect(await project.generate([Note, Tag])).toMatchObject({ code: 0, files: [] });
    expect(
      await project.asSuperuser(
        `SELECT FROM pg_policies WHERE schemaname = 'store' AND policyname = 'note_tags_tag_m2m_rls_policy'`,
      ),
    ).toHaveLength(1);
  });

  it('a join table in the EXISTS form gets its own column when the entity asks for it', async () => {
    await project.generate(Object.values(ownedEntities({ joinTables: 'exists' })));
    await project.migrate();
    const after = Object.values(ownedEntities());
    const { code, stderr } = await project.generate(after);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    await project.migrate();
    expect(await project.failures(after)).toEqual([]);
    expect(await project.generate(after)).toMatchObject({ code: 0, files: [] });
  });

  it('a protected table that no entity declares is said, and stays', async () => {
    await project.generate([Note, Tag]);
    await project.migrate();
    const { code, stdout, stderr } = await project.generate([Tag]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringMatching(/no difference/) });
    expect(stderr).toMatch(/Table "public\.note" is protected, and no entity declares it/);
    expect(stderr).toMatch(/"UQ_\w+" of table "tag" is kept: foreign key "FK_\w+" of table note_tags_tag/);
  });

  it('a column that is gone is not taken for the tenant column under its old name', async () => {
    await project.as(
      'migrator',
      'CREATE TABLE tag (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text NOT NULL, owner uuid NOT NULL)',
    );
    const { code, stderr } = await project.generate([Tag]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/rename column "owner" of table "tag" to its tenant column "tenant_id"/);
  });
});
