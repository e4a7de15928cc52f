import { DataSource, type QueryRunner } from 'typeorm';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { RlsConfigurationError } from '../../libs/rls-tenants/src/errors.js';
import {
  addTenantColumn,
  alterTenantPolicy,
  compositeForeignKey,
  compositeUnique,
  grantTable,
  protectJoinTable,
  protectTable,
  runSql,
  tenantIndex,
  unprotectTable,
  type FormerPolicy,
  type RlsOperation,
} from '../../libs/rls-tenants/src/migrations/index.js';
import { catalogSnapshot } from './catalog-snapshot.js';

const A = '00000000-0000-4000-8000-00000000000a';
const B = '00000000-0000-4000-8000-00000000000b';
const setTenant = (tenantId: string, setting = 'rls.current_tenant') =>
  `SELECT set_config('${setting}', '${tenantId}', true); `;

let db: TestDatabase;
let migrator: DataSource;
let queryRunner: QueryRunner;

beforeEach(async () => {
  db = await createTestDatabase();
  migrator = await new DataSource({ type: 'postgres', url: db.url('migrator') }).initialize();
  queryRunner = migrator.createQueryRunner();
  await queryRunner.query(`
    CREATE TABLE project (id serial PRIMARY KEY, tenant_id uuid NOT NULL, name text, UNIQUE (tenant_id, id));
    CREATE TABLE tag (id int PRIMARY KEY, tenant_id uuid NOT NULL, UNIQUE (tenant_id, id));
    CREATE TABLE project_tag (project_id int, tag_id int, PRIMARY KEY (project_id, tag_id));
  `);
  await db.asSuperuser(`
    INSERT INTO project (tenant_id, name) VALUES ('${A}', 'a'), ('${B}', 'b');
    INSERT INTO tag VALUES (1, '${A}'), (2, '${B}');
    INSERT INTO project_tag VALUES (1, 1), (2, 2)`);
});
afterEach(async () => {
  await queryRunner.release();
  await migrator.destroy();
  await db.drop();
});

const settings = () => ({ tenantIdType: 'uuid', adminRole: db.roles.admin, appRole: db.roles.app }) as const;

/** Up, down, up, down: each way ends where the other began. */
async function roundTrip(operation: RlsOperation): Promise<void> {
  const before = await catalogSnapshot(db);
  await operation.up(queryRunner);
  const after = await catalogSnapshot(db);
  expect(after).not.toEqual(before);
  await operation.down(queryRunner);
  expect(await catalogSnapshot(db)).toEqual(before);
  await operation.up(queryRunner);
  expect(await catalogSnapshot(db)).toEqual(after);
  await operation.down(queryRunner);
  expect(await catalogSnapshot(db)).toEqual(before);
}

