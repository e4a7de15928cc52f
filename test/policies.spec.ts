import { createTestDatabase, type TestDatabase } from './support/database.js';
import { protectTableSql } from '../libs/rls-tenants/src/policies/index.js';

const A = '00000000-0000-4000-8000-00000000000a';
const B = '00000000-0000-4000-8000-00000000000b';

describe('the tenant policy', () => {
  let db: TestDatabase;

  beforeAll(async () => {
    db = await createTestDatabase();
    await db.as('migrator', 'CREATE TABLE note (id int PRIMARY KEY, tenant_id uuid NOT NULL, body text)');
    const sql = protectTableSql({ table: 'note', tenantIdType: 'uuid', adminRole: db.roles.admin });
    await db.as('migrator', `${sql.join(';\n')}; GRANT SELECT ON note TO ${db.roles.app}`);
    await db.asSuperuser(`INSERT INTO note VALUES (1, '${A}', 'a'), (2, '${B}', 'b')`);
  });
  afterAll(() => db.drop());

  it('shows the app role the rows of the current tenant and no others', async () => {
    const control = await db.asSuperuser('SELECT * FROM note');
    expect(control).toHaveLength(2);

    const rows = await db.as('app', `SELECT set_config('rls.current_tenant', '${A}', true); SELECT id FROM note`);
    expect(rows).toEqual([{ id: 1 }]);
  });

  it('shows nothing without a tenant', async () => {
    expect(await db.as('app', 'SELECT * FROM note')).toEqual([]);
  });
});
