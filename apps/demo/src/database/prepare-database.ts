import pg from 'pg';
import { DataSource, type DataSourceOptions } from 'typeorm';
import { sealKeysFromEnvironment } from 'nestjs-rls-tenants';
import { migrationDataSourceOptions, sealKeys, setupRolesSql } from 'nestjs-rls-tenants/migrations';
import { consoleRoleSql } from './console-role.js';
import { dataSourceOptions } from './data-source-options.js';
import { databaseUrl, DEMO_LOGINS, DEMO_ROLES, loginPassword, loginUrl, type DemoLogin } from './roles.js';
import { seed } from './seed/seed.js';

/** Name of the demo's database. The number rises with each version whose migrations cannot go on from the last one's. */
export const DEMO_DATABASE = 'rls_demo_3';

// Any constant does: it keeps two processes that start at once from preparing at once.
const PREPARATION_LOCK = 7_268_531;

/** How the application reaches its database. */
export interface DemoConnections {
  /** The app role's connection string. */
  readonly appUrl: string;
  /** Of the login that serves admin contexts. */
  readonly adminUrl: string;
  /** Of the login that runs what visitors type. */
  readonly consoleUrl: string;
}

/**
 * Creates what is missing: the database, its roles with least privilege, the schema, the keys and the seed. Running it
 * again changes nothing. Each step uses the login that is meant for it: a superuser for database and roles, the migration
 * role for the schema and the keys of RLS_SEAL_KEYS, the app role (in each tenant's context) for the rows.
 *
 * @param serverUrl a superuser's connection string, for any database of the server.
 */
export async function prepareDatabase(serverUrl: string, database = DEMO_DATABASE): Promise<DemoConnections> {
  const connections = {
    appUrl: loginUrl(serverUrl, database, DEMO_ROLES.appRole),
    adminUrl: loginUrl(serverUrl, database, DEMO_ROLES.adminLogin),
    consoleUrl: loginUrl(serverUrl, database, DEMO_ROLES.consoleRole),
  };
  const migrationOptions = migrationRoleOptions(serverUrl, database);
  await withPreparationLock(serverUrl, async () => {
    await createDatabase(serverUrl, database);
    await createRoles(serverUrl, database);
    await withDataSource(migrationOptions, async (dataSource) => {
      await dataSource.runMigrations();
      await giveKeys(dataSource);
    });
    // Autovacuum would do it within a minute; until then the planner knows nothing of the seeded rows.
    if (await seed(connections.appUrl))
      await withDataSource(migrationOptions, (dataSource) => dataSource.query('ANALYZE'));
  });
  return connections;
}

/** How the migration role reaches the database: the application's options with other credentials. */
export function migrationRoleOptions(serverUrl: string, database = DEMO_DATABASE): DataSourceOptions {
  const { migrationRole } = DEMO_ROLES;
  return migrationDataSourceOptions(dataSourceOptions(loginUrl(serverUrl, database, DEMO_ROLES.appRole)), {
    username: migrationRole,
    password: loginPassword(serverUrl, migrationRole),
  });
}

/** Runs `fn` while no other process prepares a database on the server. */
export async function withPreparationLock<T>(serverUrl: string, fn: () => Promise<T>): Promise<T> {
  return withClient(serverUrl, async (client) => {
    await client.query('SELECT pg_advisory_lock($1)', [PREPARATION_LOCK]);
    return fn();
  });
}

async function createDatabase(serverUrl: string, database: string): Promise<void> {
  await withClient(serverUrl, async (client) => {
    const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [database]);
    if (rowCount === 0) await client.query(`CREATE DATABASE ${client.escapeIdentifier(database)}`);
  });
}

async function createRoles(serverUrl: string, database: string): Promise<void> {
  await withClient(databaseUrl(serverUrl, database).toString(), async (client) => {
    await client.query('BEGIN');
    // Later on it would give back what a migration has revoked on purpose.
    if (await isEmpty(client)) for (const { sql } of setupRolesSql(DEMO_ROLES)) await client.query(sql);
    for (const sql of consoleRoleSql()) await client.query(sql);
    for (const login of DEMO_LOGINS) await setPassword(client, serverUrl, login);
    await client.query('COMMIT');
  });
}

/** A rotation is no migration. Keys that the database has besides stay: another process may seal with them. */
async function giveKeys(dataSource: DataSource): Promise<void> {
  const queryRunner = dataSource.createQueryRunner();
  try {
    await sealKeys({ keys: () => sealKeysFromEnvironment() }).up(queryRunner);
  } finally {
    await queryRunner.release();
  }
}

async function isEmpty(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query("SELECT to_regclass('public.migrations') IS NULL AS empty");
  return rows[0].empty;
}

async function setPassword(client: pg.Client, serverUrl: string, login: DemoLogin): Promise<void> {
  // ALTER ROLE takes no parameters; the server quotes them itself.
  const { rows } = await client.query<{ statement: string }>(
    "SELECT format('ALTER ROLE %I PASSWORD %L', $1::text, $2::text) AS statement",
    [login, loginPassword(serverUrl, login)],
  );
  await client.query(rows[0]!.statement);
}

async function withClient<T>(connectionString: string, fn: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    return await fn(client);
  } finally {
    await client.end();
  }
}

async function withDataSource<T>(
  options: DataSourceOptions,
  fn: (dataSource: DataSource) => Promise<T>,
): Promise<T> {
  const dataSource = await new DataSource(options).initialize();
  try {
    return await fn(dataSource);
  } finally {
    await dataSource.destroy();
  }
}
