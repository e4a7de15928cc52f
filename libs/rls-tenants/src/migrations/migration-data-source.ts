import type { DataSourceOptions } from 'typeorm';
import { RlsConfigurationError } from '../errors.js';

/** The migration role's login. */
export interface MigrationCredentials {
  username: string;
  /** Or a function that fetches it, as TypeORM takes it. A `url` needs the password itself. */
  password: string | (() => string) | (() => Promise<string>);
}

type PostgresOptions = Extract<DataSourceOptions, { type: 'postgres' }>;
type Server = NonNullable<PostgresOptions['replication']>['master'];

/**
 * The options of the data source that runs migrations, made from the application's: the same database and entities, with
 * the migration role's credentials in place of the app role's, one transaction per migration, and nothing that changes
 * the schema on its own. Migrations go to the replication master.
 *
 * @throws RlsConfigurationError for another database than PostgreSQL, and for `synchronize` and `dropSchema`, which know
 * nothing of policies.
 */
export function migrationDataSourceOptions(
  options: DataSourceOptions,
  credentials: MigrationCredentials,
): DataSourceOptions {
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
  const { replication, ...rest } = options;
  return {
    ...rest,
    ...withCredentials(replication ? { ...rest, ...replication.master } : rest, credentials),
    applicationName: 'rls-tenants migrations',
    migrationsRun: false,
    migrationsTransactionMode: 'each',
    // What `extra` says of the login would win over the options.
    ...(rest.extra && {
      extra: { ...(rest.extra as object), user: credentials.username, password: credentials.password },
    }),
  };
}

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
  // These would win over the login in front of the host.
  for (const parameter of ['user', 'password']) target.searchParams.delete(parameter);
  if (target.username === '') {
    throw new RlsConfigurationError(
      "The data source's `url` names no host, so it holds no login either.",
      'Replace the `url` by host, port and database.',
    );
  }
  return { ...place, url: target.toString(), username, password };
}
