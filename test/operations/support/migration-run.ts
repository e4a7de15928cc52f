import { DataSource } from 'typeorm';
import {
  ConcurrentMigration,
  migrationDataSourceOptions,
  RlsMigration,
  type RlsOperation,
} from '../../../libs/rls-tenants/src/migrations/index.js';
import type { TestDatabase } from '../../support/database.js';

/** TypeORM's own `migration:run` of one migration, as the migration role. */
export async function runMigration(
  db: TestDatabase,
  operations: readonly RlsOperation[],
  concurrent = true,
): Promise<void> {
  const Base: abstract new () => RlsMigration = concurrent ? ConcurrentMigration : RlsMigration;
  class Only1760000000001 extends Base {
    readonly operations = operations;
  }
  const options = migrationDataSourceOptions(
    { type: 'postgres', url: db.url('app'), migrations: [Only1760000000001] },
    { username: db.roles.migrator, password: 'test' },
  );
  const dataSource = await new DataSource(options).initialize();
  try {
    await dataSource.runMigrations();
  } finally {
    await dataSource.destroy();
  }
}
