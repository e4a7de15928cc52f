import { DataSource, type QueryRunner } from 'typeorm';
import {
  addNullableColumn,
  checkConstraint,
  notNull,
  protectTable,
  uniqueColumn,
  uniqueConstraint,
  validatedForeignKey,
} from '../../libs/rls-tenants/src/migrations/index.js';
import { catalogSnapshot } from '../migrations/catalog-snapshot.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { expectToSurviveKills, MigrationRun } from './support/interruption.js';
import { underTraffic } from './support/traffic.js';

const A = '00000000-0000-4000-8000-00000000000a';
const B = '00000000-0000-4000-8000-00000000000b';

/** How long an operation waits for a strong lock, in milliseconds: nobody behind it waits longer. */
const LOCK_TIMEOUT = 2000;

// Killing a migration at every statement takes its time on a busy machine.
jest.setTimeout(60_000);

let db: TestDatabase;
let migrator: DataSource;
let queryRunner: QueryRunner;

beforeEach(async () => {
  jest.spyOn(console, 'log').mockImplementation(() => undefined);
  db = await createTestDatabase();
  migrator = await new DataSource({ type: 'postgres', url: db.url('migrator') }).initialize();
  queryRunner = migrator.createQueryRunner();
  await queryRunner.query(
    `CREATE TABLE project (id serial PRIMARY KEY, tenant_id uuid NOT NULL, name text, UNIQUE (tenant_id, id));
     CREATE TABLE task (id serial PRIMARY KEY, tenant_id uuid NOT NULL, project_id int
       CONSTRAINT task_project REFERENCES project ON DELETE SET NULL, code text);
     INSERT INTO project (tenant_id) VALUES ('${A}'), ('${B}');
     INSERT INTO task (tenant_id, project_id, code) SELECT '${A}', 1, n::text FROM generate_series(1, 300) AS n;
     GRANT SELECT, INSERT, UPDATE ON project, task TO ${db.roles.app};
     GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO ${db.roles.app}`,
  );
});
afterEach(async () => {
  jest.restoreAllMocks();
  await queryRunner.release();
  await migrator.destroy();
  await db.drop();
});

const uniqueCode = () => uniqueConstraint({ table: 'task', columns: ['tenant_id', 'code'] });
const codeIsShort = { table: 'task', name: 'task_code_short', expression: 'length(code) < 10' };
const toProject = {
  table: 'task',
  name: 'task_project_tenant',
  columns: [{ column: 'project_id', referencedColumn: 'id' }],
  referencedTable: 'project',
} as const;
const replacing = { ...toProject, replaces: 'task_project', onDelete: 'SET NULL' } as const;

const constraints = () =>
  db.asSuperuser<{ name: string; definition: string }>(
    `SELECT conname AS name, pg_get_constraintdef(oid) AS definition FROM pg_constraint
     WHERE conrelid = 'task'::regclass AND contype IN ('u', 'c', 'f') ORDER BY conname`,
  );

describe('operations that are run and reverted by TypeORM, killed after any statement', () => {
  it.each([
    ['uniqueConstraint', () => [uniqueCode()]],
    ['notNull', () => [notNull({ table: 'task', column: 'code' })]],
    ['checkConstraint', () => [checkConstraint(codeIsShort)]],
    ['validatedForeignKey', () => [validatedForeignKey(replacing)]],
  ])('%s', async (_, operations) => {
    expect(await expectToSurviveKills(db, operations())).toBeGreaterThanOrEqual(4);
  });

  it('addNullableColumn, in the runner’s transaction and without one', async () => {
    const add = addNullableColumn({
      table: 'task',
      column: 'uid',
      type: 'uuid',
      default: 'gen_random_uuid()',
    });
    expect(await expectToSurviveKills(db, [add], false)).toBeGreaterThanOrEqual(4);
    await db.asSuperuser('DELETE FROM migrations');
    expect(await expectToSurviveKills(db, [add])).toBeGreaterThanOrEqual(4);
  });
});

