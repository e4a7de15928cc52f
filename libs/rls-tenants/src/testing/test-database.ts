import { createHash, randomBytes } from 'node:crypto';
import { DataSource, type DataSourceOptions } from 'typeorm';
import { isolateDataSource, type IsolationOptions } from '../connection/index.js';
import { tenantTablesOf, type TenantScopedTable } from '../entities/index.js';
import { RlsConfigurationError } from '../errors.js';
import {
  installSeal,
  migrationDataSourceOptions,
  protectJoinTable,
  protectTable,
  type RlsOperation,
} from '../migrations/index.js';

import { sealStateOf } from '../migrations/seal.js';
import { storeSealKeys, unloggedQuery } from '../migrations/seal-keys.js';
import {
  DEFAULT_ADMIN_ROLE,
  pruneSealKeysSql,
  quoteIdentifier,
  quoteLiteral,
  setupRolesSql,
} from '../policies/index.js';
import { databasePrefix, useTestServer, withClient, type TestServer } from './test-server.js';

type PostgresOptions = Extract<DataSourceOptions, { type: 'postgres' }>;

/** What a test database is made of: the application's own options, and the names of the roles. */
export interface TestDatabaseOptions extends Omit<IsolationOptions, 'adminDataSource'> {
  /**
   * The application's TypeORM options; where the server is and who connects is filled in. With `migrations`, the schema is
   * what they make of it, policies included. Without, it is synchronized from the entities and every tenant-scoped table
   * is protected.
   */
  dataSource: Partial<PostgresOptions> & Pick<PostgresOptions, 'entities'>;
  /** The login that serves requests, as migrations name it. Default `'app'`. */
  appRole?: string;
  /** The login that owns the tables. Default `'migrator'`. */
  migrationRole?: string;
  /**
   * The login of admin contexts, which then have a data source of their own; the app role is no member of the admin role.
   * Default: with a `seal`, `'app_admin'`; without, none.
   */
  adminLogin?: string;
}

/** A database of its own, with the roles that `setup-roles` makes. */
export interface TestDatabase {
  /** Connected as the app role, and isolated. */
  readonly dataSource: DataSource;
  readonly name: string;
  /**
   * A connection string: for an application under test that connects itself, as `'app'`, and as `'admin'` for its
   * `adminDataSource`.
   *
   * @throws RlsConfigurationError for `'admin'`, if there is no login of admin contexts.
   */
  url(login: 'app' | 'admin' | 'migration' | 'superuser'): string;
  /** Closes the data source and drops the database. Close an application's own connections first. */
  destroy(): Promise<void>;
}

/** Of the logins on an embedded server, which asks for none, or on a throw-away one. */
const PASSWORD = 'rls-tenants-test';

const LOCK = 'nestjs-rls-tenants: test databases';

/**
 * Creates a database for one test file: roles, schema and policies as in production, and an isolated data source of the
 * app role. The first one of a test run with these entities and migrations runs them, as the migration role; the others
 * are copies, which take some tens of milliseconds. It uses the server of the runner's global set-up, or starts one.
 *
 * With a `seal`, the policies ask for it: the migrations install it, or without migrations this does. The database gets
 * its keys from the options, as soon as it is installed, whatever keys the migrations gave it.
 *
 * Roles belong to the server: on one of your own (RLS_TEST_DATABASE_URL) they are created if they are missing.
 *
 * @throws RlsConfigurationError if the options change the schema on their own; RlsTenantsError if no server starts.
 */
export async function createTestDatabase(options: TestDatabaseOptions): Promise<TestDatabase> {
  const server = await useTestServer();
  try {
    const maker = new DatabaseMaker(server, options);
    const name = await maker.make();
    const { dataSource, admins } = await maker.open(name).catch(async (error: unknown) => {
      await maker.drop(name);
      throw error;
    });
    let destroyed = false;
    return {
      dataSource,
      name,
      url: (login) => maker.url(name, login),
      async destroy() {
        if (destroyed) return;
        destroyed = true;
        if (dataSource.isInitialized) await dataSource.destroy();
        if (admins?.isInitialized) await admins.destroy();
        await maker.drop(name);
        await server.release();
      },
    };
  } catch (error) {
    await server.release();
    throw error;
  }
}

class DatabaseMaker {
  private readonly roles: {
    appRole: string;
    migrationRole: string;
    adminRole: string;
    adminLogin: string | undefined;
  };

  constructor(
    private readonly server: TestServer,
    private readonly options: TestDatabaseOptions,
  ) {
    const { appRole = 'app', migrationRole = 'migrator', adminRole = DEFAULT_ADMIN_ROLE } = options;
    const { adminLogin = options.seal && 'app_admin' } = options;
    this.roles = { appRole, migrationRole, adminRole, adminLogin };
  }

