import pg from 'pg';
import { startEmbeddedPostgres } from 'nestjs-rls-tenants/testing';

/** The roles of a benchmark's server, as `setup-roles` would make them. */
export const APP_ROLE = 'app';
/** Serves requests under a seal: no member of the admin role. */
export const SEALED_APP_ROLE = 'app_sealed';
export const ADMIN_ROLE = 'rls_admin';
export const MIGRATION_ROLE = 'migrator';

export interface BenchServer {
  readonly port: number;
  /** `PostgreSQL 18.1`, as the server says. */
  readonly version: string;
  /** Connection string for a role (the superuser's by default) and a database. */
  url(role?: string, database?: string): string;
  /** Runs SQL as superuser; of several statements the last one's rows are returned. */
  sql<Row extends pg.QueryResultRow = pg.QueryResultRow>(text: string, database?: string): Promise<Row[]>;
  stop(): Promise<void>;
}

/**
 * A PostgreSQL of the benchmark's own. Nothing waits for the disk and no autovacuum runs: both would be noise that
 * hides what is measured, and both make the baseline faster, never the library.
 */
export async function startServer(settings: Record<string, string> = {}): Promise<BenchServer> {
  const server = await startEmbeddedPostgres({
    settings: {
      fsync: 'off',
      synchronous_commit: 'off',
      full_page_writes: 'off',
      autovacuum: 'off',
      shared_buffers: '2GB',
      max_wal_size: '8GB',
      max_connections: '300',
      ...settings,
    },
  });
  const url = (role = 'postgres', database = 'postgres') => {
    const target = new URL(server.url);
    target.username = role;
    target.pathname = `/${database}`;
    return target.toString();
  };
  const sql = async <Row extends pg.QueryResultRow>(text: string, database?: string): Promise<Row[]> => {
    const client = new pg.Client({ connectionString: url('postgres', database) });
    await client.connect();
    try {
      const result: unknown = await client.query<Row>(text);
      return ((Array.isArray(result) ? result.at(-1) : result) as pg.QueryResult<Row>).rows;
    } finally {
      await client.end();
    }
  };
  await sql(
    `CREATE ROLE ${ADMIN_ROLE} NOLOGIN;
     CREATE ROLE ${APP_ROLE} LOGIN NOINHERIT;
     CREATE ROLE ${SEALED_APP_ROLE} LOGIN NOINHERIT;
     CREATE ROLE ${MIGRATION_ROLE} LOGIN;
     GRANT ${ADMIN_ROLE} TO ${APP_ROLE} WITH INHERIT FALSE, SET TRUE;
     GRANT ${ADMIN_ROLE} TO ${MIGRATION_ROLE}`,
  );
  const [row] = await sql<{ version: string }>(`SELECT current_setting('server_version') AS version`);
  return {
    port: server.port,
    version: `PostgreSQL ${row!.version.split(' ')[0]}`,
    url,
    sql,
    stop: () => server.stop(),
  };
}