describe('protectTable', () => {
  it('isolates the table, fills its tenant column, and lets the app role insert', async () => {
    await protectTable({ table: 'project', ...settings() }).up(queryRunner);
    await db.as('app', `${setTenant(A)} INSERT INTO project (name) VALUES ('new')`);
    const mine = await db.as('app', `${setTenant(A)} SELECT name FROM project ORDER BY id`);
    expect(mine).toEqual([{ name: 'a' }, { name: 'new' }]);
    expect(await db.asSuperuser('SELECT * FROM project')).toHaveLength(3);
  });

  it('is undone without a trace', async () => {
    await expect(roundTrip(protectTable({ table: 'project', ...settings() }))).resolves.toBeUndefined();
  });

  it('takes back only the grants that it gave', async () => {
    await queryRunner.query(`GRANT SELECT, INSERT ON project TO ${db.roles.app}`);
    await queryRunner.query(`GRANT SELECT ON SEQUENCE project_id_seq TO ${db.roles.app}`);
    await expect(roundTrip(protectTable({ table: 'project', ...settings() }))).resolves.toBeUndefined();
    expect(await db.as('app', 'SELECT name FROM project')).toHaveLength(2);
  });

  it('takes back nothing of what default privileges gave, and no default that was there', async () => {
    await queryRunner.query(
      `ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO ${db.roles.app}, ${db.roles.admin};
       CREATE TABLE later (id int, tenant_id uuid NOT NULL)`,
    );
    const operation = protectTable({ table: 'later', ...settings() });
    await queryRunner.query(
      `ALTER TABLE later ALTER tenant_id SET DEFAULT NULLIF(current_setting('rls.current_tenant', true), '')::uuid`,
    );
    await expect(roundTrip(operation)).resolves.toBeUndefined();
  });

  it('works for quoted names, schemas, other settings and columns', async () => {
    await queryRunner.query(
      'CREATE SCHEMA "Odd"; CREATE TABLE "Odd"."my ""note""" (id serial, "the tenant" text NOT NULL)',
    );
    await expect(
      roundTrip(
        protectTable({
          table: 'Odd.my "note"',
          tenantIdType: 'text',
          tenantColumn: 'the tenant',
          tenantSetting: 'acme.tenant',
          adminRole: db.roles.admin,
          appRole: db.roles.app,
        }),
      ),
    ).resolves.toBeUndefined();
  });

  it('refuses a table that is protected already, and leaves it as it is', async () => {
    await queryRunner.query('ALTER TABLE project ENABLE ROW LEVEL SECURITY');
    const before = await catalogSnapshot(db);
    const up = protectTable({ table: 'project', ...settings() }).up(queryRunner);
    await expect(up).rejects.toThrow('Table "project" already has row-level security.');
    expect(await catalogSnapshot(db)).toEqual(before);
  });

  it('refuses a tenant column with another default, and leaves the table as it is', async () => {
    await queryRunner.query(`ALTER TABLE project ALTER tenant_id SET DEFAULT '${A}'`);
    const before = await catalogSnapshot(db);
    await expect(protectTable({ table: 'project', ...settings() }).up(queryRunner)).rejects.toThrow(
      'has another default',
    );
    expect(await catalogSnapshot(db)).toEqual(before);
  });

  it('refuses a table and a role that do not exist', async () => {
    const absent = protectTable({ table: 'absent', ...settings() }).up(queryRunner);
    await expect(absent).rejects.toThrow('Table "absent" does not exist.');
    const role = protectTable({ table: 'project', ...settings(), appRole: 'nobody at all' }).up(queryRunner);
    await expect(role).rejects.toMatchObject({
      message: 'Role "nobody at all" does not exist.',
      hint: /setup-roles/,
    });
  });

  it('does not take back anything on an edited record', async () => {
    const operation = protectTable({ table: 'project', ...settings() });
    await operation.up(queryRunner);
    await queryRunner.query(
      `COMMENT ON POLICY project_tenant_isolation_policy ON project IS 'nestjs-rls-tenants added {"grants'`,
    );
    const before = await catalogSnapshot(db);
    await expect(operation.down(queryRunner)).rejects.toThrow(RlsConfigurationError);
    expect(await catalogSnapshot(db)).toEqual(before);
  });

  it.each(['"; DROP TABLE project; --', "'; DROP TABLE project; --"])(
    'quotes the hostile name %j',
    async (name) => {
      const hostile = protectTable({ ...settings(), table: name, tenantColumn: name, appRole: name });
      await expect(hostile.up(queryRunner)).rejects.toThrow('does not exist');
      expect(await db.asSuperuser('SELECT * FROM project')).toHaveLength(2);
    },
  );
});

describe('unprotectTable', () => {
  it('is the reverse of protectTable', async () => {
    const before = await catalogSnapshot(db);
    await protectTable({ table: 'project', ...settings() }).up(queryRunner);
    await expect(roundTrip(unprotectTable({ table: 'project', ...settings() }))).resolves.toBeUndefined();
    await unprotectTable({ table: 'project', ...settings() }).up(queryRunner);
    expect(await catalogSnapshot(db)).toEqual(before);
  });

  it('refuses a table that is not protected', async () => {
    const up = unprotectTable({ table: 'project', ...settings() }).up(queryRunner);
    await expect(up).rejects.toThrow('Row-level security of table "project" is not enabled and forced.');
  });
});

