import { DataSource, type QueryRunner } from 'typeorm';
import {
  protectTable,
  RlsMigration,
  unprotectTable,
  type RlsOperation,
} from '../../libs/rls-tenants/src/migrations/index.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { FAMILY, NORTH, PARENT, SHARED, SOUTH } from './support/organisations.js';

class Steps extends RlsMigration {
  constructor(readonly operations: readonly RlsOperation[]) {
    super();
  }
}

describe('protectTable for tenants that read more than their own rows', () => {
  let db: TestDatabase;
  let migrator: DataSource;
  let runner: QueryRunner;
  beforeAll(async () => {
    db = await createTestDatabase();
    migrator = await new DataSource({ type: 'postgres', url: db.url('migrator') }).initialize();
    runner = migrator.createQueryRunner();
    await db.as('migrator', 'CREATE TABLE report (id serial PRIMARY KEY, tenant_id uuid NOT NULL)');
    await db.asSuperuser(
      `INSERT INTO report (tenant_id) VALUES ('${PARENT}'), ('${NORTH}'), ('${SOUTH}'), ('${SHARED}')`,
    );
  });
  afterAll(async () => {
    await runner.release();
    await migrator.destroy();
    await db.drop();
  });

  const options = () => ({
    table: 'report',
    tenantIdType: 'uuid' as const,
    adminRole: db.roles.admin,
    appRole: db.roles.app,
  });
  const policies = () =>
    db.asSuperuser<{ name: string; command: string }>(
      "SELECT policyname AS name, cmd AS command FROM pg_policies WHERE tablename = 'report' ORDER BY 1",
    );
  const seen = async (settings: string) =>
    (await db.as<{ tenant_id: string }>('app', `${settings} SELECT tenant_id FROM report ORDER BY 1`)).map(
      ({ tenant_id }) => tenant_id,
    );
  const home = `SET rls.current_tenant = '${PARENT}';`;
  const set = `${home} SET rls.readable_tenants = ',${NORTH},${SOUTH}';`;

  it('makes a policy for each command, and down takes back what up made', async () => {
    const steps = new Steps([protectTable({ ...options(), readableBySet: true, sharedTenant: SHARED })]);
    await steps.up(runner);
    expect(await policies()).toEqual([
      { name: 'report_admin_policy', command: 'ALL' },
      { name: 'report_tenant_delete_policy', command: 'DELETE' },
      { name: 'report_tenant_insert_policy', command: 'INSERT' },
      { name: 'report_tenant_isolation_policy', command: 'SELECT' },
      { name: 'report_tenant_update_policy', command: 'UPDATE' },
    ]);
    expect(await seen(home)).toEqual([PARENT, SHARED]);
    expect(await seen(set)).toEqual([...FAMILY, SHARED]);
    // A set that is left without a tenant shows nothing.
    expect(await seen(`SET rls.readable_tenants = ',${NORTH}';`)).toEqual([]);
    expect(await seen(`SET rls.readable_tenants = ',${NORTH}'; SET rls.current_tenant = '';`)).toEqual([]);
    await steps.down(runner);
    expect(await policies()).toEqual([]);
    await expect(db.as('app', 'SELECT FROM report')).rejects.toThrow(/permission denied/);
  });

  it('changes a protected table in one transaction, in which there is never a moment without a policy', async () => {
    await new Steps([protectTable(options())]).up(runner);
    expect(await seen(set)).toEqual([PARENT]);
    const change = new Steps([
      unprotectTable(options()),
      protectTable({ ...options(), readableBySet: true }),
    ]);
    await runner.startTransaction();
    await change.up(runner);
    await runner.commitTransaction();
    expect(await seen(set)).toEqual(FAMILY);
    await runner.startTransaction();
    await change.down(runner);
    await runner.commitTransaction();
    expect(await seen(set)).toEqual([PARENT]);
  });
});
