import { createTestDatabase, SERVER_VERSION } from '../support/database.js';
import { operationCases, schemaSql } from './support/cases.js';
import { inKilledProcess, type Outcome, type Trial, type Way, type Work } from './support/processes.js';

/**
 * A process with the library in it runs every operation's migration, each in a database of its own, as far as its n-th
 * statement, and is killed with SIGKILL. The next process runs the migrations to their end, and what is there then is
 * compared with what an undisturbed run left. So for n = 0, 1, 2 … as long as there is an operation with so many
 * statements, up and down.
 */

/** What became of one operation. */
interface Record {
  trial: Trial;
  before: string[];
  after: string[];
  kills: { up: number; down: number };
  /** The kills after which the next run did not converge. */
  diverged: string[];
}

const NAMES = operationCases({ roles: { app: '', migrator: '', admin: '' } } as Trial['db']).map(
  ({ name }) => name,
);

let records: Map<string, Record>;

beforeAll(async () => {
  const trials = await Promise.all(NAMES.map((_, index) => trialOf(index)));
  records = await undisturbed(trials);
  await killEverywhere(records);
}, 300_000);
afterAll(() => Promise.all([...records.values()].map(({ trial }) => trial.db.drop())));

async function trialOf(index: number): Promise<Trial> {
  const db = await createTestDatabase();
  await db.as('migrator', schemaSql(db));
  return { ...operationCases(db)[index]!, db };
}

/** Both ways without a kill; `down` must end where `up` began, and `up` again where it ended. */
async function undisturbed(trials: readonly Trial[]): Promise<Map<string, Record>> {
  const all = (work: Omit<Work, 'trial'>) => inKilledProcess(trials.map((trial) => ({ trial, ...work })));
  const before = await all({ prepare: true });
  const after = await all({ finish: 'up' });
  const entries = trials.map((trial, index): [string, Record] => [
    trial.name,
    {
      trial,
      before: before[index]!.snapshot,
      after: after[index]!.snapshot,
      kills: { up: 0, down: 0 },
      diverged: [],
    },
  ]);
  return new Map(entries);
}

/**
 * Every process but the first finishes what the one before was killed in, so the ways alternate: all migrations are
 * applied when it begins.
 */
async function killEverywhere(all: ReadonlyMap<string, Record>): Promise<void> {
  let finish: Way = 'up';
  let going = [...all.values()];
  for (let round = 0; going.length > 0; round += 1) {
    const kill: Way = finish === 'up' ? 'down' : 'up';
    const limit = Math.floor(round / 2);
    const outcomes = await inKilledProcess(going.map(({ trial }) => ({ trial, finish, kill, limit })));
    for (const outcome of outcomes) record(all.get(outcome.name)!, outcome, finish, kill, limit);
    // An operation that neither way was killed in has fewer statements: it is done.
    if (kill === 'up') going = going.filter(({ kills }) => Math.max(kills.up, kills.down) > limit);
    finish = kill;
  }
}

function record(of: Record, outcome: Outcome, finish: Way, kill: Way, limit: number): void {
  const expected = finish === 'up' ? of.after : of.before;
  if (outcome.snapshot.join() !== expected.join()) {
    const missing = expected.filter((line) => !outcome.snapshot.includes(line));
    const extra = outcome.snapshot.filter((line) => !expected.includes(line));
    of.diverged.push(`${finish}, before ${kill} at ${limit}: lacks ${missing.join()} has ${extra.join()}`);
  }
  if (outcome.killed) of.kills[kill] += 1;
}

describe(`killed with SIGKILL at every statement on PostgreSQL ${SERVER_VERSION}, the next run of`, () => {
  it.each(NAMES)('%s ends with the same schema and data, up and down', (name) => {
    const { before, after, kills, diverged } = records.get(name)!;
    expect(after).not.toEqual(before);
    expect(diverged).toEqual([]);
    // Before the first statement, and after each of at least two: its own and that on the migrations table.
    expect(kills.up).toBeGreaterThanOrEqual(3);
    expect(kills.down).toBeGreaterThanOrEqual(3);
  });
});
