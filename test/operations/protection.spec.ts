import {
  parentIndex,
  protectedPartition,
  protectExistingTable,
  protectTable,
  withRlsDisabled,
  type PartitionBound,
} from '../../libs/rls-tenants/src/migrations/index.js';
import { catalogSnapshot } from '../migrations/catalog-snapshot.js';
import {
  A,
  B,
  db,
  migrator,
  queryRunner,
  reconnect,
  settings,
  setTenant,
  useSchema,
} from './support/suite.js';
import { underTraffic } from './support/traffic.js';

useSchema();

describe('protectedPartition', () => {
  const january = { from: ['2026-01-01'], to: ['2026-02-01'] };
  const partition = (bound: PartitionBound = january) =>
    protectedPartition({ ...settings(), parent: 'event', name: 'event_2026_01', bound });

  beforeEach(async () => {
    await queryRunner.query(
      `CREATE TABLE event (id int, tenant_id uuid NOT NULL, at date NOT NULL CHECK (at > '2000-01-01')) PARTITION BY RANGE (at);
       CREATE TABLE event_old PARTITION OF event FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')`,
    );
    await protectTable({ table: 'event', ...settings() }).up(queryRunner);
    await parentIndex({ table: 'event', columns: ['tenant_id', 'at'] }).up(queryRunner);
    await queryRunner.query(
      `ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO ${db.roles.app}`,
    );
  });

  it('keeps tenants apart through the partitioned table, and is closed to the app role itself', async () => {
    await partition().up(queryRunner);
    for (const tenant of [A, B]) {
      await db.as('app', `${setTenant(tenant)} INSERT INTO event (id, at) VALUES (1, '2026-01-05')`);
    }
    expect(await db.as('app', `${setTenant(A)} SELECT tenant_id FROM event`)).toEqual([{ tenant_id: A }]);
    expect(await db.asSuperuser('SELECT FROM event_2026_01')).toHaveLength(2);
    await expect(db.as('app', `${setTenant(A)} SELECT FROM event_2026_01`)).rejects.toMatchObject({
      code: '42501',
    });
    // Were the app role given the partition, its own policies would keep tenants apart there too.
    await db.asSuperuser(`GRANT SELECT ON event_2026_01 TO ${db.roles.app}`);
    expect(await db.as('app', `${setTenant(A)} SELECT tenant_id FROM event_2026_01`)).toEqual([
      { tenant_id: A },
    ]);
    await expect(partition().down(queryRunner)).rejects.toThrow('holds rows, which would be lost');
  });

  it('keeps the partition that is there, and refuses another table of the name', async () => {
    await partition().up(queryRunner);
    const before = await catalogSnapshot(db);
    await partition().up(queryRunner);
    expect(await catalogSnapshot(db)).toEqual(before);
    await expect(partition({ from: ['2026-01-01'], to: ['2026-03-01'] }).up(queryRunner)).rejects.toThrow(
      "FROM ('2026-01-01') TO ('2026-03-01'): there is a table of that name, which is a protected partition",
    );
    await queryRunner.query('ALTER TABLE event_2026_01 NO FORCE ROW LEVEL SECURITY');
    await expect(partition().up(queryRunner)).rejects.toThrow('which is an unprotected partition');
    await queryRunner.query('DROP TABLE event_2026_01; CREATE TABLE event_2026_01 (id int)');
    await expect(partition().up(queryRunner)).rejects.toThrow('which is no partition of it');
  });

  it('keeps neither readers nor writers of the partitioned table waiting', async () => {
    const other = migrator.createQueryRunner();
    await other.startTransaction();
    await partition().up(other);
    const write = `${setTenant(A)} SET lock_timeout = '100ms'; INSERT INTO event (id, at) VALUES (1, '2025-05-05')`;
    await expect(db.as('app', write)).resolves.toEqual([]);
    expect(await db.as('app', `${setTenant(A)} SET lock_timeout = '100ms'; SELECT id FROM event`)).toEqual([
      { id: 1 },
    ]);
    await other.rollbackTransaction();
    await other.release();
  });
});

