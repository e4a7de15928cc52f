import { DataSource, type QueryRunner } from 'typeorm';
import { createTestDatabase, type TestDatabase } from '../../support/database.js';

export const A = '00000000-0000-4000-8000-00000000000a';
export const B = '00000000-0000-4000-8000-00000000000b';

/** How long an operation waits for a strong lock, in milliseconds: nobody behind it waits longer. */
export const LOCK_TIMEOUT = 2000;

/** The current test's database, and the migration role's connections to it. */
export let db: TestDatabase;
export let migrator: DataSource;
export let queryRunner: QueryRunner;

/** SQL that makes the rest of the text run for that tenant. */
export function setTenant(tenantId: string): string {
  return `SELECT set_config('rls.current_tenant', '${tenantId}', true); `;
}

/** What operations that protect a table are told. */
export function settings() {
  return { tenantIdType: 'uuid', adminRole: db.roles.admin, appRole: db.roles.app } as const;
}

/** Replaces a query runner whose connection is lost. */
export function reconnect(): void {
  queryRunner = migrator.createQueryRunner();
}

/** Gives every test of the file a database of its own, with the schema that the SQL makes as the migration role. */
export function useSchema(sql: () => string = () => 'SELECT'): void {
  beforeEach(async () => {
    // TypeORM prints the error of a failing migration, whatever `logging` says.
    jest.spyOn(console, 'log').mockImplementation(() => undefined);
    db = await createTestDatabase();
    migrator = await new DataSource({ type: 'postgres', url: db.url('migrator') }).initialize();
    queryRunner = migrator.createQueryRunner();
    await queryRunner.query(sql());
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    if (queryRunner.isTransactionActive) await queryRunner.rollbackTransaction();
    await queryRunner.release();
    await migrator.destroy();
    await db.drop();
  });
}