  url(database: string, login: 'app' | 'admin' | 'migration' | 'superuser' = 'superuser'): string {
    const url = new URL(this.server.url);
    url.pathname = `/${database}`;
    if (login === 'superuser') return url.toString();
    const { appRole: app, migrationRole: migration, adminLogin: admin } = this.roles;
    const username = { app, migration, admin }[login];
    if (username === undefined) {
      throw new RlsConfigurationError(
        'The test database has no login of admin contexts.',
        'Give createTestDatabase() the option `seal`, or `adminLogin`.',
      );
    }
    url.username = username;
    url.password = PASSWORD;
    return url.toString();
  }

  /** @returns the name of a new database with the schema. */
  async make(): Promise<string> {
    const prefix = databasePrefix(this.server.run);
    const template = `${prefix}template_${await this.schemaKey()}`;
    const name = `${prefix}${randomBytes(6).toString('hex')}`;
    await withClient(this.server.url, async (client) => {
      // Workers start at the same time: one makes roles and template, the others wait for it.
      await client.query('SELECT pg_advisory_lock(hashtext($1))', [LOCK]);
      const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [template]);
      if (rowCount === 0) {
        const building = `${name}_building`;
        await client.query(`CREATE DATABASE ${quoteIdentifier(building)}`);
        try {
          await this.createSchema(building);
          await client.query(
            `ALTER DATABASE ${quoteIdentifier(building)} RENAME TO ${quoteIdentifier(template)}`,
          );
        } catch (error) {
          await this.drop(building);
          throw error;
        }
      }
      await client.query(`CREATE DATABASE ${quoteIdentifier(name)} TEMPLATE ${quoteIdentifier(template)}`);
      // Privileges on the database itself are not copied.
      await client.query(
        `UPDATE pg_database SET datacl = (SELECT datacl FROM pg_database WHERE datname = ${quoteLiteral(template)})
          WHERE datname = ${quoteLiteral(name)}`,
      );
    });
    if (this.options.seal)
      await withClient(this.url(name, 'migration'), (client) =>
        this.storeKeys(async (sql, values) => (await client.query(sql, values)).rows as unknown[]),
      ).catch(async (error: unknown) => {
        await this.drop(name);
        throw error;
      });
    return name;
  }

  async open(name: string): Promise<{ dataSource: DataSource; admins: DataSource | undefined }> {
    const options = this.dataSourceOptions(name);
    const dataSource = await new DataSource(options).initialize();
    const { tenantIdType, tenantSetting, adminRole, onMissingTenant, autoScope, seal } = this.options;
    const admins =
      this.roles.adminLogin === undefined
        ? undefined
        : await new DataSource({ ...options, url: this.url(name, 'admin') }).initialize();
    await isolateDataSource(dataSource, {
      ...(seal && { seal }),
      ...(admins && { adminDataSource: admins }),
      tenantIdType,
      ...(tenantSetting !== undefined && { tenantSetting }),
      ...(adminRole !== undefined && { adminRole }),
      ...(onMissingTenant !== undefined && { onMissingTenant }),
      ...(autoScope !== undefined && { autoScope }),
    });
    return { dataSource, admins };
  }

  async drop(name: string): Promise<void> {
    await withClient(this.server.url, (client) =>
      client.query(`DROP DATABASE IF EXISTS ${quoteIdentifier(name)} WITH (FORCE)`),
    );
  }

  private dataSourceOptions(database: string): PostgresOptions {
    const {
      host: _host,
      port: _port,
      username: _user,
      password: _password,
      database: _database,
      ...rest
    } = this.options.dataSource;
    for (const option of ['synchronize', 'dropSchema', 'migrationsRun', 'replication'] as const) {
      if (!rest[option]) continue;
      throw new RlsConfigurationError(
        `The data source of a test database has \`${option}\`.`,
        'Remove it: the schema is made by the migration role, from the migrations or else from the entities.',
      );
    }
    return { ...rest, type: 'postgres', url: this.url(database, 'app') };
  }

  private async createSchema(database: string): Promise<void> {
    const { appRole, migrationRole, adminLogin } = this.roles;
    const schemas = [...new Set(['public', ...(await this.metadata()).schemas])];
    await withClient(this.url(database), async (client) => {
      const { rows } = await client.query<{ name: string }>('SELECT rolname::text AS name FROM pg_roles');
      const before = new Set(rows.map(({ name }) => name));
      await client.query('BEGIN');
      for (const { sql } of setupRolesSql({ ...this.roles, schemas })) await client.query(sql);
      for (const login of [appRole, migrationRole, adminLogin])
        if (login !== undefined && !before.has(login))
          await client.query(`ALTER ROLE ${quoteIdentifier(login)} PASSWORD ${quoteLiteral(PASSWORD)}`);
      await client.query('COMMIT');
    });
    const migrator = new DataSource(
      migrationDataSourceOptions(this.dataSourceOptions(database), {
        username: migrationRole,
        password: PASSWORD,
      }),
    );
    await migrator.initialize();
    try {
      if (this.options.seal) this.giveKeysBetween(migrator);
      if (migrator.migrations.length > 0) await migrator.runMigrations({ transaction: 'each' });
      else await this.synchronize(migrator);
      // Each copy gets the keys of who asks for it.
      if (this.options.seal)
        await migrator.query(pruneSealKeysSql(this.options.tenantSetting), [[]]).catch((cause: unknown) => {
          throw notSealed(cause);
        });
    } finally {
      await migrator.destroy();
    }
  }

  /** In production somebody runs `seal-keys` between the migration that installs the seal and those that seal tables. */
  private giveKeysBetween({ migrations }: DataSource): void {
    for (const migration of migrations) {
      const { up } = migration;
      migration.up = async (queryRunner) => {
        const { installed } = await sealStateOf(queryRunner, this.options.tenantSetting);
        if (installed) await this.storeKeys(await unloggedQuery(queryRunner));
        await up.call(migration, queryRunner);
      };
    }
  }

  private async storeKeys(query: Parameters<typeof storeSealKeys>[0]): Promise<void> {
    const { seal, tenantSetting } = this.options;
    const keys = typeof seal!.keys === 'function' ? await seal!.keys() : seal!.keys;
    await storeSealKeys(query, keys, { prune: false, tenantSetting });
  }

  private async synchronize(migrator: DataSource): Promise<void> {
    await migrator.synchronize();
    const queryRunner = migrator.createQueryRunner();
    const { appRole, adminRole } = this.roles;
    const { seal, tenantSetting } = this.options;
    try {
      if (seal)
        await installSeal({ appRole, adminRole, ...(tenantSetting !== undefined && { tenantSetting }) }).up(
          queryRunner,
        );
      for (const table of tenantTablesOf(migrator)) await this.protect(table).up(queryRunner);
    } finally {
      await queryRunner.release();
    }
  }

  private protect({ table, kind, sides, entityName: _entity, ...columns }: TenantScopedTable): RlsOperation {
    const { appRole, adminRole } = this.roles;
    const sealed = this.options.seal !== undefined;
    if (kind === 'entity') return protectTable({ ...columns, table, appRole, adminRole, sealed });
    const joinTable = { ...columns, joinTable: table, appRole, adminRole, sealed };
    return protectJoinTable(
      sides ? { ...joinTable, form: 'exists', sides } : { ...joinTable, form: 'existing-column' },
    );
  }

  /** Two data sources with the same key have the same schema. */
  private async schemaKey(): Promise<string> {
    const { description } = await this.metadata();
    const { tenantSetting, tenantIdType, seal } = this.options;
    const text = JSON.stringify([description, this.roles, tenantSetting, tenantIdType, seal !== undefined]);
    return createHash('sha256').update(text).digest('hex').slice(0, 16);
  }

  /** What TypeORM knows without a connection. */
  private async metadata(): Promise<{ schemas: string[]; description: unknown }> {
    const dataSource = new DataSource(this.dataSourceOptions('unconnected'));
    await (dataSource as unknown as { buildMetadatas(): Promise<void> }).buildMetadatas();
    const { entityMetadatas, migrations } = dataSource;
    return {
      schemas: entityMetadatas.flatMap(({ schema }) => schema ?? []),
      description: {
        extensions: [dataSource.options.type === 'postgres' && dataSource.options.uuidExtension],
        migrations: migrations.map((migration) => [migration.name, migration.constructor.toString()]),
        tables: entityMetadatas.map(describe),
      },
    };
  }
}

