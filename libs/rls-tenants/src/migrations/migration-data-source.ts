import type { DataSourceOptions } from 'typeorm';
import { RlsConfigurationError } from '../errors.js';
import type { RoutingOptions } from './run-on.js';

/** The migration role's login. */
export interface MigrationCredentials {
  username: string;
  /** Or a function that fetches it, as TypeORM takes it. A `url` needs the password itself. */
  password: string | (() => string) | (() => Promise<string>);
}

/** The migration role's login, and how long its statements may wait and run. */
export interface MigrationDataSourceSettings extends MigrationCredentials, RoutingOptions {
  /**
   * How long a statement may wait for a lock, in milliseconds; 0 waits for ever. Whatever queues behind a waiting
   * ALTER TABLE waits as long. Default 2,000.
   */
  lockTimeoutMs?: number;
  /** How long a statement may run, in milliseconds; 0 for ever. What needs longer sets its own. Default 30,000. */
  statementTimeoutMs?: number;
}

const DEFAULT_LOCK_TIMEOUT_MS = 2_000;
const DEFAULT_STATEMENT_TIMEOUT_MS = 30_000;

/** A migration that hangs between two statements keeps its locks: PostgreSQL ends it. In milliseconds. */
const IDLE_IN_TRANSACTION_TIMEOUT_MS = 60_000;

const APPLICATION_NAME = 'rls-tenants migrations';

type PostgresOptions = Extract<DataSourceOptions, { type: 'postgres' }>;
type Server = NonNullable<PostgresOptions['replication']>['master'];

/**
 * The options of the data source that runs migrations, made from the application's: the same database and entities, with
 * the migration role's credentials in place of the app role's, bounded waits, one transaction per migration, and nothing
 * that changes the schema on its own. Migrations go to the replication master, directly: a pooler that gives each
 * transaction another connection keeps neither timeouts nor locks.
 *
 * @throws RlsConfigurationError for another database than PostgreSQL, for `synchronize` and `dropSchema`, which know
 * nothing of policies, for `migrationsRun`, which has the app role run them, and for an impossible timeout.
 */
export function migrationDataSourceOptions(
  options: DataSourceOptions,
  settings: MigrationDataSourceSettings,
): DataSourceOptions {
  checkMigratable(options);
  const { username, password, name, allowMigrate } = settings;
  const { replication, ...rest } = options;
  return {
    ...rest,
    ...(name !== undefined && { name }),
    ...(allowMigrate && { allowMigrate }),
    ...withCredentials(replication ? { ...rest, ...replication.master } : rest, settings),
    applicationName: APPLICATION_NAME,
    migrationsRun: false,
    migrationsTransactionMode: 'each',
    // What `extra` says would win over the options.
    extra: { ...(rest.extra as object), ...startupParameters(settings), user: username, password },
  };
}

/**
 * Refuses a data source on which a schema changes by itself: when it connects, and without the runner's lock.
 *
 * @throws RlsConfigurationError for another database than PostgreSQL, `synchronize`, `dropSchema` and `migrationsRun`.
 */
export function checkMigratable(options: DataSourceOptions): asserts options is PostgresOptions {
  if (options.type !== 'postgres') {
    throw new RlsConfigurationError(
      `The data source is of type "${options.type}".`,
      'Row-level security needs PostgreSQL: a data source of type "postgres".',
    );
  }
  for (const option of ['synchronize', 'dropSchema'] as const) {
    if (!options[option]) continue;
    throw new RlsConfigurationError(
      `The data source has \`${option}: true\`, which changes tables without regard to their policies.`,
      'Remove it and let migrations change the schema.',
    );
  }
  if (options.migrationsRun) {
    throw new RlsConfigurationError(
      'The data source has `migrationsRun: true`: every process that starts would run migrations, all at once, without a lock and as the app role.',
      'Remove it, and run `rls-tenants migrate run` as the migration role before the application starts.',
    );
  }
}

/**
 * What pg sends when it connects, so that it holds for every statement of the session. As text, because pg leaves out a
 * zero. The application's `query_timeout` goes: it would give up waiting while the statement runs on.
 */
function startupParameters({
  lockTimeoutMs = DEFAULT_LOCK_TIMEOUT_MS,
  statementTimeoutMs = DEFAULT_STATEMENT_TIMEOUT_MS,
}: MigrationDataSourceSettings): object {
  return {
    application_name: APPLICATION_NAME,
    lock_timeout: milliseconds('lockTimeoutMs', lockTimeoutMs),
    statement_timeout: milliseconds('statementTimeoutMs', statementTimeoutMs),
    idle_in_transaction_session_timeout: String(IDLE_IN_TRANSACTION_TIMEOUT_MS),
    query_timeout: undefined,
  };
}

function milliseconds(option: string, value: number): string {
  if (Number.isInteger(value) && value >= 0 && value < 2 ** 31) return String(value);
  throw new RlsConfigurationError(
    `\`${option}\` is ${String(value)}.`,
    'It is a whole number of milliseconds; 0 switches the limit off.',
  );
}

/** In a `url` these would win over the login in front of the host, and over what {@link startupParameters} says. */
const OVERRIDING_PARAMETERS = [
  'user',
  'password',
  'application_name',
  'lock_timeout',
  'statement_timeout',
  'idle_in_transaction_session_timeout',
  'query_timeout',
];

/** A `url` holds a login as well, and wins over the options. */
function withCredentials(server: Server, { username, password }: MigrationCredentials): Partial<Server> {
  const { url, host, port, database, ssl } = server;
  const place = {
    ...(host !== undefined && { host }),
    ...(port !== undefined && { port }),
    ...(database !== undefined && { database }),
    ...(ssl !== undefined && { ssl }),
  };
  if (url === undefined) return { ...place, username, password };
  if (typeof password !== 'string') {
    throw new RlsConfigurationError(
      'The data source has a `url`, which takes no function for a password.',
      'Give the password itself, or replace the `url` by host, port and database.',
    );
  }
  const target = new URL(url);
  target.username = encodeURIComponent(username);
  target.password = encodeURIComponent(password);
  for (const parameter of OVERRIDING_PARAMETERS) target.searchParams.delete(parameter);
  if (target.username === '') {
    throw new RlsConfigurationError(
      "The data source's `url` names no host, so it holds no login either.",
      'Replace the `url` by host, port and database.',
    );
  }
  return { ...place, url: target.toString(), username, password };
}
