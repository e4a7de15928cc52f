import { hostname } from 'node:os';
import type pg from 'pg';
import type { DataSource, QueryRunner } from 'typeorm';
import { MigrationLockError } from '../../errors.js';
import { blockersOf, describeBackend, HELD, holdersOf, type Backend, type BackendQuery } from './backends.js';

/** How long a runner waits for another one. */
export interface LockOptions {
  /** How long to wait for the lock at most, in milliseconds. */
  waitMs: number;
  /** Told who holds the lock, and again when it is somebody else. */
  onWaiting: (holders: Backend[]) => void;
  sleep: (ms: number) => Promise<void>;
}

const POLL_MS = 1_000;

/**
 * What makes one runner the only one: two advisory locks, each held by its session and gone with it, however it ends.
 *
 * - The *runner lock*, on a connection of its own. It is free a moment after the runner is killed.
 * - The *work lock*, on the connection that migrations run on. Its server process may outlive a killed runner until its
 *   statement ends; the next runner waits for it, so that the two never work at once.
 *
 * Both are polled. A statement that waits for an advisory lock holds a snapshot, which CREATE INDEX CONCURRENTLY waits
 * for: they would deadlock.
 */
export class MigrationLock {
  private lost: Error | undefined;

  private constructor(
    private readonly client: pg.Client,
    private readonly key: string,
    /** The runner lock's server process. */
    private readonly pid: number,
  ) {
    client.on('error', (error) => (this.lost = error));
  }

  /** @throws MigrationLockError if others hold the lock for too long, or a pooler is in between. */
  static async acquire(dataSource: DataSource, options: LockOptions): Promise<MigrationLock> {
    const client = await connect(dataSource);
    try {
      const query: BackendQuery = async (sql, values) =>
        (await client.query<Record<string, unknown>>(sql, values)).rows;
      await query(`SELECT set_config('application_name', $1, false)`, [
        `rls-tenants migrate (pid ${process.pid} on ${hostname()})`,
      ]);
      // It is idle while a migration runs, and a server may end idle sessions.
      await client.query('SET idle_session_timeout = 0');
      const key = await lockKey(dataSource, query, 0);
      await poll(query, key, options);
      const [{ pid }] = (await query(HELD, [key])) as [{ pid: number }];
      const lock = new MigrationLock(client, key, pid);
      await lock.assertHeld();
      return lock;
    } catch (error) {
      await client.end();
      throw error;
    }
  }

  /**
   * Takes the work lock on the connection that migrations run on, and returns its server process.
   *
   * @throws MigrationLockError if the last runner's work goes on for too long, or a pooler is in between.
   */
  async admit(dataSource: DataSource, queryRunner: QueryRunner, options: LockOptions): Promise<number> {
    const query: BackendQuery = async (sql, values) =>
      (await queryRunner.query(sql, values)) as Record<string, unknown>[];
    const before = await pidOf(query);
    await this.assertHeld();
    if (before === this.pid || (await pidOf(query)) !== before) throw pooled();
    const key = await lockKey(dataSource, query, 1);
    await poll(query, key, options);
    const [after] = await query(HELD, [key]);
    if (after?.pid !== before || after.held !== true) throw pooled();
    return before;
  }

  /** @throws MigrationLockError if the runner lock is not held any more. */
  async assertHeld(): Promise<void> {
    const [state] = await this.query(HELD, [this.key]);
    if (state?.pid !== this.pid) throw pooled();
    if (state.held !== true) throw lockLost();
  }

  /** Whom a server process waits for at this moment. */
  blockersOf(pid: number, withQueries: boolean): Promise<Backend[]> {
    return blockersOf((sql, values) => this.query(sql, values), pid, withQueries);
  }

  /** Lets the next runner in. */
  release(): Promise<void> {
    return this.client.end();
  }

  private async query(sql: string, values: unknown[]): Promise<Record<string, unknown>[]> {
    try {
      return (await this.client.query<Record<string, unknown>>(sql, values)).rows;
    } catch (error) {
      throw lockLost(this.lost ?? error);
    }
  }
}

/** A connection beside the pool, with the pool's own options: they hold the password where a copy would not. */
async function connect(dataSource: DataSource): Promise<pg.Client> {
  const { master: pool } = dataSource.driver as unknown as {
    master: { Client: typeof pg.Client; options: pg.ClientConfig };
  };
  const client = new pool.Client(pool.options);
  // Until the lock listens, a failing query says that the connection is gone.
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

/** One lock for each migrations table: runners of different tables do not wait for each other. */
async function lockKey(dataSource: DataSource, query: BackendQuery, seed: number): Promise<string> {
  const { schema } = dataSource.options as { schema?: string };
  const [row] = await query(
    `SELECT hashtextextended(concat_ws('.', 'rls-tenants', current_database(), coalesce($1::text, current_schema()), $2::text), $3::bigint)::text AS key`,
    [schema ?? null, dataSource.options.migrationsTableName ?? 'migrations', seed],
  );
  return row!.key as string;
}

async function poll(
  query: BackendQuery,
  key: string,
  { waitMs, onWaiting, sleep }: LockOptions,
): Promise<void> {
  for (let waited = 0, told = ''; ; waited += POLL_MS) {
    const [row] = await query('SELECT pg_try_advisory_lock($1::bigint) AS locked', [key]);
    if (row?.locked === true) return;
    const holders = await holdersOf(query, key);
    if (waited >= waitMs) throw notFree(holders, waitMs);
    const who = holders.map(({ pid }) => pid).join();
    if (who !== told) onWaiting(holders);
    told = who;
    await sleep(POLL_MS);
  }
}

async function pidOf(query: BackendQuery): Promise<number> {
  const [row] = await query('SELECT pg_backend_pid() AS pid', []);
  return row!.pid as number;
}

function notFree(holders: readonly Backend[], waitMs: number): MigrationLockError {
  const who = holders.map((holder) => {
    const since = holder.connectedSince ? `, connected since ${holder.connectedSince.toISOString()}` : '';
    return describeBackend(holder) + since;
  });
  return new MigrationLockError(
    `Another runner holds the migration lock, after waiting for ${waitMs / 1_000} s: ${who.join('; ') || 'it has just let go'}.`,
    'Wait for it (--lock-wait), or end it: SELECT pg_terminate_backend(pid). The lock ends with its connection.',
  );
}

function lockLost(cause?: unknown): MigrationLockError {
  return new MigrationLockError(
    'The connection that holds the migration lock was lost, so another runner may have started.',
    'Look at `rls-tenants migrate status`, then run it again.',
    { cause },
  );
}

/** What it means that a data source of `migrationDataSourceOptions` cannot connect; any other error stays. */
export function connectionError(error: unknown): unknown {
  const refused = error instanceof Error && /unsupported startup parameter/.test(error.message);
  return refused ? pooled(error) : error;
}

function pooled(cause?: unknown): MigrationLockError {
  return new MigrationLockError(
    'A pooler between here and PostgreSQL gives each transaction another connection, so no lock and no timeout of a session holds.',
    "Connect to PostgreSQL directly, or through the pooler's session mode.",
    { cause },
  );
}