describe('uniqueConstraint', () => {
  it('is named as TypeORM names it', async () => {
    await uniqueCode().up(queryRunner);
    const name = migrator.namingStrategy.uniqueConstraintName('task', ['tenant_id', 'code']);
    expect(await constraints()).toContainEqual({ name, definition: 'UNIQUE (tenant_id, code)' });
  });

  it('says which rows are duplicates before it builds anything, also those that row-level security hides', async () => {
    await queryRunner.query(`INSERT INTO task (tenant_id, code) VALUES ('${A}', '7')`);
    const before = await catalogSnapshot(db);
    await expect(uniqueCode().up(queryRunner)).rejects.toThrow(`('${A}', '7') in 2 rows`);
    expect(await catalogSnapshot(db)).toEqual(before);
    await protectTable({
      table: 'task',
      tenantIdType: 'uuid',
      appRole: db.roles.app,
      adminRole: db.roles.admin,
    }).up(queryRunner);
    await expect(uniqueCode().up(queryRunner)).rejects.toThrow(`('${A}', '7') in 2 rows`);
  });

  it('refuses another constraint of the name', async () => {
    await queryRunner.query('ALTER TABLE task ADD CONSTRAINT mine UNIQUE (code, tenant_id)');
    const up = uniqueConstraint({ table: 'task', columns: ['tenant_id', 'code'], name: 'mine' }).up(
      queryRunner,
    );
    await expect(up).rejects.toThrow(
      'it is UNIQUE (code, tenant_id), and should be UNIQUE (tenant_id, code)',
    );
  });
});

describe('uniqueColumn', () => {
  it('takes three migrations, between which rows are written and filled', async () => {
    const { add, constrain } = uniqueColumn({
      table: 'task',
      column: 'uid',
      type: 'uuid',
      default: 'gen_random_uuid()',
    });
    await new MigrationRun(db, add, false).up();
    await db.as('app', `INSERT INTO task (tenant_id, code) VALUES ('${A}', 'between')`);
    const [found] = await db.asSuperuser('SELECT count(uid)::int AS filled FROM task');
    expect(found?.filled).toBe(1);
    await expect(constrain[1]!.up(queryRunner)).rejects.toThrow(
      '"uid" of table "task" has rows without a value',
    );
    await db.as('migrator', 'UPDATE task SET uid = gen_random_uuid() WHERE uid IS NULL');
    for (const operation of constrain) await operation.up(queryRunner);
    await expect(db.as('app', 'UPDATE task SET uid = NULL WHERE id = 1')).rejects.toMatchObject({
      code: '23502',
    });
    await expect(
      db.as('app', 'UPDATE task SET uid = (SELECT uid FROM task WHERE id = 2) WHERE id = 1'),
    ).rejects.toMatchObject({ code: '23505' });
  });

  it('refuses a column of another type', async () => {
    const add = addNullableColumn({ table: 'task', column: 'code', type: 'uuid' });
    await expect(add.up(queryRunner)).rejects.toThrow('it is text, and should be uuid');
  });
});

