import { DataSource, type QueryRunner } from 'typeorm';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { RlsConfigurationError } from '../../libs/rls-tenants/src/errors.js';
import {
  addTenantColumn,
  compositeForeignKey,
  withAllRows,
} from '../../libs/rls-tenants/src/migrations/index.js';
import { enableRlsSql, protectTableSql } from '../../libs/rls-tenants/src/policies/index.js';

// An owner under FORCE, with the one orphan that a foreign key must find and the two rows that a backfill must reach.
const ADD_KEY =
  'ALTER TABLE task ADD CONSTRAINT task_project FOREIGN KEY (project_id) REFERENCES project (id)';
const BACKFILL = `UPDATE task SET note = 'filled' RETURNING id`;

let db: TestDatabase;
let dataSource: DataSource;
let queryRunner: QueryRunner;

const admit = () => db.asSuperuser(`GRANT ${db.roles.admin} TO ${db.roles.migrator}`);
const shutOut = () => db.asSuperuser(`REVOKE ${db.roles.admin} FROM ${db.roles.migrator}`);

beforeAll(async () => {
  db = await createTestDatabase();
  dataSource = await new DataSource({ type: 'postgres', url: db.url('migrator') }).initialize();
  const protection = ['project', 'task'].flatMap((table) =>
    protectTableSql({ table, tenantIdType: 'integer', adminRole: db.roles.admin }),
  );
  await dataSource.query(
    `CREATE TABLE project (id int PRIMARY KEY, tenant_id int NOT NULL, UNIQUE (tenant_id, id));
     CREATE TABLE task (id int PRIMARY KEY, tenant_id int NOT NULL, project_id int, note text);
     ${protection.join(';')}`,
  );
  await db.asSuperuser('INSERT INTO project VALUES (1, 1); INSERT INTO task VALUES (1, 1, 1), (2, 2, 999)');
});
afterAll(async () => {
  await dataSource.destroy();
  await db.drop();
});

beforeEach(async () => {
  queryRunner = dataSource.createQueryRunner();
  await queryRunner.startTransaction();
});
afterEach(async () => {
  if (queryRunner.isTransactionActive) await queryRunner.rollbackTransaction();
  await queryRunner.release();
  await admit();
});

describe('what PostgreSQL does for an owner under FORCE', () => {
  const rowSecurityOff = () => queryRunner.query('SET LOCAL row_security = off');

  describe('that no policy admits', () => {
    beforeEach(shutOut);

    it('validates a foreign key vacuously, with an orphan present', async () => {
      await queryRunner.query(ADD_KEY);
      const [key] = (await queryRunner.query(
        `SELECT convalidated FROM pg_constraint WHERE conname = 'task_project'`,
      )) as unknown[];
      expect(key).toEqual({ convalidated: true });
      expect(await db.asSuperuser('SELECT * FROM task WHERE project_id = 999')).toHaveLength(1);
    });

    it('backfills no rows, without an error', async () => {
      expect(await queryRunner.query(BACKFILL)).toEqual([[], 0]);
    });

    it.each([ADD_KEY, BACKFILL])('refuses with row_security off: %s', async (sql) => {
      await rowSecurityOff();
      await expect(queryRunner.query(sql)).rejects.toMatchObject({ code: '42501' });
    });
  });

  describe('that inherits the admin role', () => {
    it('finds the orphan', async () => {
      await expect(queryRunner.query(ADD_KEY)).rejects.toMatchObject({ code: '23503' });
    });

    it('backfills every row', async () => {
      expect(await queryRunner.query(BACKFILL)).toEqual([[{ id: 1 }, { id: 2 }], 2]);
    });

    it.each([ADD_KEY, BACKFILL])('is refused as well with row_security off: %s', async (sql) => {
      await rowSecurityOff();
      await expect(queryRunner.query(sql)).rejects.toMatchObject({ code: '42501' });
    });
  });
});

