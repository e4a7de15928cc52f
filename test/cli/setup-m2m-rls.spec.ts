import { Module } from '@nestjs/common';
import {
  Column,
  DataSource,
  Entity,
  JoinTable,
  ManyToMany,
  PrimaryColumn,
  PrimaryGeneratedColumn,
  Tree,
  TreeParent,
  type DataSourceOptions,
} from 'typeorm';
import pg from 'pg';
import { generateMigration } from '../../libs/rls-tenants/src/cli/generate-migration.js';
import { MIGRATION_DATA_SOURCE, runCli, SetupM2mRlsCommand } from '../../libs/rls-tenants/src/cli/index.js';
import { setupM2mRls, type SetupM2mRlsOptions } from '../../libs/rls-tenants/src/cli/setup-m2m-rls.js';
import { isolateDataSource } from '../../libs/rls-tenants/src/connection/index.js';
import { tenantContext } from '../../libs/rls-tenants/src/context/index.js';
import { TenantColumn, TenantScoped } from '../../libs/rls-tenants/src/entities/index.js';
import {
  compositeUnique,
  installSeal,
  protectTable,
  sealKeys,
  sealTable,
} from '../../libs/rls-tenants/src/migrations/index.js';
import { catalogSnapshot } from '../migrations/catalog-snapshot.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { A, B } from '../support/notes.js';
import { newSealKey } from '../support/sealed-database.js';

type Entities = NonNullable<DataSourceOptions['entities']>;

/**
 * Notes have tags, related notes, and countries that everybody shares; the tags of a board are links whose table must
 * keep its shape. `scoped: false`: the same tables, as they were before anything about them said what a tenant is.
 */
function product(scoped: boolean) {
  const Scoped = (options?: Parameters<typeof TenantScoped>[0]): ClassDecorator =>
    scoped ? TenantScoped(options) : () => undefined;
  const Tenant = () => (scoped ? TenantColumn({ name: 'workspace' }) : Column('uuid', { name: 'workspace' }));

  @Entity('country')
  class Country {
    @PrimaryGeneratedColumn() id!: number;
  }

  @Entity('tag')
  @Scoped()
  class Tag {
    @PrimaryGeneratedColumn() id!: number;
    @Tenant() tenantId!: string;
  }

  @Entity('note')
  @Scoped()
  class Note {
    @PrimaryGeneratedColumn() id!: number;
    @Tenant() tenantId!: string;
    @ManyToMany(() => Tag, { onDelete: 'NO ACTION' }) @JoinTable() tags!: Tag[];
    @ManyToMany(() => Note) @JoinTable({ name: 'related' }) related!: Note[];
    @ManyToMany(() => Country) @JoinTable({ name: 'note_country' }) countries!: Country[];
  }

  @Entity('board')
  @Scoped({ joinTables: 'exists' })
  class Board {
    @PrimaryGeneratedColumn() id!: number;
    @Tenant() tenantId!: string;
    @ManyToMany(() => Tag) @JoinTable({ name: 'board_tag' }) tags!: Tag[];
  }

  return { Note, Tag, Board, all: [Country, Tag, Note, Board] as Entities };
}

const SCOPED = product(true);
const JOIN_TABLES = ['board_tag', 'note_country', 'note_tags_tag', 'related'];

/** Rooms have guests, and the keys of both begin with their tenant. */
function composite(scoped: boolean): Entities {
  const Scoped = (): ClassDecorator => (scoped ? TenantScoped() : () => undefined);
  const Tenant = () =>
    scoped ? TenantColumn({ primary: true }) : PrimaryColumn('uuid', { name: 'tenant_id' });

  @Entity('guest')
  @Scoped()
  class Guest {
    @Tenant() tenantId!: string;
    @PrimaryColumn('integer') id!: number;
  }

  @Entity('room')
  @Scoped()
  class Room {
    @Tenant() tenantId!: string;
    @PrimaryColumn('integer') id!: number;
    @ManyToMany(() => Guest) @JoinTable({ name: 'visit' }) guests!: Guest[];
  }
  return [Guest, Room];
}

/** Folders lie in folders; TypeORM keeps their closure in a table of its own. */
function tree(scoped: boolean): Entities {
  const Scoped = (): ClassDecorator => (scoped ? TenantScoped() : () => undefined);

  @Entity('folder')
  @Tree('closure-table')
  @Scoped()
  class Folder {
    @PrimaryGeneratedColumn() id!: number;
    @(scoped ? TenantColumn() : Column('uuid', { name: 'tenant_id' })) tenantId!: string;
    @TreeParent() parent!: Folder | null;
  }
  return [Folder];
}