describe('withRlsDisabled', () => {
  const forced = async () =>
    (
      await db.asSuperuser<{ forced: boolean }>(
        `SELECT relforcerowsecurity AS forced FROM pg_class WHERE relname = 'note'`,
      )
    )[0]?.forced;
  const seen = async () => ((await queryRunner.query('SELECT * FROM note')) as unknown[]).length;

  beforeEach(async () => {
    await queryRunner.query(
      `CREATE TABLE note (id int, tenant_id uuid NOT NULL);
       INSERT INTO note VALUES (1, '${A}'), (2, '${B}')`,
    );
    await protectTable({ table: 'note', ...settings() }).up(queryRunner);
    // A migration role that no policy admits.
    await db.asSuperuser(`REVOKE ${db.roles.admin} FROM ${db.roles.migrator}`);
  });

  it('lets the owner see all rows, and nobody see any meanwhile', async () => {
    expect(await seen()).toBe(0);
    await withRlsDisabled(queryRunner, 'note', async () => {
      expect(await seen()).toBe(2);
      const read = `${setTenant(A)} SET LOCAL lock_timeout = '100ms'; SELECT FROM note`;
      await expect(db.as('app', read)).rejects.toMatchObject({ code: '55P03' });
    });
    expect(await seen()).toBe(0);
    expect(await forced()).toBe(true);
    expect(await db.as('app', `${setTenant(A)} SELECT id FROM note`)).toEqual([{ id: 1 }]);
  });

  it('forces it again if the work fails, alone and within a transaction that goes on', async () => {
    const failing = () =>
      withRlsDisabled(queryRunner, 'note', () => queryRunner.query('SELECT 1/0') as Promise<void>);
    await expect(failing()).rejects.toMatchObject({ code: '22012' });
    expect(await forced()).toBe(true);
    await queryRunner.startTransaction();
    await expect(failing()).rejects.toMatchObject({ code: '22012' });
    await queryRunner.commitTransaction();
    expect(await forced()).toBe(true);
  });

  it.each([
    ['commits', async () => queryRunner.commitTransaction()],
    ['commits in SQL', async () => queryRunner.query('COMMIT') as Promise<void>],
    [
      'commits and fails',
      async () => {
        await queryRunner.commitTransaction();
        throw new Error('late');
      },
    ],
  ])('forces it again, and says so, if the work %s', async (_, work) => {
    await expect(withRlsDisabled(queryRunner, 'note', work)).rejects.toThrow(/ended its transaction|late/);
    expect(await forced()).toBe(true);
  });

  it('is undone when the connection is lost', async () => {
    const lost = withRlsDisabled(queryRunner, 'note', async () => {
      const { processID } = (await queryRunner.connect()) as { processID: number };
      await db.asSuperuser('SELECT pg_terminate_backend($1, 5000)', [processID]);
    });
    await expect(lost).rejects.toThrow();
    expect(await forced()).toBe(true);
    reconnect();
  });
});

describe('protectExistingTable', () => {
  it('protects a table in use, in migrations that each can be killed anywhere', async () => {
    await queryRunner.query(
      `CREATE TABLE project (id serial PRIMARY KEY, tenant_id uuid NOT NULL, UNIQUE (tenant_id, id));
       CREATE TABLE task (id serial PRIMARY KEY, title text, project_id int CONSTRAINT task_project REFERENCES project);
       INSERT INTO project (tenant_id) VALUES ('${A}'), ('${B}');
       INSERT INTO task (title, project_id) SELECT n::text, 1 + n % 2 FROM generate_series(1, 1000) AS n;
       GRANT SELECT, INSERT ON task TO ${db.roles.app};
       GRANT USAGE ON SEQUENCE task_id_seq TO ${db.roles.app}`,
    );
    await protectTable({ table: 'project', ...settings() }).up(queryRunner);
    const steps = protectExistingTable({
      ...settings(),
      table: 'task',
      foreignKeys: [
        {
          columns: [{ column: 'project_id', referencedColumn: 'id' }],
          referencedTable: 'project',
          replaces: 'task_project',
        },
      ],
      indexes: [['project_id']],
    });
    const before = await catalogSnapshot(db);
    const write = `${setTenant(A)} INSERT INTO task (title, project_id) VALUES ('new', 1)`;
    const traffic = await underTraffic(
      db.url('app'),
      { read: `${setTenant(A)} SELECT count(*) FROM task`, write },
      async () => {
        for (const operation of steps.addColumn) await operation.up(queryRunner);
        await db.asSuperuser(
          'UPDATE task SET tenant_id = project.tenant_id FROM project WHERE project.id = project_id AND task.tenant_id IS NULL',
        );
        for (const operation of [...steps.constrain, ...steps.connect, ...steps.index, ...steps.protect]) {
          await operation.up(queryRunner);
        }
      },
    );
    expect(traffic.writes).toBeGreaterThan(3);
    const mine = await db.as('app', `${setTenant(A)} SELECT DISTINCT tenant_id FROM task`);
    expect(mine).toEqual([{ tenant_id: A }]);
    expect(await db.asSuperuser(`SELECT DISTINCT tenant_id FROM task`)).toHaveLength(2);
    const foreign = db.as('app', `${setTenant(A)} INSERT INTO task (project_id) VALUES (2)`);
    await expect(foreign).rejects.toMatchObject({ code: '23503' });

    const all = Object.values(steps).flat();
    for (const operation of all.toReversed()) await operation.down(queryRunner);
    expect(await catalogSnapshot(db)).toEqual(before);
  });
});