describe('withAllRows', () => {
  const backfill = (tables = ['task']) =>
    withAllRows(queryRunner, tables, async () => {
      await queryRunner.query(BACKFILL);
    });
  const filled = () => queryRunner.query(`SELECT count(*)::int AS filled FROM task WHERE note = 'filled'`);

  it('works for an owner that inherits the admin role, even where row_security was off', async () => {
    await queryRunner.query('SET LOCAL row_security = off');
    await backfill();
    const [after] = (await queryRunner.query(`SELECT current_setting('row_security') AS value`)) as unknown[];
    expect(after).toEqual({ value: 'off' });
    await queryRunner.query('SET LOCAL row_security = on');
    expect(await filled()).toEqual([{ filled: 2 }]);
  });

  it('names the missing grant', async () => {
    await shutOut();
    const error = await backfill().catch((refusal: unknown) => refusal);
    expect(error).toBeInstanceOf(RlsConfigurationError);
    expect(error).toMatchObject({
      message: expect.stringContaining(
        `role "${db.roles.migrator}" is not admitted to all rows of table task`,
      ),
      hint: expect.stringContaining(`GRANT "${db.roles.admin}" TO "${db.roles.migrator}"`),
      cause: { code: '42501' },
    });
  });

  it('names the missing policy', async () => {
    await queryRunner.query(`DROP POLICY task_admin_policy ON task`);
    await expect(backfill()).rejects.toMatchObject({
      message: expect.stringContaining('not admitted to all rows of table task'),
      hint: expect.stringContaining('give table task the admin policy'),
    });
  });

  it('is not content with an admin policy for SELECT alone', async () => {
    await queryRunner.query(
      `DROP POLICY task_admin_policy ON task; CREATE POLICY half ON task FOR SELECT TO ${db.roles.admin} USING (true)`,
    );
    await expect(backfill()).rejects.toThrow(RlsConfigurationError);
  });

  it('is not content with an admin policy where a restrictive one applies as well', async () => {
    await queryRunner.query('CREATE POLICY floor ON task AS RESTRICTIVE USING (tenant_id = 1)');
    await expect(backfill()).rejects.toThrow(RlsConfigurationError);
  });

  it('looks at partitions too', async () => {
    await queryRunner.query(
      `CREATE TABLE event (tenant_id int) PARTITION BY LIST (tenant_id);
       CREATE TABLE event_1 PARTITION OF event FOR VALUES IN (1);
       ${enableRlsSql('event_1').join(';')}`,
    );
    const partition = withAllRows(queryRunner, ['event'], async () => {
      await queryRunner.query('SELECT * FROM event_1');
    });
    await expect(partition).rejects.toThrow('not admitted to all rows of table event_1');
  });

  it('lets an error of another kind through', async () => {
    await shutOut();
    const work = withAllRows(queryRunner, ['task'], async () => {
      await queryRunner.query('SELECT 1/0');
    });
    await expect(work).rejects.toMatchObject({ code: '22012' });
  });
});

describe('operations of a role that is not admitted', () => {
  beforeEach(shutOut);

  it('a composite foreign key is refused instead of validated vacuously', async () => {
    const operation = compositeForeignKey({
      table: 'task',
      columns: [{ column: 'project_id', referencedColumn: 'id' }],
      referencedTable: 'project',
    });
    await expect(operation.up(queryRunner)).rejects.toThrow(
      /not admitted to all rows of table (task|project) and table/,
    );
  });

  it('a backfill is refused instead of missing every row', async () => {
    await queryRunner.query('CREATE TABLE step (id int, task_id int)');
    const operation = addTenantColumn({
      table: 'step',
      tenantIdType: 'integer',
      fill: { from: { table: 'task', columns: [{ column: 'task_id', referencedColumn: 'id' }] } },
    });
    await expect(operation.up(queryRunner)).rejects.toThrow('not admitted to all rows of table task');
  });
});

describe('operations of an admitted role', () => {
  it('a composite foreign key finds the row that references nothing of its tenant', async () => {
    const operation = compositeForeignKey({
      table: 'task',
      columns: [{ column: 'project_id', referencedColumn: 'id' }],
      referencedTable: 'project',
    });
    await expect(operation.up(queryRunner)).rejects.toMatchObject({ code: '23503' });
  });
});
