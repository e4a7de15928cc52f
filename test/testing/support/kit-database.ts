import { createTestDatabase, type TestDatabase } from '../../../libs/rls-tenants/src/testing/index.js';
import type { TestDatabaseOptions } from '../../../libs/rls-tenants/src/testing/index.js';

// The server of this repository's own tests.
process.env.RLS_TEST_DATABASE_URL ??= process.env.TEST_DATABASE_URL;

/** Roles of the suites of the testing kit: others make roles on the same server. */
export const KIT_ROLES = { appRole: 'kit_app', migrationRole: 'kit_migrator', adminRole: 'kit_admin' };

/** A database made by the kit's own fixture. */
export function kitDatabase(
  entities: NonNullable<TestDatabaseOptions['dataSource']['entities']>,
  options: Partial<TestDatabaseOptions> = {},
): Promise<TestDatabase> {
  return createTestDatabase({
    ...KIT_ROLES,
    tenantIdType: 'uuid',
    ...options,
    dataSource: { entities, ...options.dataSource },
  });
}