function notSealed(cause: unknown): RlsConfigurationError {
  return new RlsConfigurationError(
    `The option \`seal\` is given, and the migrations install no tenant seal: ${(cause as Error).message}.`,
    'Put installSeal() and sealTable() into migrations, or leave `seal` out.',
    { cause },
  );
}

/** Everything of an entity's metadata that its table is made of. */
function describe(metadata: DataSource['entityMetadatas'][number]): unknown {
  const { columns, foreignKeys, indices, uniques, checks, exclusions } = metadata;
  return [
    metadata.tablePath,
    metadata.tableType,
    columns.map(({ entityMetadata: _metadata, ...column }) => [
      column.databaseName,
      ...Object.entries(column).flatMap(([key, value]: [string, unknown]) =>
        ['string', 'number', 'boolean'].includes(typeof value) ? [`${key}=${String(value)}`] : [],
      ),
      typeof column.default === 'function' ? String((column.default as () => unknown)()) : column.default,
      String(column.type),
      column.enum,
    ]),
    foreignKeys.map(({ name, onDelete, onUpdate, deferrable, referencedTablePath, columnNames }) => [
      name,
      onDelete,
      onUpdate,
      deferrable,
      referencedTablePath,
      columnNames,
    ]),
    indices.map(({ name, where, isUnique, type }) => [name, where, isUnique, type]),
    uniques.map(({ name, deferrable }) => [name, deferrable]),
    checks.map(({ name, expression }) => [name, expression]),
    exclusions.map(({ name, expression }) => [name, expression]),
  ];
}
