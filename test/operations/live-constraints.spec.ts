import {
  addNullableColumn,
  checkConstraint,
  notNull,
  protectTable,
  uniqueColumn,
  uniqueConstraint,
  validatedForeignKey,
} from '../../libs/rls-tenants/src/migrations/index.js';
import { notNullCheckName } from '../../libs/rls-tenants/src/policies/index.js';
import { catalogSnapshot } from '../migrations/catalog-snapshot.js';
import { SERVER_VERSION } from '../support/database.js';
import { runMigration } from './support/migration-run.js';
import { A, B, db, LOCK_TIMEOUT, migrator, queryRunner, useSchema } from './support/suite.js';
import { underTraffic } from './support/traffic.js';

useSchema(
  () =>
    `CREATE TABLE project (id serial PRIMARY KEY, tenant_id uuid NOT NULL, name text, UNIQUE (tenant_id, id));
     CREATE TABLE task (id serial PRIMARY KEY, tenant_id uuid NOT NULL, project_id int
       CONSTRAINT task_project REFERENCES project ON DELETE ${ON_DELETE}, code text);
     INSERT INTO project (tenant_id) VALUES ('${A}'), ('${B}');
     INSERT INTO task (tenant_id, project_id, code) SELECT '${A}', 1, n::text FROM generate_series(1, 300) AS n;
     GRANT SELECT, INSERT, UPDATE ON project, task TO ${db.roles.app};
     GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO ${db.roles.app}`,
);

const uniqueCode = () => uniqueConstraint({ table: 'task', columns: ['tenant_id', 'code'] });
const codeIsShort = { table: 'task', name: 'task_code_short', expression: 'length(code) < 10' };
const toProject = {
  table: 'task',
  name: 'task_project_tenant',
  columns: [{ column: 'project_id', referencedColumn: 'id' }],
  referencedTable: 'project',
} as const;
/** Before PostgreSQL 15 a composite key with SET NULL is refused, for it would set the tenant column too. */
const ON_DELETE = SERVER_VERSION >= 150000 ? 'SET NULL' : 'CASCADE';
const replacing = { ...toProject, replaces: 'task_project', onDelete: ON_DELETE } as const;

const constraints = () =>
  db.asSuperuser<{ name: string; definition: string }>(
    `SELECT conname AS name, pg_get_constraintdef(oid) AS definition FROM pg_constraint
     WHERE conrelid = 'task'::regclass AND contype IN ('u', 'c', 'f') ORDER BY conname`,
  );

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
    await runMigration(db, add, false);
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
        runMigration(db, [
          checkConstraint(codeIsShort),
          notNull({ table: 'task', column: 'code' }),
          validatedForeignKey(replacing),
        ]),
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
        definition: `FOREIGN KEY (tenant_id, project_id) REFERENCES project(tenant_id, id) ON DELETE ${
          SERVER_VERSION >= 150000 ? 'SET NULL (project_id)' : 'CASCADE'
        }`,
      },
    ]);
    await validatedForeignKey(replacing).down(queryRunner);
    expect(await constraints()).toEqual(before);
  });

  it('refuses SET NULL before PostgreSQL 15, which would set the tenant column too', async () => {
    const up = validatedForeignKey({ ...toProject, onDelete: 'SET NULL' }).up(queryRunner);
    const error = await up.then(
      () => 'none',
      ({ message }: Error) => message,
    );
    const refused = 'and before PostgreSQL 15 that also sets the tenant column';
    expect(error).toContain(SERVER_VERSION >= 150000 ? 'none' : refused);
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

describe('down', () => {
  const composite = validatedForeignKey(toProject);

  it.each([
    [
      'uniqueConstraint',
      () => uniqueConstraint({ table: 'task', columns: ['tenant_id', 'code'], name: 'mine' }),
      'UNIQUE (code, tenant_id)',
    ],
    [
      'checkConstraint',
      () => checkConstraint({ ...codeIsShort, name: 'mine' }),
      'CHECK (length(code) < 1000)',
    ],
    [
      'validatedForeignKey',
      () => validatedForeignKey({ ...toProject, name: 'mine' }),
      'FOREIGN KEY (tenant_id, project_id) REFERENCES project (tenant_id, id) ON DELETE CASCADE',
    ],
  ])('of %s refuses another constraint of the name, and leaves it', async (_, operation, definition) => {
    await queryRunner.query(`ALTER TABLE task ADD CONSTRAINT mine ${definition}`);
    const before = await catalogSnapshot(db);
    await expect(operation().down(queryRunner)).rejects.toThrow(
      '"mine" of table "task" is not the one to drop',
    );
    expect(await catalogSnapshot(db)).toEqual(before);
    await queryRunner.query('ALTER TABLE task DROP CONSTRAINT mine');
    await operation().up(queryRunner);
    await operation().down(queryRunner);
    expect((await constraints()).map(({ name }) => name)).toEqual(['task_project']);
  });

  it('of notNull refuses another CHECK under the name of its own', async () => {
    const name = notNullCheckName('task', 'code');
    await queryRunner.query(`ALTER TABLE task ADD CONSTRAINT "${name}" CHECK (code <> '')`);
    const down = notNull({ table: 'task', column: 'code' }).down(queryRunner);
    await expect(down).rejects.toThrow('is not the one to drop');
    expect((await constraints()).map((constraint) => constraint.name)).toContain(name);
  });

  it('of uniqueConstraint refuses another index of the name, and drops the one that an interrupted up left', async () => {
    const unique = uniqueConstraint({ table: 'task', columns: ['tenant_id', 'code'], name: 'mine' });
    await queryRunner.query('CREATE INDEX mine ON task (code)');
    await expect(unique.down(queryRunner)).rejects.toThrow('has another index "mine"');
    await queryRunner.query('DROP INDEX mine; CREATE UNIQUE INDEX mine ON task (tenant_id, code)');
    await unique.down(queryRunner);
    expect(await db.asSuperuser(`SELECT FROM pg_class WHERE relname = 'mine'`)).toEqual([]);
  });

  it('of a key that an interrupted up left NOT VALID drops it', async () => {
    await queryRunner.query(
      `ALTER TABLE task ADD CONSTRAINT task_project_tenant FOREIGN KEY (tenant_id, project_id)
         REFERENCES project (tenant_id, id) NOT VALID`,
    );
    await composite.down(queryRunner);
    expect((await constraints()).map(({ name }) => name)).toEqual(['task_project']);
  });
});
