import { randomBytes, randomUUID } from 'node:crypto';
import { DataSource, type DataSourceOptions } from 'typeorm';
import {
  isolateDataSource,
  type IsolationOptions,
  type SealKey,
} from '../../libs/rls-tenants/src/connection/index.js';
import { tenantTablesOf } from '../../libs/rls-tenants/src/entities/index.js';
import {
  createPolicySql,
  dropPolicySql,
  installSealSql,
  joinTablePolicyName,
  sealKeyPads,
  tenantPolicies,
  tenantPolicyName,
  upsertSealKeySql,
} from '../../libs/rls-tenants/src/policies/index.js';
import {
  createProtectedDatabase,
  type PostgresOptions,
  type ProtectedDatabase,
} from './protected-database.js';

/** A protected database whose policies take a tenant with a seal only, and whose admin contexts have their own login. */
export interface SealedDatabase extends ProtectedDatabase {
  /** The key that `isolated()` seals with. */
  readonly key: SealKey;
  /** The admin contexts' login: not the app role. */
  readonly adminLogin: string;
  /** Of {@link adminLogin}; what `isolated()` uses. */
  readonly adminDataSource: DataSource;
  /** Gives the database a key. */
  addKey(key: SealKey): Promise<void>;
}

export function newSealKey(id: string): SealKey {
  return { id, secret: randomBytes(32) };
}

export async function createSealedDatabase(
  entities: NonNullable<DataSourceOptions['entities']>,
  tenantIdType: IsolationOptions['tenantIdType'] = 'uuid',
): Promise<SealedDatabase> {
  return sealDatabase(await createProtectedDatabase(entities, tenantIdType), tenantIdType);
}

/** Seals a protected database; dropping the one drops the other. */
export async function sealDatabase(
  db: ProtectedDatabase,
  tenantIdType: IsolationOptions['tenantIdType'] = 'uuid',
): Promise<SealedDatabase> {
  const { app, admin } = db.roles;
  const adminLogin = `admin_login_${randomUUID().slice(0, 8)}`;
  await db.asSuperuser(
    `REVOKE ${admin} FROM ${app};
     REVOKE TEMPORARY ON DATABASE ${db.name} FROM PUBLIC;
     CREATE ROLE ${adminLogin} LOGIN PASSWORD 'test' NOINHERIT;
     GRANT ${admin} TO ${adminLogin}`,
  );
  const addKey = async ({ id, secret, expiresAt }: SealKey) => {
    const { inner, outer } = sealKeyPads(secret);
    await db.as('migrator', upsertSealKeySql(), [id, inner, outer, expiresAt ?? null]);
  };
  const plain = await db.plain();
  for (const sql of installSealSql({ appRole: app, adminRole: admin })) await db.as('migrator', sql);
  for (const table of tenantTablesOf(plain)) {
    const policyName = (table.kind === 'entity' ? tenantPolicyName : joinTablePolicyName)(table.table);
    for (const { name, predicate, command } of tenantPolicies({ ...table, sealed: true }, policyName)) {
      await db.as(
        'migrator',
        `${dropPolicySql(table.table, name)};
         ${createPolicySql(table.table, name, predicate, undefined, command)}`,
      );
    }
  }
  await plain.destroy();
  const key = newSealKey('first');
  await addKey(key);

  const url = new URL(db.url());
  url.username = adminLogin;
  url.password = 'test';
  const adminDataSource = await db.plain({ url: url.toString() });
  return {
    ...db,
    key,
    adminLogin,
    adminDataSource,
    addKey,
    isolated: async (options?: Partial<IsolationOptions>, overrides?: Partial<PostgresOptions>) =>
      isolateDataSource(await db.plain(overrides), {
        tenantIdType,
        adminRole: admin,
        seal: { keys: [key] },
        adminDataSource,
        ...options,
      }),
    async drop() {
      await db.drop();
      await dropRole(db, adminLogin);
    },
  };
}

async function dropRole(db: ProtectedDatabase, role: string): Promise<void> {
  const server = new URL(db.url());
  server.pathname = '/postgres';
  const dataSource = await new DataSource({ type: 'postgres', url: server.toString() }).initialize();
  await dataSource.query(`DROP ROLE ${role}`);
  await dataSource.destroy();
}
