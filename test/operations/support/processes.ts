import { fork } from 'node:child_process';
import { resolve } from 'node:path';
import { SNAPSHOT_SQL } from '../../migrations/catalog-snapshot.js';
import type { TestDatabase } from '../../support/database.js';
import type { OperationCase } from './cases.js';

const PROCESS = resolve(__dirname, 'migrating-process.mjs');

export type Way = 'up' | 'down';

/** An operation in the database in which it is tried. */
export interface Trial extends OperationCase {
  readonly db: TestDatabase;
}

/** What the process does to one trial's database, in this order: it is then killed. */
export interface Work {
  readonly trial: Trial;
  /** Runs what comes before the operation. */
  readonly prepare?: boolean;
  /** Runs the migration to its end, whatever is done of it already. */
  readonly finish?: Way | undefined;
  /** Begins with this then, and stops before the statement that follows `limit` statements that write. */
  readonly kill?: Way | undefined;
  readonly limit?: number;
  readonly lockTimeoutMs?: number;
}

export interface Outcome {
  readonly name: string;
  /** Catalog and data after `finish`, before `kill`. */
  readonly snapshot: string[];
  /** Whether the process was killed within the migration. */
  readonly killed: boolean;
}

/** Has one process do all of the work at once, and kills it with SIGKILL. */
export async function inKilledProcess(work: readonly Work[]): Promise<Outcome[]> {
  const child = fork(PROCESS, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const ended = new Promise<NodeJS.Signals | null>((done) => {
    child.once('exit', (_, signal) => {
      done(signal);
    });
  });
  const reported = new Promise<(Outcome & { error?: string })[]>((done, failed) => {
    child.once('message', done);
    void ended.then(() => {
      failed(new Error('The process ended without a report.'));
    });
  });
  child.send(work.map(({ trial, ...rest }) => messageOf(trial, rest)));
  const outcomes = await reported;
  expect(await ended).toBe('SIGKILL');
  expect(outcomes.filter(({ error }) => error !== undefined)).toEqual([]);
  return outcomes.map((outcome) => ({
    ...outcome,
    snapshot: outcome.snapshot.map((row) => JSON.stringify(row)).sort(),
  }));
}

function messageOf({ db, ...operation }: Trial, work: Omit<Work, 'trial'>): object {
  return {
    ...operation,
    ...work,
    url: db.url('app'),
    superuserUrl: db.url(),
    username: db.roles.migrator,
    snapshotSql: SNAPSHOT_SQL,
  };
}
