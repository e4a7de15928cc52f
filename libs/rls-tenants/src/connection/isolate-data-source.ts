import type { DataSource } from 'typeorm';
import { RlsConfigurationError } from '../errors.js';
import { assertSupportedPostgres, assertSupportedVersions } from '../supported-versions.js';
import { installAutoScope } from './auto-scope.js';
import { carryOnPool } from './carrying-pool.js';
import { keyResultCacheByContext } from './context-result-cache.js';
import { guardQueryRunners } from './guarded-query-runner.js';
import { Isolation } from './isolation.js';
import type { IsolationOptions } from './isolation.options.js';
import type { PgPool } from './pg-internals.js';
import { TenantSubscriber } from './tenant.subscriber.js';

/**
 * Isolates an initialised PostgreSQL data source: from here on each of its statements carries the tenant context of
 * its caller, also after `destroy()` and another `initialize()`. For scripts and workers without Nest; in a Nest
 * application the module does it.
 *
 * It does not look at the database: `check-rls` and boot verification do.
 *
 * @returns the same data source.
 * @throws RlsConfigurationError if it is no PostgreSQL data source, is not initialised, uses pg-native, is isolated
 * already, or declares its entities for another tenant type or setting; or if TypeORM, node-postgres, nestjs-cls or the
 * server are of a version that is not supported.
 */
export async function isolateDataSource(
  dataSource: DataSource,
  options: IsolationOptions,
): Promise<DataSource> {
  assertSupportedVersions(['typeorm', 'pg', 'nestjs-cls']);
  poolsOf(dataSource); // refuses what has none
  assertSupportedPostgres((dataSource.driver as { version?: string }).version);
  const isolation = await Isolation.of(dataSource, options);
  const { adminDataSource } = options;
  if (adminDataSource) {
    isolation.admins = {
      isolation: await isolateForAdmins(adminDataSource, dataSource, options),
      pool: () => poolsOf(adminDataSource)[0]!,
    };
  }
  // Not before the await: the module and a script may isolate it at the same time.
  if (!Isolation.claim(dataSource, isolation)) {
    throw refused(
      dataSource,
      'is isolated already',
      'Isolate it once: by the module or by isolateDataSource().',
    );
  }
  install(dataSource, isolation);
  return dataSource;
}

/** Isolates the data source that serves admin contexts, unless it serves another one already. */
async function isolateForAdmins(
  adminDataSource: DataSource,
  dataSource: DataSource,
  { seal: _seal, adminDataSource: _itself, ...options }: IsolationOptions,
): Promise<Isolation> {
  poolsOf(adminDataSource);
  const { database } = dataSource.driver;
  if (adminDataSource === dataSource || adminDataSource.driver.database !== database) {
    throw refused(
      adminDataSource,
      `cannot serve the admin contexts of database "${database}"`,
      '`adminDataSource` is another data source of the same database, with a login of its own.',
    );
  }
  const known = Isolation.get(adminDataSource);
  if (known?.serves === 'admins') return known;
  const isolation = await Isolation.of(adminDataSource, options, 'admins');
  if (!Isolation.claim(adminDataSource, isolation))
    throw refused(adminDataSource, 'is isolated already', 'Leave it to the data source that it serves.');
  install(adminDataSource, isolation);
  return isolation;
}

function install(dataSource: DataSource, isolation: Isolation): void {
  carryOnConnections(dataSource, isolation);
  guardQueryRunners(dataSource, isolation);
  keyResultCacheByContext(dataSource, isolation);
  if (isolation.autoScope) installAutoScope();

  const { initialize } = dataSource;
  dataSource.initialize = async () => {
    await initialize.call(dataSource);
    carryOnConnections(dataSource, isolation);
    return dataSource;
  };
}

/** What `initialize()` makes anew each time: the pools and the subscribers. */
function carryOnConnections(dataSource: DataSource, isolation: Isolation): void {
  for (const pool of poolsOf(dataSource)) carryOnPool(pool, isolation);
  dataSource.subscribers.push(new TenantSubscriber(isolation));
}

/** The pools of a data source: the master's and those of the replication slaves. */
function poolsOf(dataSource: DataSource): PgPool[] {
  if (dataSource.options.type !== 'postgres') {
    throw refused(
      dataSource,
      `has type "${dataSource.options.type}"`,
      'Row-level security needs a data source of type "postgres".',
    );
  }
  if (!dataSource.isInitialized) {
    throw refused(dataSource, 'is not initialised', 'Call dataSource.initialize() first.');
  }
  const { master, slaves } = dataSource.driver as unknown as { master: PgPool; slaves: PgPool[] };
  return [master, ...slaves];
}

function refused({ driver }: DataSource, cause: string, hint: string): RlsConfigurationError {
  return new RlsConfigurationError(`The data source of database "${driver.database}" ${cause}.`, hint);
}
