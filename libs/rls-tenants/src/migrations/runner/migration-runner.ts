import { setTimeout as pause } from 'node:timers/promises';
import type { DataSource, MigrationInterface, QueryRunner } from 'typeorm';
import { MigrationFailedError, RlsConfigurationError, RlsTenantsError } from '../../errors.js';
import { ConcurrentMigration } from '../concurrent-migration.js';
import { checkMigratable } from '../migration-data-source.js';
import { describeBackend, type Backend } from './backends.js';
import { CommitWatch } from './commit-watch.js';
import type { MigrationAction, MigrationEvent, MigrationStep } from './migration-events.js';
import { MigrationHistory, type KnownMigration, type MigrationStatus } from './migration-history.js';
import { LockWatch } from './lock-watch.js';
import { MigrationLock, type LockOptions } from './migration-lock.js';
import { DEFAULT_RETRY, isConnectionError, retryDelayMs, retryReason, type RetryOptions } from './retry.js';
import { prepareSession } from './session-settings.js';

/**
 * A migration without a transaction that says it may be run again from the top after it failed anywhere: the runner then
 * runs it again after a lock timeout. A {@link ConcurrentMigration} is one.
 */
export interface IdempotentMigration extends MigrationInterface {
  readonly transaction: false;
  readonly idempotent: true;
}

/** How a {@link MigrationRunner} works. */
export interface MigrationRunnerOptions {
  /** The login that serves requests: the runner refuses to work as that role. */
  appRole?: string | undefined;
  /** How long to wait while another runner works, in milliseconds. Default 600,000. */
  lockWaitMs?: number | undefined;
  /** How often to try again after a lock timeout or a deadlock. */
  retry?: RetryOptions | undefined;
  /** Shows the statements of those who are in the way; they may hold data. Default `false`. */
  showQueries?: boolean | undefined;
  onEvent?: ((event: MigrationEvent) => void) | undefined;
  /** Replaces waiting, for tests. */
  sleep?: ((ms: number) => Promise<void>) | undefined;
}

const DEFAULT_LOCK_WAIT_MS = 600_000;

/** What a runner has while it holds the lock. */
interface Session {
  lock: MigrationLock;
  queryRunner: QueryRunner;
  history: MigrationHistory;
  /** The server process that migrations run on. */
  pid: number;
  /** What was last said about admission. */
  warned?: string;
}

/**
 * Runs TypeORM's migrations so that several runners, a busy database and a crash do no harm:
 *
 * - One runner works at a time, the others wait: what is pending is read under the lock, so everything is applied once.
 * - One transaction for each migration, and none for `transaction = false`, in `revert` too.
 * - A migration that comes into others' locks gives up after `lock_timeout`, says who is in the way, and tries again:
 *   one in a transaction as a whole, one without only if it says it is idempotent.
 *
 * After a crash the lock is free when the server notices; nothing is left of a migration in a transaction, and a
 * migration without one is not recorded and starts from its top.
 *
 * The data source is initialized and logs in as the migration role (`migrationDataSourceOptions`). Every method throws
 * RlsConfigurationError if it cannot be used for migrations, MigrationLockError if the lock cannot be had, and
 * MigrationFailedError if a migration fails.
 */
export class MigrationRunner {
  constructor(
    private readonly dataSource: DataSource,
    private readonly options: MigrationRunnerOptions = {},
  ) {}

  /** Applies what is pending, oldest first. @returns the names of what it applied. */
  run(): Promise<string[]> {
    return this.locked(async (session) => {
      await session.history.createTables();
      return this.performAll(session, 'run', await session.history.pending());
    });
  }

  /** Reverts the migration that was applied last. @returns its name; none if there is nothing to revert. */
  async revert(): Promise<string | undefined> {
    const [reverted] = await this.locked(async (session) => {
      const last = await session.history.last();
      return this.performAll(session, 'revert', last ? [last] : []);
    });
    return reverted;
  }

  /** Records pending migrations as applied without running them, all or none. @returns their names. */
  fake(names: readonly string[]): Promise<string[]> {
    return this.locked(async (session) =>
      this.recordAll(session, 'fake', await session.history.named(names, 'pending')),
    );
  }

  /** Forgets applied migrations without reverting them, all or none. @returns their names. */
  fakeRevert(names: readonly string[]): Promise<string[]> {
    return this.locked(async (session) =>
      this.recordAll(session, 'fake-revert', await session.history.named(names, 'applied')),
    );
  }

