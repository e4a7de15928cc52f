/** A server process that holds what somebody waits for, as far as the migration role may see it. */
export interface Backend {
  /** Absent for a prepared transaction, which has no process. */
  readonly pid?: number;
  readonly application?: string;
  readonly role?: string;
  /** `active`, `idle in transaction` …; absent where the role may not see it. */
  readonly state?: string;
  /** How long its transaction is open, in seconds; absent where there is none, or the role may not see it. */
  readonly transactionSeconds?: number;
  readonly connectedSince?: Date;
  /** What it runs or ran last; only if asked for, because it may hold data. */
  readonly query?: string;
}

/** How a query of the server is run. */
export type BackendQuery = (sql: string, values: unknown[]) => Promise<Record<string, unknown>[]>;

const BACKEND = `nullif(b.pid, 0) AS pid, nullif(a.application_name, '') AS application, a.usename::text AS role,
  a.state, round(extract(epoch FROM clock_timestamp() - a.xact_start))::int AS "transactionSeconds",
  a.backend_start AS "connectedSince"`;

const BLOCKERS = `
SELECT DISTINCT ON (b.pid) ${BACKEND}, CASE WHEN $2 THEN a.query END AS query
FROM pg_stat_activity w, unnest(pg_blocking_pids(w.pid)) AS b(pid) LEFT JOIN pg_stat_activity a ON a.pid = b.pid
WHERE w.pid = $1 AND w.wait_event_type = 'Lock' ORDER BY b.pid`;

// A lock of one 64-bit key has objsubid 1, and its key in two halves.
const ADVISORY_KEY = `l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (l.classid::bigint << 32) | l.objid::bigint`;

const HOLDERS = `
SELECT ${BACKEND}, NULL AS query FROM pg_locks l CROSS JOIN LATERAL (SELECT l.pid) AS b LEFT JOIN pg_stat_activity a ON a.pid = l.pid
WHERE ${ADVISORY_KEY} = $1::bigint ORDER BY l.pid`;

/** Whether this connection holds an advisory lock ($1: its key), and on which server process it is. */
export const HELD = `
SELECT pg_backend_pid() AS pid, EXISTS (
  SELECT FROM pg_locks l WHERE l.pid = pg_backend_pid() AND ${ADVISORY_KEY} = $1::bigint) AS held`;

/** Whom a server process waits for at this moment. */
export async function blockersOf(query: BackendQuery, pid: number, withQueries: boolean): Promise<Backend[]> {
  return (await query(BLOCKERS, [pid, withQueries])).map(backend);
}

/** Who holds an advisory lock. */
export async function holdersOf(query: BackendQuery, key: string): Promise<Backend[]> {
  return (await query(HOLDERS, [key])).map(backend);
}

function backend(row: Record<string, unknown>): Backend {
  return Object.fromEntries(Object.entries(row).filter(([, value]) => value !== null));
}

/** One backend on one line: `pid 4711 "api" as "app", idle in transaction for 40 s`. */
export function describeBackend(backend: Backend): string {
  const { pid, application, role, state, transactionSeconds, query } = backend;
  if (pid === undefined) return 'a prepared transaction (pg_prepared_xacts)';
  const who = `pid ${pid}${application === undefined ? '' : ` "${application}"`}${role === undefined ? '' : ` as "${role}"`}`;
  const doing =
    state === undefined ? 'what it does is hidden from this role (pg_read_all_stats shows it)' : state;
  const long = transactionSeconds === undefined ? '' : ` for ${transactionSeconds} s`;
  return `${who}, ${doing}${long}${query === undefined ? '' : `: ${query.replaceAll(/\s+/g, ' ').trim()}`}`;
}