describe('addTenantColumn', () => {
  const tenants = () => db.asSuperuser<{ tenant_id: string }>('SELECT tenant_id FROM task ORDER BY id');

  beforeEach(async () => {
    await queryRunner.query('CREATE TABLE task (id int PRIMARY KEY, project_id int REFERENCES project)');
    await db.asSuperuser('INSERT INTO task VALUES (1, 1), (2, 2)');
  });

  it('takes the tenants of existing rows from the rows they reference', async () => {
    const operation = addTenantColumn({
      table: 'task',
      tenantIdType: 'uuid',
      fill: { from: { table: 'project', columns: [{ column: 'project_id', referencedColumn: 'id' }] } },
    });
    await expect(roundTrip(operation)).resolves.toBeUndefined();
    await operation.up(queryRunner);
    expect(await tenants()).toEqual([{ tenant_id: A }, { tenant_id: B }]);
  });

  it('gives existing rows one tenant', async () => {
    await addTenantColumn({ table: 'task', tenantIdType: 'uuid', fill: { tenantId: A } }).up(queryRunner);
    expect(await tenants()).toEqual([{ tenant_id: A }, { tenant_id: A }]);
  });

  it('never gives existing rows the tenant of the migration’s own session', async () => {
    await queryRunner.query(`SELECT set_config('rls.current_tenant', '${B}', false)`);
    const up = addTenantColumn({ table: 'task', tenantIdType: 'uuid' }).up(queryRunner);
    await expect(up).rejects.toMatchObject({ code: '23502' });
  });

  it('refuses to leave a row without a tenant, and leaves the table as it is', async () => {
    const before = await catalogSnapshot(db);
    await expect(
      addTenantColumn({ table: 'task', tenantIdType: 'uuid' }).up(queryRunner),
    ).rejects.toMatchObject({
      code: '23502',
    });
    expect(await catalogSnapshot(db)).toEqual(before);
  });

  it('refuses a tenant id that is not of the type', async () => {
    const up = addTenantColumn({ table: 'task', tenantIdType: 'uuid', fill: { tenantId: "x'; --" } }).up(
      queryRunner,
    );
    await expect(up).rejects.toThrow('Invalid tenant id');
  });
});

describe('compositeUnique', () => {
  it('is undone without a trace, under TypeORM’s name', async () => {
    const operation = compositeUnique({ table: 'project', columns: ['name'] });
    await expect(roundTrip(operation)).resolves.toBeUndefined();
    await operation.up(queryRunner);
    const name = migrator.namingStrategy.uniqueConstraintName('project', ['tenant_id', 'name']);
    expect((await queryRunner.getTable('project'))?.uniques.map((unique) => unique.name)).toContain(name);
  });

  it('may have a name', async () => {
    await expect(
      roundTrip(compositeUnique({ table: 'project', columns: ['name'], name: 'Project "name"' })),
    ).resolves.toBeUndefined();
  });
});

describe('compositeForeignKey', () => {
  const columns = [{ column: 'project_id', referencedColumn: 'id' }];
  const key = { table: 'task', columns, referencedTable: 'project' };

  beforeEach(async () => {
    const plain = migrator.namingStrategy.foreignKeyName('task', ['project_id']);
    await queryRunner.query(
      `CREATE TABLE task (id int PRIMARY KEY, tenant_id uuid NOT NULL, project_id int,
       CONSTRAINT "${plain}" FOREIGN KEY (project_id) REFERENCES project (id) ON DELETE CASCADE)`,
    );
    await db.asSuperuser(`INSERT INTO task VALUES (1, '${A}', 1)`);
  });

  it('is undone without a trace, under TypeORM’s name', async () => {
    const operation = compositeForeignKey({ ...key, onDelete: 'RESTRICT' });
    await expect(roundTrip(operation)).resolves.toBeUndefined();
    await operation.up(queryRunner);
    const name = migrator.namingStrategy.foreignKeyName('task', ['tenant_id', 'project_id']);
    expect((await queryRunner.getTable('task'))?.foreignKeys.map((found) => found.name)).toContain(name);
  });

  it('takes the place of the plain one, and down restores that', async () => {
    const operation = compositeForeignKey({ ...key, onDelete: 'CASCADE', replaces: true });
    await expect(roundTrip(operation)).resolves.toBeUndefined();
    await operation.up(queryRunner);
    expect((await queryRunner.getTable('task'))?.foreignKeys).toHaveLength(1);
    const reference = db.asSuperuser(`INSERT INTO task VALUES (2, '${A}', 2)`);
    await expect(reference).rejects.toMatchObject({ code: '23503' });
  });

  it('refuses to replace a key that down could not restore', async () => {
    const other = compositeForeignKey({ ...key, onDelete: 'RESTRICT', replaces: true }).up(queryRunner);
    await expect(other).rejects.toThrow('has other columns or actions');
    const absent = compositeForeignKey({ ...key, replaces: 'absent' }).up(queryRunner);
    await expect(absent).rejects.toThrow('Table "task" has no foreign key "absent" to replace.');
  });

  it('fails on a row that references another tenant’s, and leaves the table as it is', async () => {
    await db.asSuperuser(`INSERT INTO task VALUES (2, '${A}', 2)`);
    const before = await catalogSnapshot(db);
    await expect(compositeForeignKey({ ...key, onDelete: 'CASCADE' }).up(queryRunner)).rejects.toMatchObject({
      code: '23503',
    });
    expect(await catalogSnapshot(db)).toEqual(before);
  });
});

