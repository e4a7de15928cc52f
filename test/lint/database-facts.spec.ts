import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Column, DataSource, Entity, PrimaryColumn } from 'typeorm';
import { PostgresQueryRunner } from 'typeorm/driver/postgres/PostgresQueryRunner.js';
import { TenantColumn, TenantScoped } from 'nestjs-rls-tenants';
import { RlsCliModule, runCli } from '../../libs/rls-tenants/src/cli/index.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { lintText, migration, places } from './lint-support.js';

@TenantScoped()
@Entity('invoice')
class Invoice {
  @PrimaryColumn('int') id!: number;
  @TenantColumn({ name: 'org_id' }) orgId!: string;
  @Column('text') title!: string;
}

const IMPORTS = "import { TableColumn } from 'typeorm';";
const LONGER =
  "await queryRunner.changeColumn('note', 'title', new TableColumn({ name: 'title', type: 'varchar', length: '20' }));";

let database: TestDatabase;
let dataSource: DataSource;

beforeAll(async () => {
  database = await createTestDatabase();
  dataSource = await new DataSource({ type: 'postgres', url: database.url('migrator') }).initialize();
  await dataSource.query(`
    CREATE SCHEMA billing;
    CREATE TABLE note (id int PRIMARY KEY, tenant_id uuid, title varchar(10) NOT NULL);
    CREATE TABLE plain (id int PRIMARY KEY);
    CREATE TABLE event (id int, tenant_id uuid) PARTITION BY LIST (tenant_id);
    CREATE TABLE billing.q1 PARTITION OF event DEFAULT;
    CREATE TABLE event_2026 (id int);
    CREATE TABLE invoice (id int PRIMARY KEY, org_id uuid, title text);
    CREATE TABLE migrations (id serial, timestamp bigint, name text);
    INSERT INTO migrations (timestamp, name) VALUES (1760000000000, 'Applied1760000000000')`);
});
afterAll(async () => {
  await dataSource.destroy();
  await database.drop();
});

/** Lints with what the database knows, and without it. */
async function both(up: string, from = dataSource): Promise<{ with: string[]; without: string[] }> {
  const text = `${IMPORTS}${migration(up)}`;
  return {
    with: places(await lintText(text, { dataSource: from })),
    without: places(await lintText(text)),
  };
}

const statement = (sql: string) => `await queryRunner.query(\`${sql}\`);`;

describe('a database that the linter may read tells', () => {
  it('which tables have a tenant column', async () => {
    const sql = (table: string) => statement(`UPDATE ${table} SET id = 1 WHERE id = 2`);
    expect(await both(sql('note'))).toEqual({ with: ['MIG058:3:26'], without: [] });
    expect((await both(sql('plain'))).with).toEqual([]);
  });

  it('which tables are partitioned', async () => {
    const index = statement('CREATE INDEX i ON event (tenant_id)');
    expect(await both(index)).toEqual({ with: ['MIG022:3:26'], without: ['MIG020:3:26'] });
  });

  it('whose partition a table is, whatever its name seems to say', async () => {
    const options = { partitionedTables: ['event'] };
    const up = (table: string) =>
      migration(
        statement(`CREATE INDEX CONCURRENTLY a ON event_2026 (id)`) +
          statement(`CREATE INDEX CONCURRENTLY b ON ${table} (id)`),
        undefined,
        '\nreadonly transaction = false;',
      );
    const rules = async (table: string, from?: DataSource) =>
      places(await lintText(up(table), { ...options, dataSource: from })).filter((one) =>
        one.startsWith('MIG087'),
      );
    // By its name event_2026 is taken for a partition of event; the database knows better.
    expect(await rules('event_2027')).toEqual([]);
    expect(await rules('event_2027', dataSource)).toHaveLength(1);
  });

  it('what a call of the query runner changes, if its migration has not run yet', async () => {
    expect((await both(LONGER)).with.map((one) => one.slice(0, 6))).toContain('MIG038');
    expect((await both(LONGER)).without).toEqual(['MIG013:3:7']);
    const applied = migration(LONGER).replace('class Example', 'class Applied');
    const pending = migration(LONGER).replace('1760000000000', '1760000000001');
    const found = places(await lintText(`${IMPORTS}${applied}${pending}`, { dataSource }));
    expect(found.filter((one) => /MIG013|MIG038/.test(one))).toEqual(['MIG013:3:7', 'MIG038:11:7']);
  });

  it('in one transaction that only reads and is rolled back', async () => {
    const sent = jest.spyOn(PostgresQueryRunner.prototype, 'query');
    try {
      await both(LONGER);
      const texts = sent.mock.calls.map(([sql]) => sql.trim().replaceAll(/\s+/g, ' '));
      expect(texts.slice(0, 2)).toEqual(['START TRANSACTION', 'SET TRANSACTION READ ONLY']);
      expect(texts.at(-1)).toBe('ROLLBACK');
      expect(texts.slice(2, -1).filter((text) => !/^(?:SELECT|WITH) /.test(text))).toEqual([]);
    } finally {
      sent.mockRestore();
    }
  });

  it('an error, and no report, if it cannot be read', async () => {
    await database.asSuperuser(
      `ALTER TABLE migrations OWNER TO ${database.roles.admin}; REVOKE ALL ON migrations FROM ${database.roles.migrator}`,
    );
    const stranger = await new DataSource({ type: 'postgres', url: database.url('app') }).initialize();
    try {
      await expect(lintText(migration(LONGER), { dataSource: stranger })).rejects.toThrow(
        /permission denied/,
      );
    } finally {
      await stranger.destroy();
      await database.asSuperuser(`ALTER TABLE migrations OWNER TO ${database.roles.migrator}`);
    }
  });
});

