import { DataSource } from 'typeorm';
import { installSeal, protectTable, sealKeys } from 'nestjs-rls-tenants/migrations';
import { ADMIN_ROLE, MIGRATION_ROLE, SEALED_APP_ROLE, type BenchServer } from './server.js';

/** A setting of its own: `rls` is the name of a schema of tables here, and a seal has its schema to itself. */
export const SEALED_SETTING = 'sealing.current_tenant';

/** No secret: what is sealed with it is gone with the benchmark's server. */
export const SEAL_KEY = { id: 'bench', secret: Buffer.alloc(32, 'bench') };

/** Installs the seal with its key, and protects a table of the migration role's by a sealed policy. */
export async function protectSealed(server: BenchServer, table: string): Promise<void> {
  const migrator = await new DataSource({ type: 'postgres', url: server.url(MIGRATION_ROLE) }).initialize();
  const settings = { tenantSetting: SEALED_SETTING, appRole: SEALED_APP_ROLE, adminRole: ADMIN_ROLE };
  try {
    const queryRunner = migrator.createQueryRunner();
    for (const operation of [
      installSeal(settings),
      sealKeys({ keys: () => [SEAL_KEY], tenantSetting: SEALED_SETTING }),
      protectTable({ table, tenantIdType: 'uuid', sealed: true, ...settings }),
    ])
      await operation.up(queryRunner);
    await queryRunner.release();
  } finally {
    await migrator.destroy();
  }
}
