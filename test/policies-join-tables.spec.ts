import { createTestDatabase, type TestDatabase } from './support/database.js';
import {
  addCompositeForeignKeySql,
  addCompositeUniqueSql,
  currentTenantSql,
  existsJoinTablePredicate,
  grantSql,
  joinTablePolicyName,
  protectExistsJoinTableSql,
  protectJoinTableSql,
  protectTableSql,
  quoteTable,
  TABLE_PRIVILEGES,
  unprotectJoinTableSql,
  type ExistsJoinTable,
  type JoinTableSide,
} from '../libs/rls-tenants/src/policies/index.js';

const setTenant = (tenantId: number) => `SELECT set_config('rls.current_tenant', '${tenantId}', true); `;

let db: TestDatabase;
const grants = (table: string) =>
  [db.roles.app, db.roles.admin].map((role) => grantSql({ role, table, privileges: TABLE_PRIVILEGES }));

/** A tenant-scoped table with row 10 of tenant 1, and 20 and 21 of tenant 2. */
async function createParent(table: string, id = 'id'): Promise<void> {
  await db.as(
    'migrator',
    [
      `CREATE TABLE ${quoteTable(table)} ("${id}" int PRIMARY KEY, tenant_id int NOT NULL, UNIQUE (tenant_id, "${id}"))`,
      ...protectTableSql({ table, tenantIdType: 'integer', adminRole: db.roles.admin }),
      ...grants(table),
    ].join(';'),
  );
  await db.asSuperuser(`INSERT INTO ${quoteTable(table)} VALUES (10, 1), (11, 1), (20, 2), (21, 2)`);
}

const side = (table: string, column: string, referencedColumn = 'id'): JoinTableSide => ({
  table,
  columns: [{ column, referencedColumn }],
});

beforeAll(async () => {
  db = await createTestDatabase();
  await createParent('task');
  await createParent('tag');
});
afterAll(() => db.drop());

describe('a join table with its own tenant column', () => {
  beforeAll(async () => {
    await db.as(
      'migrator',
      [
        `CREATE TABLE task_tag (task_id int, tag_id int, PRIMARY KEY (task_id, tag_id),
           tenant_id int NOT NULL DEFAULT ${currentTenantSql('integer')})`,
        ...['task', 'tag'].map((referencedTable) =>
          addCompositeForeignKeySql({
            table: 'task_tag',
            name: `task_tag_${referencedTable}`,
            columns: [{ column: `${referencedTable}_id`, referencedColumn: 'id' }],
            referencedTable,
            onDelete: 'CASCADE',
          }),
        ),
        ...protectJoinTableSql({ table: 'task_tag', tenantIdType: 'integer', adminRole: db.roles.admin }),
        ...grants('task_tag'),
      ].join(';'),
    );
    await db.asSuperuser('INSERT INTO task_tag VALUES (10, 10, 1), (20, 20, 2)');
  });

  it('is filled by its default, and isolated', async () => {
    await db.as('app', `${setTenant(1)} INSERT INTO task_tag (task_id, tag_id) VALUES (11, 10)`);
    const mine = await db.as('app', `${setTenant(1)} SELECT task_id FROM task_tag ORDER BY 1`);
    expect(mine).toEqual([{ task_id: 10 }, { task_id: 11 }]);
    expect(await db.asSuperuser('SELECT * FROM task_tag')).toHaveLength(3);
  });

  it('has a policy under its own name', async () => {
    const policies = await db.asSuperuser(
      `SELECT policyname::text AS name FROM pg_policies WHERE tablename = 'task_tag' ORDER BY 1`,
    );
    expect(policies).toEqual([{ name: 'task_tag_admin_policy' }, { name: joinTablePolicyName('task_tag') }]);
  });

  it.each([
    ['task', '(20, 10)'],
    ['tag', '(10, 20)'],
  ])('refuses a link to another tenant’s %s', async (_side, values) => {
    const link = db.as('app', `${setTenant(1)} INSERT INTO task_tag (task_id, tag_id) VALUES ${values}`);
    await expect(link).rejects.toMatchObject({ code: '23503' });
  });

  it('refuses a link in another tenant’s name', async () => {
    const link = db.as(
      'app',
      `${setTenant(1)} INSERT INTO task_tag (task_id, tag_id, tenant_id) VALUES (20, 21, 2)`,
    );
    await expect(link).rejects.toMatchObject({ code: '42501' });
  });
});