describe('tenantIndex', () => {
  it('takes the place of an index, and down restores that', async () => {
    await queryRunner.query('CREATE INDEX "by Name" ON project (name, "id")');
    const operation = tenantIndex({ table: 'public.project', columns: ['name', 'id'], replaces: 'by Name' });
    await expect(roundTrip(operation)).resolves.toBeUndefined();
    await operation.up(queryRunner);
    const indexes = (await queryRunner.getTable('project'))?.indices.map(({ name }) => name);
    expect(indexes).toEqual([migrator.namingStrategy.indexName('project', ['tenant_id', 'name', 'id'])]);
  });

  it.each([
    'CREATE UNIQUE INDEX old ON project (name)',
    'CREATE INDEX old ON project (name DESC)',
    'CREATE INDEX old ON project (name) WHERE id > 0',
    'CREATE INDEX old ON project (name) INCLUDE (id)',
    'CREATE INDEX old ON project (lower(name))',
    'CREATE INDEX old ON project USING hash (name)',
    'CREATE INDEX old ON project (name text_pattern_ops)',
    'CREATE INDEX old ON project (name) WITH (fillfactor = 50)',
    'CREATE INDEX old ON project (id)',
    'CREATE INDEX old ON tag (id)',
  ])('refuses to replace what down could not restore: %s', async (sql) => {
    await queryRunner.query(sql);
    const up = tenantIndex({ table: 'project', columns: ['name'], replaces: 'old' }).up(queryRunner);
    await expect(up).rejects.toThrow('Table "project" has no ordinary index "old" on (name) to replace.');
  });

  it('needs a name for what it replaces, or none', async () => {
    const operation = tenantIndex({ table: 'project', columns: ['name'], name: 'new "index"' });
    await expect(roundTrip(operation)).resolves.toBeUndefined();
    await expect(
      tenantIndex({ table: 'project', columns: [], replaces: false }).up(queryRunner),
    ).resolves.toBeUndefined();
    await expect(
      tenantIndex({ table: 'project', columns: ['name'], replaces: true }).up(queryRunner),
    ).rejects.toThrow('has no ordinary index');
  });
});