  /** What is applied and what is pending. Takes no lock and changes nothing. */
  async status(): Promise<MigrationStatus[]> {
    checkMigratable(this.dataSource.options);
    const queryRunner = this.dataSource.createQueryRunner('master');
    try {
      return await new MigrationHistory(this.dataSource, queryRunner).status();
    } finally {
      await queryRunner.release();
    }
  }

  private async locked<Result>(work: (session: Session) => Promise<Result>): Promise<Result> {
    checkMigratable(this.dataSource.options);
    const options = this.lockOptions();
    const lock = await MigrationLock.acquire(this.dataSource, options);
    const queryRunner = this.dataSource.createQueryRunner('master');
    try {
      await this.checkRole(queryRunner);
      const pid = await lock.admit(this.dataSource, queryRunner, options);
      const history = new MigrationHistory(this.dataSource, queryRunner);
      return await work({ lock, queryRunner, history, pid });
    } finally {
      await giveBack(queryRunner);
      await lock.release();
    }
  }

  private lockOptions(): LockOptions {
    const { lockWaitMs = DEFAULT_LOCK_WAIT_MS } = this.options;
    return {
      waitMs: lockWaitMs,
      onWaiting: (holders) => this.emit({ type: 'waiting', holders }),
      sleep: (ms) => this.sleep(ms),
    };
  }

  private async checkRole(queryRunner: QueryRunner): Promise<void> {
    const { appRole } = this.options;
    const [{ role }] = (await queryRunner.query('SELECT session_user::text AS role')) as [{ role: string }];
    if (role !== appRole) return;
    throw new RlsConfigurationError(
      `The data source logs in as the app role "${role}", which must not own tables.`,
      "Use the migration role's login: migrationDataSourceOptions(options, { username, password }).",
    );
  }

  private async performAll(
    session: Session,
    action: 'run' | 'revert',
    migrations: readonly KnownMigration[],
  ): Promise<string[]> {
    const done: string[] = [];
    for (const [index, migration] of migrations.entries()) {
      const step = { name: migration.name, action, position: index + 1, of: migrations.length };
      const start = performance.now();
      this.emit({ type: 'started', ...step });
      await this.perform(session, migration, step, done);
      this.emit({ type: 'finished', ...step, durationMs: Math.round(performance.now() - start) });
      done.push(migration.name);
    }
    return done;
  }

  /** Tries one migration until it is done, or it is not worth another try. */
  private async perform(
    session: Session,
    migration: KnownMigration,
    step: MigrationStep,
    done: readonly string[],
  ): Promise<void> {
    const retry = { ...DEFAULT_RETRY, ...withoutUndefined(this.options.retry ?? {}) };
    for (let attempt = 1; ; attempt++) {
      const { showQueries = false } = this.options;
      const watch = new LockWatch(() => session.lock.blockersOf(session.pid, showQueries));
      try {
        const failed = await this.attempt(session, migration, step.action);
        if (!failed) return;
        const blockers = await watch.stop();
        const reason = retryReason(failed.cause);
        if (reason === undefined || !failed.mayRunAgain || attempt >= retry.tries)
          throw failure(migration.name, failed, done, attempt, blockers);
        const delayMs = retryDelayMs(attempt, retry);
        this.emit({ type: 'retry', ...step, attempt, tries: retry.tries, delayMs, reason, blockers });
        await this.sleep(delayMs);
      } finally {
        await watch.stop();
      }
    }
  }

  private async attempt(
    session: Session,
    migration: KnownMigration,
    action: MigrationAction,
  ): Promise<FailedAttempt | undefined> {
    const { lock, queryRunner, history } = session;
    const inTransaction = migration.instance.transaction !== false;
    const watch = new CommitWatch(queryRunner);
    let committing = false;
    try {
      await lock.assertHeld();
      this.warnOfAdmission(session, await prepareSession(queryRunner, migration.name));
      if (inTransaction) await queryRunner.startTransaction();
      if (action === 'run') {
        await migration.instance.up(queryRunner);
        await history.insertMigration(migration);
      } else {
        await migration.instance.down(queryRunner);
        await history.deleteMigration(migration);
      }
      watch.stop();
      if (!inTransaction) {
        checkLeftNothingOpen(queryRunner);
        return undefined;
      }
      // Without it another runner may be at the same migration: better that this one leaves nothing.
      await lock.assertHeld();
      committing = true;
      await queryRunner.commitTransaction();
      return undefined;
    } catch (cause) {
      watch.stop();
      await rollBack(queryRunner);
      if (!inTransaction)
        return { cause, left: 'its-statements', mayRunAgain: isIdempotent(migration.instance) };
      return watch.committed || (committing && isConnectionError(cause))
        ? { cause, left: 'unknown', mayRunAgain: false }
        : { cause, left: 'nothing', mayRunAgain: true };
    }
  }