describe('a join table protected through its sides', () => {
  const protectExists = async (joinTable: string, sides: JoinTableSide[]) => {
    const table: ExistsJoinTable = { joinTable, sides, tenantIdType: 'integer', adminRole: db.roles.admin };
    await db.as('migrator', [...protectExistsJoinTableSql(table), ...grants(joinTable)].join(';'));
  };

  beforeAll(async () => {
    await db.as(
      'migrator',
      'CREATE TABLE task_watch (task_id int REFERENCES task, tag_id int REFERENCES tag, PRIMARY KEY (task_id, tag_id))',
    );
    await protectExists('task_watch', [side('task', 'task_id'), side('tag', 'tag_id')]);
    // One link that plain foreign keys let happen, between two tenants.
    await db.asSuperuser('INSERT INTO task_watch VALUES (10, 10), (20, 20), (11, 21)');
  });

  it('shows the links whose two sides are the tenant’s', async () => {
    expect(await db.as('app', `${setTenant(1)} SELECT * FROM task_watch`)).toEqual([
      { task_id: 10, tag_id: 10 },
    ]);
    expect(await db.as('app', `${setTenant(2)} SELECT * FROM task_watch`)).toEqual([
      { task_id: 20, tag_id: 20 },
    ]);
    expect(await db.as('app', 'SELECT * FROM task_watch')).toEqual([]);
    expect(await db.asSuperuser('SELECT * FROM task_watch')).toHaveLength(3);
  });

  it('shows all links to the admin role', async () => {
    expect(await db.as('app', `SET LOCAL ROLE ${db.roles.admin}; SELECT * FROM task_watch`)).toHaveLength(3);
  });

  it('takes links between the tenant’s rows', async () => {
    const rows = await db.as(
      'app',
      `BEGIN; ${setTenant(1)} INSERT INTO task_watch VALUES (11, 11) RETURNING task_id`,
    );
    expect(rows).toEqual([{ task_id: 11 }]);
  });

  it.each(['(20, 10)', '(10, 20)', '(20, 21)'])(
    'refuses the link %s to another tenant’s row',
    async (values) => {
      const link = db.as('app', `${setTenant(1)} INSERT INTO task_watch VALUES ${values}`);
      await expect(link).rejects.toMatchObject({ code: '42501' });
    },
  );

  it('deletes and moves no link of another tenant', async () => {
    expect(await db.as('app', `BEGIN; ${setTenant(1)} DELETE FROM task_watch RETURNING task_id`)).toEqual([
      { task_id: 10 },
    ]);
    const move = db.as('app', `${setTenant(1)} UPDATE task_watch SET tag_id = 20`);
    await expect(move).rejects.toMatchObject({ code: '42501' });
  });

  it('stays hidden where a side has lost its own policy', async () => {
    await db.as('migrator', 'ALTER TABLE tag DISABLE ROW LEVEL SECURITY');
    try {
      expect(await db.as('app', `${setTenant(1)} SELECT * FROM tag`)).toHaveLength(4);
      expect(await db.as('app', `${setTenant(1)} SELECT * FROM task_watch`)).toEqual([
        { task_id: 10, tag_id: 10 },
      ]);
    } finally {
      await db.as('migrator', 'ALTER TABLE tag ENABLE ROW LEVEL SECURITY');
    }
  });

  it('may join a table with itself', async () => {
    await db.as('migrator', 'CREATE TABLE task_blocks (blocker_id int, blocked_id int)');
    await protectExists('task_blocks', [side('task', 'blocker_id'), side('task', 'blocked_id')]);
    await db.asSuperuser('INSERT INTO task_blocks VALUES (10, 11), (20, 21), (10, 20), (20, 10)');
    expect(await db.as('app', `${setTenant(1)} SELECT * FROM task_blocks`)).toEqual([
      { blocker_id: 10, blocked_id: 11 },
    ]);
    await expect(
      db.as('app', `${setTenant(1)} INSERT INTO task_blocks VALUES (11, 20)`),
    ).rejects.toMatchObject({
      code: '42501',
    });
  });

  it.each(['side_1', 'joined_side_1', 'Side "1"', 'parent'])(
    'may have the name %s, and columns called like those of its sides',
    async (name) => {
      await createParent(`side of ${name}`, 'Id');
      const joinTable = `public.${name}`;
      await db.as('migrator', `CREATE TABLE ${quoteTable(joinTable)} ("Id" int, tenant_id_of int)`);
      await protectExists(joinTable, [side(`public.side of ${name}`, 'Id', 'Id')]);
      await db.asSuperuser(`INSERT INTO ${quoteTable(joinTable)} VALUES (10), (20), (21)`);
      expect(await db.as('app', `${setTenant(1)} SELECT "Id" FROM ${quoteTable(joinTable)}`)).toEqual([
        { Id: 10 },
      ]);
    },
  );

  it('may reference a composite key', async () => {
    await db.as(
      'migrator',
      [
        'CREATE TABLE slot (day int, hour int, org_id int NOT NULL, PRIMARY KEY (day, hour))',
        'CREATE TABLE slot_task (slot_day int, slot_hour int, task_id int)',
        ...protectTableSql({
          table: 'slot',
          tenantIdType: 'integer',
          tenantColumn: 'org_id',
          adminRole: db.roles.admin,
        }),
        ...grants('slot'),
      ].join(';'),
    );
    await protectExists('slot_task', [
      {
        table: 'slot',
        tenantColumn: 'org_id',
        columns: [
          { column: 'slot_day', referencedColumn: 'day' },
          { column: 'slot_hour', referencedColumn: 'hour' },
        ],
      },
      side('task', 'task_id'),
    ]);
    await db.asSuperuser(
      'INSERT INTO slot VALUES (1, 8, 1), (1, 9, 2); INSERT INTO slot_task VALUES (1, 8, 10), (1, 9, 10)',
    );
    expect(await db.as('app', `${setTenant(1)} SELECT slot_hour FROM slot_task`)).toEqual([{ slot_hour: 8 }]);
  });

  it('is unprotected again', async () => {
    await db.as('migrator', unprotectJoinTableSql('task_blocks').join(';'));
    expect(await db.as('app', 'SELECT * FROM task_blocks')).toHaveLength(4);
  });

  it('needs sides, and columns for each', () => {
    const table = { joinTable: 'task_watch', tenantIdType: 'integer' } as const;
    expect(() => existsJoinTablePredicate({ ...table, sides: [] })).toThrow('has no sides');
    expect(() => existsJoinTablePredicate({ ...table, sides: [{ table: 'task', columns: [] }] })).toThrow(
      'has no columns',
    );
  });
});