describe('entities tell', () => {
  it('which tables are tenant-scoped, and what their tenant column is called', async () => {
    const withEntities = await new DataSource({
      type: 'postgres',
      url: database.url('migrator'),
      entities: [Invoice],
    }).initialize();
    try {
      const create = statement('CREATE TABLE line (id int, org_id uuid)');
      expect(await both(create, withEntities)).toEqual({ with: ['MIG050:3:26'], without: [] });
      const update = statement('UPDATE invoice SET id = 1 WHERE id = 2');
      expect(await both(update, withEntities)).toEqual({ with: ['MIG058:3:26'], without: [] });
    } finally {
      await withEntities.destroy();
    }
  });
});

describe('lint-migrations', () => {
  let directory: string;
  let out: string;
  let err: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'lint-'));
    writeFileSync(join(directory, 'a.ts'), migration(statement('CREATE INDEX i ON event (tenant_id)')));
    [out, err] = ['', ''];
    jest.spyOn(process.stdout, 'write').mockImplementation((text) => ((out += String(text)), true));
    jest.spyOn(process.stderr, 'write').mockImplementation((text) => ((err += String(text)), true));
  });
  afterEach(() => {
    jest.restoreAllMocks();
    rmSync(directory, { recursive: true });
  });
  const run = (...args: string[]) =>
    runCli(RlsCliModule, ['lint-migrations', join(directory, 'a.ts'), '--no-squawk', ...args]);

  it('reads the database of a --url', async () => {
    expect(await run('--url', database.url('migrator'))).toBe(1);
    expect(out).toContain('MIG022');
  });

  it('reads the database of a --data-source, and lets it change nothing', async () => {
    const file = join(directory, 'data-source.cjs');
    writeFileSync(
      file,
      `const { DataSource, EntitySchema } = require(${JSON.stringify(require.resolve('typeorm'))});
       const made = new EntitySchema({ name: 'made', columns: { id: { type: Number, primary: true } } });
       module.exports = new DataSource({ type: 'postgres', url: ${JSON.stringify(database.url('migrator'))}, entities: [made], synchronize: true, logging: true });`,
    );
    expect(await run('--data-source', file)).toBe(1);
    expect(out).toContain('MIG022');
    expect(out).not.toContain('query:');
    expect(await database.asSuperuser(`SELECT to_regclass('made') AS made`)).toEqual([{ made: null }]);
  });

  it('ends with 2 where it cannot read, and where it is told two databases', async () => {
    expect(await run('--url', 'postgres://nobody@127.0.0.1:1/none')).toBe(2);
    expect(err).toContain('lint-migrations could not lint: ');
    expect(await run('--url', database.url(), '--data-source', 'a.js')).toBe(2);
    expect(err).toContain('--data-source and --url are both given.');
    expect(out).toBe('');
  });
});