  private async recordAll(
    { lock, queryRunner, history }: Session,
    action: 'fake' | 'fake-revert',
    migrations: readonly KnownMigration[],
  ): Promise<string[]> {
    await queryRunner.startTransaction();
    try {
      await history.createTables();
      for (const migration of migrations) {
        if (action === 'fake') await history.insertMigration(migration);
        else await history.deleteMigration(migration);
      }
      await lock.assertHeld();
      await queryRunner.commitTransaction();
    } catch (error) {
      await rollBack(queryRunner);
      throw error;
    }
    return migrations.map(({ name }) => name);
  }

  private warnOfAdmission(session: Session, problem: RlsConfigurationError | undefined): void {
    if (problem && problem.message !== session.warned)
      this.emit({ type: 'warning', message: problem.message, hint: problem.hint });
    if (problem) session.warned = problem.message;
    else delete session.warned;
  }

  private emit(event: MigrationEvent): void {
    this.options.onEvent?.(event);
  }

  private sleep(ms: number): Promise<void> {
    return this.options.sleep ? this.options.sleep(ms) : pause(ms);
  }
}

function isIdempotent(migration: MigrationInterface): boolean {
  return (
    migration instanceof ConcurrentMigration ||
    (migration as Partial<IdempotentMigration>).idempotent === true
  );
}

function checkLeftNothingOpen(queryRunner: QueryRunner): void {
  if (!queryRunner.isTransactionActive) return;
  throw new RlsConfigurationError(
    'It started a transaction and did not end it.',
    'Commit what a migration with `transaction = false` starts.',
  );
}

/** Ends the transaction and those nested in it. After a lost connection there is none, and its error is the news. */
async function rollBack(queryRunner: QueryRunner): Promise<void> {
  try {
    while (queryRunner.isTransactionActive) await queryRunner.rollbackTransaction();
  } catch {
    // The migration's own error says what happened.
  }
}

/** Leaves nothing of the session to whoever gets the connection from the pool next; the work lock goes with it. */
async function giveBack(queryRunner: QueryRunner): Promise<void> {
  try {
    await queryRunner.query('DISCARD ALL');
  } catch {
    // The connection is lost, and with it everything it held.
  } finally {
    await queryRunner.release();
  }
}

/** What a failed migration leaves in the database, and what to do then. */
const LEFT = {
  nothing: ['It ran in a transaction: nothing of it is left.', 'Mend the cause and run it again.'],
  'its-statements': [
    'It ran without a transaction: what its statements did before this one is still there, and the migration counts as it did before.',
    'Mend the cause and make sure that it can start again from its top; then run it again.',
  ],
  unknown: [
    'What it did was committed, or may have been: it ended its transaction itself, or the connection was lost at its end.',
    'Look at the tables and at `rls-tenants migrate status` before running it again.',
  ],
} as const;

/** Why an attempt failed, and what it left. */
interface FailedAttempt {
  cause: unknown;
  left: keyof typeof LEFT;
  mayRunAgain: boolean;
}

function failure(
  name: string,
  { cause, left }: FailedAttempt,
  done: readonly string[],
  attempts: number,
  blockers: readonly Backend[],
): MigrationFailedError {
  const message = (cause instanceof Error ? cause.message : String(cause)).replace(/\.$/, '');
  const tried = attempts === 1 ? '' : ` after ${attempts} tries`;
  const blocked = blockers.length === 0 ? '' : ` In the way: ${blockers.map(describeBackend).join('; ')}.`;
  const before = done.length === 0 ? '' : ` Before it, ${done.join(', ')} succeeded and stays.`;
  const [remains, next] = LEFT[left];
  return new MigrationFailedError(
    `Migration "${name}" failed${tried}: ${message}.${blocked} ${remains}${before}`,
    `${cause instanceof RlsTenantsError ? `${cause.hint} ` : ''}${next}`,
    { cause },
  );
}

function withoutUndefined<Options extends object>(
  options: Options,
): { [Key in keyof Options]?: NonNullable<Options[Key]> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as {
    [Key in keyof Options]?: NonNullable<Options[Key]>;
  };
}