describe('foreign keys between tenant tables', () => {
  beforeAll(async () => {
    await db.as(
      'migrator',
      [
        'CREATE TABLE plain_child (id int PRIMARY KEY, tenant_id int NOT NULL, task_id int REFERENCES task ON DELETE CASCADE)',
        'CREATE TABLE safe_child (id int PRIMARY KEY, tenant_id int NOT NULL, task_id int, tag_id int)',
        addCompositeForeignKeySql({
          table: 'safe_child',
          name: 'safe_child_task',
          columns: [{ column: 'task_id', referencedColumn: 'id' }],
          referencedTable: 'task',
          onDelete: 'CASCADE',
        }),
        addCompositeForeignKeySql({
          table: 'safe_child',
          name: 'safe_child_tag',
          columns: [{ column: 'tag_id', referencedColumn: 'id' }],
          referencedTable: 'tag',
          onDelete: 'SET NULL',
        }),
        ...['plain_child', 'safe_child'].flatMap((table) => [
          ...protectTableSql({ table, tenantIdType: 'integer', adminRole: db.roles.admin }),
          ...grants(table),
        ]),
      ].join(';'),
    );
  });

  it('a plain one lets a tenant reference another’s row, and the other’s delete cascades', async () => {
    await db.asSuperuser('INSERT INTO task VALUES (29, 2)');
    await db.as('app', `${setTenant(1)} INSERT INTO plain_child VALUES (1, 1, 29)`);
    await db.as('app', `${setTenant(2)} DELETE FROM task WHERE id = 29`);
    expect(await db.as('app', `${setTenant(1)} SELECT * FROM plain_child`)).toEqual([]);
  });

  it('a composite one stops the reference', async () => {
    const reference = db.as('app', `${setTenant(1)} INSERT INTO safe_child VALUES (1, 1, 20)`);
    await expect(reference).rejects.toMatchObject({ code: '23503' });
  });

  it('a composite one cascades within the tenant, and SET NULL leaves the tenant column alone', async () => {
    await db.asSuperuser('INSERT INTO task VALUES (18, 1); INSERT INTO tag VALUES (18, 1)');
    await db.as('app', `${setTenant(1)} INSERT INTO safe_child VALUES (2, 1, 18, NULL), (3, 1, NULL, 18)`);
    await db.as('app', `${setTenant(1)} DELETE FROM task WHERE id = 18; DELETE FROM tag WHERE id = 18`);
    expect(await db.as('app', `${setTenant(1)} SELECT * FROM safe_child`)).toEqual([
      { id: 3, tenant_id: 1, task_id: null, tag_id: null },
    ]);
  });

  it('a composite unique tells no tenant of another’s values', async () => {
    await db.as(
      'migrator',
      `CREATE TABLE label (tenant_id int NOT NULL, name text, "Sort Key" int);
       ${addCompositeUniqueSql({ table: 'label', name: 'label "name"', columns: ['name', 'Sort Key'] })};
       ${[...protectTableSql({ table: 'label', tenantIdType: 'integer', adminRole: db.roles.admin }), ...grants('label')].join(';')}`,
    );
    await db.as('app', `${setTenant(1)} INSERT INTO label VALUES (1, 'urgent', 1)`);
    await db.as('app', `${setTenant(2)} INSERT INTO label VALUES (2, 'urgent', 1)`);
    const again = db.as('app', `${setTenant(2)} INSERT INTO label VALUES (2, 'urgent', 1)`);
    await expect(again).rejects.toMatchObject({ code: '23505' });
  });
});
