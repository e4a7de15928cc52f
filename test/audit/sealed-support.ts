import type pg from 'pg';
import { DataSource } from 'typeorm';
import { Sealer } from '../../libs/rls-tenants/src/connection/sealer.js';
import type { SealKey } from '../../libs/rls-tenants/src/connection/index.js';
import type { RlsOperation } from '../../libs/rls-tenants/src/migrations/index.js';
import {
  alterPolicySql,
  installSealSql,
  sealKeyPads,
  tenantPolicyName,
  tenantTablePredicate,
  upsertSealKeySql,
} from '../../libs/rls-tenants/src/policies/index.js';
import { newSealKey } from '../support/sealed-database.js';
import { A, createNoteDatabase, type NoteDatabase } from './audit-support.js';

/** {@link NoteDatabase} with a tenant seal: its app role is no member of the admin role, and `note` is sealed. */
export interface SealedNoteDatabase extends NoteDatabase {
  readonly key: SealKey;
  addKey(key: SealKey): Promise<void>;
  /** The settings that carry a tenant, with a seal of the key (by default the database's own). */
  carried(tenantId: string, key?: SealKey): Promise<string>;
  /** Gives the tenant policy of `note` another predicate; the sealed one by default. */
  alter(predicate?: string): Promise<void>;
  /** Runs an operation as the migration role. */
  migrate(operation: RlsOperation): Promise<void>;
}

export async function createSealedNoteDatabase(): Promise<SealedNoteDatabase> {
  const db = await createNoteDatabase();
  const { app, admin } = db.roles;
  const key = newSealKey('first');
  const addKey = async ({ id, secret, expiresAt }: SealKey) => {
    const { inner, outer } = sealKeyPads(secret);
    await db.as('migrator', upsertSealKeySql(), [id, inner, outer, expiresAt ?? null]);
  };
  const carried = async (tenantId: string, by = key) => {
    const sealer = await Sealer.of({ keys: [by] }, 'rls.current_tenant');
    return `SET rls.current_tenant = '${tenantId}'; SET rls.seal = '${sealer.seal(tenantId, '', 0)}';`;
  };
  const alter = async (predicate = tenantTablePredicate({ ...db.note, sealed: true })) => {
    await db.as('migrator', alterPolicySql('note', tenantPolicyName('note'), predicate));
  };
  await db.asSuperuser(`REVOKE ${admin} FROM ${app}; REVOKE TEMPORARY ON DATABASE ${db.name} FROM PUBLIC`);
  for (const sql of installSealSql({ appRole: app, adminRole: admin })) await db.as('migrator', sql);
  await addKey(key);
  await alter();
  return {
    ...db,
    key,
    addKey,
    carried,
    alter,
    migrate: async (operation) => {
      const migrator = await new DataSource({ type: 'postgres', url: db.url('migrator') }).initialize();
      const runner = migrator.createQueryRunner();
      await runner.startTransaction();
      await operation.up(runner);
      await runner.commitTransaction();
      await runner.release();
      await migrator.destroy();
    },
    seenByA: async () => {
      const rows = await db.as<{ body: string }>(
        'app',
        `${await carried(A)} SELECT body FROM note ORDER BY id`,
      );
      return rows.map(({ body }) => body);
    },
    asTenantA: async <Row extends pg.QueryResultRow>(sql: string) =>
      db.as<Row>('app', `${await carried(A)} ${sql}`),
  };
}