describe('protectJoinTable', () => {
  const sides = () => [
    { table: 'project', columns: [{ column: 'project_id', referencedColumn: 'id' }] },
    { table: 'tag', columns: [{ column: 'tag_id', referencedColumn: 'id' }] },
  ];
  const links = (tenantId: string) =>
    db.as('app', `${setTenant(tenantId)} SELECT project_id, tag_id FROM project_tag`);
  const protectSides = async () => {
    for (const table of ['project', 'tag']) await protectTable({ table, ...settings() }).up(queryRunner);
  };

  it('adds a tenant column, fills it, replaces foreign keys and indexes, and isolates', async () => {
    const plain = (column: string) => migrator.namingStrategy.foreignKeyName('project_tag', [column]);
    await queryRunner.query(
      `ALTER TABLE project_tag
         ADD CONSTRAINT "${plain('project_id')}" FOREIGN KEY (project_id) REFERENCES project ON DELETE CASCADE ON UPDATE CASCADE,
         ADD CONSTRAINT "${plain('tag_id')}" FOREIGN KEY (tag_id) REFERENCES tag ON DELETE CASCADE ON UPDATE CASCADE`,
    );
    for (const column of ['project_id', 'tag_id']) {
      const index = migrator.namingStrategy.indexName('project_tag', [column]);
      await queryRunner.query(`CREATE INDEX "${index}" ON project_tag (${column})`);
    }
    await protectSides();
    const operation = protectJoinTable({ joinTable: 'project_tag', ...settings(), sides: sides() });
    await expect(roundTrip(operation)).resolves.toBeUndefined();
    await operation.up(queryRunner);

    expect(await links(A)).toEqual([{ project_id: 1, tag_id: 1 }]);
    expect(await links(B)).toEqual([{ project_id: 2, tag_id: 2 }]);
    await expect(db.as('app', `${setTenant(A)} INSERT INTO project_tag VALUES (1, 2)`)).rejects.toMatchObject(
      { code: '23503' },
    );
    const names = (await queryRunner.getTable('project_tag'))?.foreignKeys.map((key) => key.name).sort();
    expect(names).toEqual(
      [
        ['tenant_id', 'project_id'],
        ['tenant_id', 'tag_id'],
      ]
        .map((columns) => migrator.namingStrategy.foreignKeyName('project_tag', columns))
        .sort(),
    );
  });

  it('fails on a link between two tenants', async () => {
    await db.asSuperuser('INSERT INTO project_tag VALUES (1, 2)');
    const up = protectJoinTable({
      joinTable: 'project_tag',
      ...settings(),
      sides: sides().map((side) => ({ ...side, replaces: false, replacesIndex: false })),
    }).up(queryRunner);
    await expect(up).rejects.toMatchObject({ code: '23503' });
  });

  it('protects a join table that was created with its tenant column', async () => {
    await queryRunner.query('CREATE TABLE made (project_id int, tag_id int, org_id uuid NOT NULL)');
    await expect(
      roundTrip(
        protectJoinTable({
          form: 'existing-column',
          joinTable: 'made',
          ...settings(),
          tenantColumn: 'org_id',
        }),
      ),
    ).resolves.toBeUndefined();
  });

  it('protects a join table through its sides', async () => {
    await protectSides();
    const operation = protectJoinTable({
      form: 'exists',
      joinTable: 'project_tag',
      ...settings(),
      sides: sides(),
    });
    await expect(roundTrip(operation)).resolves.toBeUndefined();
    await operation.up(queryRunner);
    expect(await links(A)).toEqual([{ project_id: 1, tag_id: 1 }]);
    await expect(db.as('app', `${setTenant(A)} INSERT INTO project_tag VALUES (1, 2)`)).rejects.toMatchObject(
      { code: '42501' },
    );
  });

  it('needs sides', () => {
    expect(() => protectJoinTable({ joinTable: 'project_tag', ...settings(), sides: [] })).toThrow(
      'has no sides',
    );
    expect(() =>
      protectJoinTable({ form: 'exists', joinTable: 'project_tag', ...settings(), sides: [] }),
    ).toThrow('has no sides');
  });
});

describe('grantTable', () => {
  it('is undone without a trace', async () => {
    await expect(roundTrip(grantTable({ table: 'project', role: db.roles.app }))).resolves.toBeUndefined();
  });

  it('grants what is named and no more', async () => {
    await grantTable({ table: 'project', role: db.roles.app, privileges: ['SELECT'] }).up(queryRunner);
    expect(await db.as('app', 'SELECT name FROM project')).toHaveLength(2);
    await expect(db.as('app', `DELETE FROM project`)).rejects.toMatchObject({ code: '42501' });
  });

  it('refuses what the role holds already, because down would take it away', async () => {
    await queryRunner.query(`GRANT SELECT ON project TO ${db.roles.app}`);
    const up = grantTable({ table: 'project', role: db.roles.app }).up(queryRunner);
    await expect(up).rejects.toThrow('already holds some of SELECT, INSERT, UPDATE, DELETE');
  });
});