describe('setup-m2m-rls', () => {
  let db: TestDatabase;
  let opened: DataSource[];

  /** What a connection would do to the schema by these options must not happen. */
  const migrator = (entities: Entities = SCOPED.all, url = db.url('migrator')) =>
    new DataSource({ type: 'postgres', url, entities, synchronize: true, logging: true });

  /** Makes the tables of entities; the data source is closed after the test. */
  const synchronize = async (entities: Entities) => {
    const options = { type: 'postgres', url: db.url('migrator'), entities, synchronize: true } as const;
    const dataSource = await new DataSource(options).initialize();
    opened.push(dataSource);
    return dataSource;
  };

  /** The tables of the entities are protected, the join tables are bare; both tenants have a link in each. */
  beforeEach(async () => {
    db = await createTestDatabase();
    opened = [];
    const before = await synchronize(product(false).all);
    const queryRunner = before.createQueryRunner();
    for (const table of ['note', 'tag', 'board']) {
      const tenant = { table, tenantColumn: 'workspace' };
      const roles = { appRole: db.roles.app, adminRole: db.roles.admin };
      if (table !== 'board') await compositeUnique({ ...tenant, columns: ['id'] }).up(queryRunner);
      await protectTable({ ...tenant, ...roles, tenantIdType: 'uuid' }).up(queryRunner);
    }
    await db.as(
      'migrator',
      `GRANT SELECT, INSERT, UPDATE, DELETE ON ${JOIN_TABLES.join(', ')}, country TO ${db.roles.app}`,
    );
    await db.asSuperuser(
      `INSERT INTO country DEFAULT VALUES;
       INSERT INTO tag (workspace) VALUES ('${A}'), ('${B}'); INSERT INTO board (workspace) VALUES ('${A}'), ('${B}');
       INSERT INTO note (workspace) VALUES ('${A}'), ('${B}');
       INSERT INTO note_tags_tag VALUES (1, 1), (2, 2); INSERT INTO related VALUES (1, 1), (2, 2);
       INSERT INTO note_country VALUES (1, 1), (2, 1); INSERT INTO board_tag VALUES (1, 1), (2, 2)`,
    );
  });
  afterEach(async () => {
    await Promise.all(opened.map((dataSource) => dataSource.destroy()));
    await db.drop();
  });

  const run = async (options: SetupM2mRlsOptions = {}, load = () => Promise.resolve(migrator())) => {
    const outcome = { code: -1, stdout: '', stderr: '' };
    const output = {
      colors: false,
      out: (text: string) => void (outcome.stdout += text),
      err: (text: string) => void (outcome.stderr += text),
    };
    const roles = { appRole: db.roles.app, adminRole: db.roles.admin };
    outcome.code = await setupM2mRls(load, { ...roles, ...options }, output);
    return outcome;
  };

  const application = async () => {
    const dataSource = new DataSource({ type: 'postgres', url: db.url('app'), entities: SCOPED.all });
    opened.push(await dataSource.initialize());
    return isolateDataSource(dataSource, { tenantIdType: 'uuid', adminRole: db.roles.admin });
  };
  /** How many links the app role reads as tenant A. */
  const linksOfA = async () => {
    const counts: Record<string, number> = {};
    for (const table of JOIN_TABLES) {
      const [row] = await db.as<{ links: number }>(
        'app',
        `SELECT set_config('rls.current_tenant', '${A}', true); SELECT count(*)::int AS links FROM ${table}`,
      );
      counts[table] = row!.links;
    }
    return counts;
  };
  const every = (links: number) => Object.fromEntries(JOIN_TABLES.map((table) => [table, links]));

  it('closes the leak of bare join tables, each in the form that its entities declare', async () => {
    expect(await linksOfA()).toEqual(every(2));
    const { code, stdout, stderr } = await run();
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toBe(
      [
        'board_tag: protected by policies that look its sides up in "board" and "tag"',
        'note_country: protected by a tenant column "workspace" of its own, filled from "note" (2 links), composite foreign keys and policies',
        'note_tags_tag: protected by a tenant column "workspace" of its own, filled from "note" (2 links), composite foreign keys and policies',
        'related: protected by a tenant column "workspace" of its own, filled from "note" (2 links), composite foreign keys and policies',
        'Protected 4 join tables, 0 already protected, 0 not.\n',
      ].join('\n'),
    );
    expect(await linksOfA()).toEqual(every(1));
    // Control: nothing was lost, and every link has its tenant.
    for (const table of JOIN_TABLES) expect(await db.asSuperuser(`SELECT FROM ${table}`)).toHaveLength(2);
    expect(await db.asSuperuser('SELECT workspace FROM related ORDER BY 1')).toEqual([
      { workspace: A },
      { workspace: B },
    ]);
  });

  it('leaves what the application works with, and generate-migration finds nothing more to do', async () => {
    await run();
    const dataSource = await application();
    const links = dataSource.getRepository(SCOPED.Note);
    await tenantContext(A, () =>
      dataSource.createQueryBuilder().relation(SCOPED.Note, 'related').of(1).remove(1),
    );
    await tenantContext(A, () =>
      dataSource.createQueryBuilder().relation(SCOPED.Note, 'related').of(1).add(1),
    );
    await expect(
      tenantContext(A, () => dataSource.createQueryBuilder().relation(SCOPED.Note, 'tags').of(1).add(2)),
    ).rejects.toMatchObject({ driverError: { code: '23503' } });
    expect(await tenantContext(A, () => links.find({ relations: { tags: true } }))).toMatchObject([
      { id: 1, tags: [{ id: 1 }] },
    ]);
    let said = '';
    const output = {
      colors: false,
      out: (text: string) => void (said += text),
      err: (text: string) => void (said += text),
    };
    const dataSourceToCompare = () => Promise.resolve(migrator().setOptions({ synchronize: false }));
    const roles = { appRole: db.roles.app, adminRole: db.roles.admin };
    const code = await generateMigration(dataSourceToCompare, 'Nothing', { ...roles, check: true }, output);
    expect({ code, said }).toEqual({
      code: 0,
      said: 'There is no difference between the entities and the database.\n',
    });
  });

  it('protects by sealed policies where the tables are sealed', async () => {
    const source = await new DataSource({ type: 'postgres', url: db.url('migrator') }).initialize();
    opened.push(source);
    const queryRunner = source.createQueryRunner();
    const roles = { appRole: db.roles.app, adminRole: db.roles.admin };
    for (const operation of [
      installSeal(roles),
      sealKeys({ keys: () => [newSealKey('first')] }),
      ...['note', 'tag', 'board'].map((table) =>
        sealTable({ table, tenantColumn: 'workspace', tenantIdType: 'uuid' }),
      ),
    ]) {
      await operation.up(queryRunner);
    }
    expect(await run()).toMatchObject({ code: 0, stderr: '' });
    await expect(linksOfA()).rejects.toMatchObject({
      code: '42501',
      message: expect.stringMatching(/^Seal refused/),
    });
    const sealed = await db.asSuperuser(
      `SELECT DISTINCT tablename FROM pg_policies WHERE tablename = ANY ($1) AND qual LIKE '%rls.current_tenant()%'`,
      [JOIN_TABLES],
    );
    expect(sealed).toHaveLength(JOIN_TABLES.length);
  });

  it('changes nothing when it is run again', async () => {
    await run();
    const before = await catalogSnapshot(db);
    const { code, stdout } = await run();
    expect(code).toBe(0);
    expect(stdout).toContain('related: is protected already, left as it is\n');
    expect(stdout).toContain('Protected 0 join tables, 4 already protected, 0 not.\n');
    expect(await catalogSnapshot(db)).toEqual(before);
  });

  it('--dry-run shows the SQL that would be run, changes nothing and waits for nobody', async () => {
    const before = await catalogSnapshot(db);
    const writer = new pg.Client({ connectionString: db.url('app') });
    await writer.connect();
    try {
      await writer.query('BEGIN; DELETE FROM related');
      const { code, stdout } = await run({ dryRun: true });
      expect(code).toBe(0);
      expect(stdout).toContain('Dry run: would protect 4 join tables, 0 already protected, 0 not.\n');
      expect(await catalogSnapshot(db)).toEqual(before);
      await writer.query('ROLLBACK');
      // It is what is run.
      const sql = (text: string) => text.split('\n').filter((line) => line.startsWith('  '));
      expect(sql(stdout)).toContain('  ALTER TABLE "related" FORCE ROW LEVEL SECURITY;');
      const applied = await run({ verbose: true });
      expect(sql(applied.stdout).slice(0, sql(stdout).length)).toEqual(sql(stdout));
    } finally {
      await writer.end();
    }
  });

  it('--verbose prints the live policies of every join table', async () => {
    const { stdout } = await run({ verbose: true });
    expect(stdout).toMatch(/\nrelated: protected by .*\n {2}ALTER TABLE "related" ADD/);
    expect(stdout).toMatch(
      /\npublic\.board_tag\n[^]*board_tag_m2m_rls_policy \[ALL\] TO public\n {4}USING \(\(EXISTS [^]*\n {4}WITH CHECK \(\(EXISTS /,
    );
    expect(stdout).toContain(
      `related_admin_policy [ALL] TO ${db.roles.admin}\n    USING true\n    WITH CHECK true\n`,
    );
  });

  it('says why a table is left bare, and protects the others', async () => {
    // A link across tenants, a table protected in part, a side without its unique constraint.
    await db.asSuperuser(
      `INSERT INTO related VALUES (1, 2); ALTER TABLE board_tag ENABLE ROW LEVEL SECURITY;
       ALTER TABLE tag DROP CONSTRAINT "${await uniqueOf('tag')}"`,
    );
    for (const dryRun of [true, false]) {
      const { code, stdout, stderr } = await run({ dryRun });
      expect(code).toBe(1);
      expect(stderr).toMatch(/^board_tag: not protected\. It is not bare[^]*RLS080[^]*generate-migration/m);
      expect(stderr).toMatch(
        /^note_tags_tag: not protected\. Its side "tag" has no unique constraint on \(workspace, id\)/m,
      );
      expect(stderr).toMatch(/^related: not protected\. 1 of its links joins rows of different tenants/m);
      expect(stdout).toMatch(/^note_country: (?:would be )?protected/m);
    }
    expect(await columnsOf('related')).toEqual(['noteId_1', 'noteId_2']);
    expect(await columnsOf('note_country')).toContain('workspace');
  });

  it('protects nothing that it may not alter, or that is not what the entities join', async () => {
    await db.asSuperuser(
      'ALTER TABLE note_country OWNER TO CURRENT_USER; DROP TABLE related; ALTER TABLE tag RENAME COLUMN workspace TO space',
    );
    const { code, stderr } = await run({ dryRun: true });
    expect(code).toBe(1);
    expect(stderr.split('\n').filter((line) => !line.startsWith('  '))).toEqual([
      'board_tag: not protected. Its side "tag" has no tenant column "workspace".',
      expect.stringMatching(
        new RegExp(`^note_country: not protected. It belongs to ".*", and .* as "${db.roles.migrator}".$`),
      ),
      'note_tags_tag: not protected. Its side "tag" has no tenant column "workspace".',
      'related: not protected. It does not exist.',
      '',
    ]);
  });

  it('protects the closure table of a tree', async () => {
    const queryRunner = (await synchronize(tree(false))).createQueryRunner();
    await compositeUnique({ table: 'folder', columns: ['id'] }).up(queryRunner);
    await db.asSuperuser(
      `INSERT INTO folder (tenant_id) VALUES ('${A}'), ('${B}'); INSERT INTO folder_closure VALUES (1, 1), (2, 2)`,
    );
    const { code, stderr } = await run({}, () => Promise.resolve(migrator(tree(true))));
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const links = await db.as(
      'app',
      `SELECT set_config('rls.current_tenant', '${B}', true); SELECT * FROM folder_closure`,
    );
    expect(links).toEqual([{ id_ancestor: 2, id_descendant: 2, tenant_id: B }]);
    expect(await db.asSuperuser('SELECT FROM folder_closure')).toHaveLength(2);
  });

  it('leaves keys that hold the tenant to generate-migration', async () => {
    await synchronize(composite(false));
    const { code, stderr } = await run({}, () => Promise.resolve(migrator(composite(true))));
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^visit: not protected\. It references "room" by a primary key that holds the tenant/,
    );
  });

  it('gives up on a table that is in use, and changes nothing of it', async () => {
    const writer = new pg.Client({ connectionString: db.url('app') });
    await writer.connect();
    try {
      await writer.query('BEGIN; DELETE FROM related');
      const { code, stderr } = await run();
      expect(code).toBe(1);
      expect(stderr).toMatch(
        /^related: not protected\. .*lock timeout\n {2}Nothing of it was changed\. Somebody is using it/m,
      );
      await writer.query('ROLLBACK');
      expect(await run()).toMatchObject({
        code: 0,
        stdout: expect.stringContaining('Protected 1 join table, 3 already protected, 0 not.'),
      });
    } finally {
      await writer.end();
    }
  });

  it('does not wait for a table that somebody locks, in a dry run neither', async () => {
    const other = new pg.Client({ connectionString: db.url('migrator') });
    await other.connect();
    try {
      await other.query('BEGIN; LOCK TABLE related IN ACCESS EXCLUSIVE MODE');
      const { code, stdout, stderr } = await run({ dryRun: true });
      expect(code).toBe(1);
      expect(stdout).toContain('Dry run: would protect 3 join tables, 0 already protected, 1 not.');
      expect(stderr).toMatch(/^related: not protected\. .*lock timeout\n.*run this again\.\n$/);
    } finally {
      await other.end();
    }
  });

  it('tells which links leak already, and protects their table once they are gone', async () => {
    await db.asSuperuser('INSERT INTO related VALUES (1, 2)');
    const { stderr } = await run();
    const [, sql] = /as the migration role: (SELECT .*);\n/.exec(stderr)!;
    expect(await db.as('migrator', sql!)).toEqual([{ noteId_1: 1, noteId_2: 2 }]);
    await db.as('migrator', 'DELETE FROM related WHERE "noteId_2" <> "noteId_1"');
    expect((await run()).code).toBe(0);
    expect(await linksOfA()).toEqual(every(1));
  });

  it('protects a table that has its tenant column, unless links may be without a tenant', async () => {
    await db.as(
      'migrator',
      `ALTER TABLE related ADD workspace uuid; ALTER TABLE note_country ADD workspace uuid NOT NULL DEFAULT '${A}';
       ALTER TABLE note_country ALTER workspace DROP DEFAULT`,
    );
    const { code, stdout, stderr } = await run();
    expect(code).toBe(1);
    expect(stdout).toContain('note_country: protected by policies on its tenant column "workspace"\n');
    expect(stderr).toMatch(/^related: not protected\. Its tenant column "workspace" may be NULL/m);
    expect(await linksOfA()).toMatchObject({ related: 2, note_country: 2, note_tags_tag: 1 });
    await db.asSuperuser(`UPDATE note_country SET workspace = '${B}' WHERE "noteId" = 2`);
    expect(await linksOfA()).toMatchObject({ note_country: 1 });
  });

  it('refuses to fill more links than a lock may last', async () => {
    await db.asSuperuser(
      'SET session_replication_role = replica; INSERT INTO related SELECT 1, n FROM generate_series(10, 100010) AS n',
    );
    const before = await catalogSnapshot(db);
    const { code, stderr } = await run({ dryRun: true });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^related: not protected\. It holds more than 100000 links[^]*join-tables\.md/m);
    expect(await catalogSnapshot(db)).toEqual(before);
  });

  it('does not start without the roles, or where there is nothing to protect', async () => {
    expect(await run({ appRole: undefined })).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--app-role'),
    });
    expect(await run({ appRole: 'nobody' })).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('"nobody" does not exist'),
    });
    const app = () => Promise.resolve(migrator(SCOPED.all, db.url('app')));
    expect(await run({}, app)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('the login that serves requests'),
    });
    const none = () => Promise.resolve(migrator(product(false).all));
    expect(await run({}, none)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('no tenant-scoped entity'),
    });
    const tags = () => Promise.resolve(migrator([SCOPED.Tag]));
    expect(await run({}, tags)).toMatchObject({
      code: 0,
      stdout: 'There are no join tables among the tenant-scoped entities.\n',
    });
    const away = () => Promise.resolve(migrator(SCOPED.all, 'postgres://app@127.0.0.1:1/nowhere'));
    expect(await run({}, away)).toMatchObject({ code: 2, stderr: expect.stringContaining('ECONNREFUSED') });
  });

  it('is a command of the bin', async () => {
    const load = () => Promise.resolve(migrator());
    @Module({ providers: [SetupM2mRlsCommand, { provide: MIGRATION_DATA_SOURCE, useValue: load }] })
    class Commands {}
    const written = jest.spyOn(process.stdout, 'write').mockReturnValue(true);
    try {
      const roles = ['--app-role', db.roles.app, '--admin-role', db.roles.admin];
      expect(await runCli(Commands, ['setup-m2m-rls', ...roles, '--dry-run'])).toBe(0);
      expect(written.mock.calls.join('')).toContain('Dry run: would protect 4 join tables');
      expect(await runCli(Commands, ['setup-m2m-rls', '--help'])).toBe(0);
      expect(written.mock.calls.join('')).toContain('Exit codes: 0 every join table is protected');
    } finally {
      written.mockRestore();
    }
    expect(await linksOfA()).toEqual(every(2));
  });

  const columnsOf = async (table: string) =>
    (
      await db.asSuperuser<{ name: string }>(
        'SELECT attname::text AS name FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum',
        [table],
      )
    ).map(({ name }) => name);

  const uniqueOf = async (table: string) =>
    (
      await db.asSuperuser<{ name: string }>(
        `SELECT conname::text AS name FROM pg_constraint WHERE conrelid = $1::regclass AND contype = 'u'`,
        [table],
      )
    )[0]!.name;
});
