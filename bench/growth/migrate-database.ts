import type { RlsOperation } from 'nestjs-rls-tenants/migrations';
import { DataSource } from 'typeorm';

/** Runs operations of the library on a database. */
export async function migrateDatabase(url: string, operations: readonly RlsOperation[]): Promise<void> {
  const dataSource = await new DataSource({ type: 'postgres', url }).initialize();
  const queryRunner = dataSource.createQueryRunner();
  for (const operation of operations) await operation.up(queryRunner);
  await queryRunner.release();
  await dataSource.destroy();
}