describe('notNull and checkConstraint', () => {
  it('leave nothing behind that would refuse updates of rows that are not right yet', async () => {
    await queryRunner.query(`INSERT INTO task (tenant_id) VALUES ('${A}')`);
    await queryRunner.query(`INSERT INTO task (tenant_id, code) VALUES ('${A}', 'much too long')`);
    const before = await catalogSnapshot(db);
    await expect(notNull({ table: 'task', column: 'code' }).up(queryRunner)).rejects.toThrow(
      'without a value',
    );
    await expect(checkConstraint(codeIsShort).up(queryRunner)).rejects.toMatchObject({ code: '23514' });
    expect(await catalogSnapshot(db)).toEqual(before);
  });

  it('let readers and writers go on while they scan', async () => {
    await queryRunner.query(
      `INSERT INTO task (tenant_id, code) SELECT '${A}', n::text FROM generate_series(1000, 201000) AS n`,
    );
    const traffic = await underTraffic(
      db.url('app'),
      {
        read: 'SELECT count(*) FROM task WHERE id < 100',
        write: `INSERT INTO task (tenant_id, code) VALUES ('${A}', 'new')`,
      },
      () =>
        new MigrationRun(db, [
          checkConstraint(codeIsShort),
          notNull({ table: 'task', column: 'code' }),
          validatedForeignKey(replacing),
        ]).up(),
    );
    expect(traffic.writes).toBeGreaterThan(20);
    expect(traffic.longestWrite).toBeLessThan(LOCK_TIMEOUT);
    expect(traffic.longestRead).toBeLessThan(LOCK_TIMEOUT);
  });

  it('give up a lock that they cannot have, after two seconds, rather than keep everybody waiting', async () => {
    const reader = migrator.createQueryRunner();
    await reader.startTransaction();
    await reader.query('SELECT FROM task LIMIT 1');
    const start = performance.now();
    await expect(checkConstraint(codeIsShort).up(queryRunner)).rejects.toMatchObject({ code: '55P03' });
    expect(performance.now() - start).toBeLessThan(4000);
    await reader.rollbackTransaction();
    await reader.release();
    await checkConstraint(codeIsShort).up(queryRunner);
  });
});

describe('validatedForeignKey', () => {
  const protect = async (table: string, adminRole: string) =>
    protectTable({ table, tenantIdType: 'uuid', appRole: db.roles.app, adminRole }).up(queryRunner);

  it('replaces the plain key, and gives it back', async () => {
    const before = await constraints();
    await validatedForeignKey(replacing).up(queryRunner);
    expect(await constraints()).toEqual([
      {
        name: 'task_project_tenant',
        definition:
          'FOREIGN KEY (tenant_id, project_id) REFERENCES project(tenant_id, id) ON DELETE SET NULL (project_id)',
      },
    ]);
    await validatedForeignKey(replacing).down(queryRunner);
    expect(await constraints()).toEqual(before);
  });

  it('finds a row that references another tenant’s, and leaves no key behind', async () => {
    await queryRunner.query(`UPDATE task SET project_id = 2 WHERE id = 1`);
    const before = await catalogSnapshot(db);
    await protect('project', db.roles.admin);
    await protect('task', db.roles.admin);
    const protectedTables = await catalogSnapshot(db);
    expect(protectedTables).not.toEqual(before);
    await expect(validatedForeignKey(toProject).up(queryRunner)).rejects.toMatchObject({ code: '23503' });
    expect(await catalogSnapshot(db)).toEqual(protectedTables);
  });

  it('is never validated without seeing the rows: neither by a role that is not admitted, nor before', async () => {
    await queryRunner.query(`UPDATE task SET project_id = 2 WHERE id = 1`);
    await queryRunner.query(
      'ALTER TABLE task ENABLE ROW LEVEL SECURITY; ALTER TABLE task FORCE ROW LEVEL SECURITY',
    );
    await expect(validatedForeignKey(toProject).up(queryRunner)).rejects.toThrow(
      'is not admitted to all rows',
    );
    // The control: PostgreSQL itself finds nothing wrong, since it does not see the row.
    await queryRunner.query('ALTER TABLE task VALIDATE CONSTRAINT task_project_tenant');
    expect(await db.asSuperuser('SELECT FROM task WHERE project_id = 2')).toHaveLength(1);
    await queryRunner.query(
      `CREATE POLICY admin ON task TO ${db.roles.admin} USING (true) WITH CHECK (true)`,
    );
    await expect(validatedForeignKey(toProject).up(queryRunner)).rejects.toThrow(
      'has 1 rows whose (tenant_id, project_id) is in no row of table "project"',
    );
    expect((await constraints()).map(({ name }) => name)).toEqual(['task_project']);
  });
});