describe('alterTenantPolicy', () => {
  it('changes the setting of the policy and of the default, and is undone without a trace', async () => {
    await protectTable({ table: 'project', ...settings() }).up(queryRunner);
    const operation = alterTenantPolicy({
      table: 'project',
      tenantIdType: 'uuid',
      from: 'rls.current_tenant',
      to: 'acme.tenant',
    });
    await expect(roundTrip(operation)).resolves.toBeUndefined();
    await operation.up(queryRunner);
    await db.as('app', `${setTenant(A, 'acme.tenant')} INSERT INTO project (name) VALUES ('new')`);
    expect(await db.as('app', `${setTenant(A, 'acme.tenant')} SELECT name FROM project`)).toHaveLength(2);
    expect(await db.as('app', `${setTenant(A)} SELECT name FROM project`)).toEqual([]);
  });

  it('knows the policy of a join table', async () => {
    await queryRunner.query('CREATE TABLE made (project_id int, tag_id int, tenant_id uuid NOT NULL)');
    await protectJoinTable({ form: 'existing-column', joinTable: 'made', ...settings() }).up(queryRunner);
    const change = {
      table: 'made',
      tenantIdType: 'uuid',
      from: 'rls.current_tenant',
      to: 'acme.tenant',
    } as const;
    await expect(roundTrip(alterTenantPolicy({ ...change, joinTable: true }))).resolves.toBeUndefined();
  });
});

describe('alterTenantPolicy of a policy of another shape', () => {
  const FORMER = `CASE WHEN current_setting('app.is_admin', true) = 'true' THEN true
    ELSE tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid END`;
  const change = (from: FormerPolicy) =>
    alterTenantPolicy({ table: 'project', tenantIdType: 'uuid', from, to: 'app.tenant_id' });

  beforeEach(async () => {
    await queryRunner.query(
      `ALTER TABLE project ENABLE ROW LEVEL SECURITY;
       CREATE POLICY tenants ON project USING (${FORMER}) WITH CHECK (tenant_id IS NOT NULL);
       GRANT SELECT ON project TO ${db.roles.app}`,
    );
  });

  it('makes it the library’s, and is undone without a trace', async () => {
    const operation = change({ name: 'tenants', using: FORMER, withCheck: 'tenant_id IS NOT NULL' });
    await expect(roundTrip(operation)).resolves.toBeUndefined();
    await operation.up(queryRunner);
    const [policy] = await db.asSuperuser(`SELECT policyname, qual FROM pg_policies`);
    expect(policy).toEqual({
      policyname: 'project_tenant_isolation_policy',
      qual: expect.stringMatching(/^\(tenant_id = \(NULLIF\(/) as string,
    });
    const asAdmin = `SELECT set_config('app.is_admin', 'true', true); SELECT name FROM project`;
    expect(await db.as('app', asAdmin)).toEqual([]);
    expect(await db.as('app', `${setTenant(A, 'app.tenant_id')} SELECT name FROM project`)).toHaveLength(1);
  });

  it.each([
    ['other rows', { name: 'tenants', using: 'false', withCheck: 'tenant_id IS NOT NULL' }],
    ['other rows to write', { name: 'tenants', using: FORMER }],
    [
      'another default',
      {
        name: 'tenants',
        using: FORMER,
        withCheck: 'tenant_id IS NOT NULL',
        columnDefault: 'gen_random_uuid()',
      },
    ],
  ])('refuses %s than are there, and changes nothing', async (_, from) => {
    const before = await catalogSnapshot(db);
    await expect(change(from).up(queryRunner)).rejects.toThrow('Policy "tenants" of table "project" is {');
    expect(await catalogSnapshot(db)).toEqual(before);
  });
});

describe('runSql', () => {
  it('runs what it is given', async () => {
    await expect(
      roundTrip(runSql('CREATE TABLE extra (id int)', 'DROP TABLE extra')),
    ).resolves.toBeUndefined();
  });
});
