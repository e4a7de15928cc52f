import { Table } from 'typeorm';
import type {
  Direction,
  Migration,
  MigrationFile,
  RunnerCall,
  Statement,
  Unanalyzable,
} from './migration.js';
import { readSql } from './read-sql.js';
import { NeedsDatabaseError, RecordingQueryRunner } from './recording-query-runner.js';

/** What became of one call. */
interface Recorded {
  readonly statements: readonly Statement[];
  readonly unanalyzable?: Unanalyzable;
}

/** What a database knows of the tables that calls change. */
export interface LiveTables {
  /** Names of the migrations that have run. */
  readonly applied: ReadonlySet<string>;
  readonly loaded: readonly Table[];
}

/**
 * Makes statements of the calls of the query runner's schema methods: those that TypeORM itself writes for them, each in
 * the place of its call. Nothing of the migrations is run, only the values that they write out are handed to TypeORM.
 *
 * Calls are recorded in the order in which the migrations run, so that a call finds the tables that earlier ones made;
 * `down` finds them as its own `up` left them. A call that depends on what only the database knows stays unanalyzable.
 *
 * @param live what migrations that have not run yet find. Of those that have run it says nothing: it is what they made.
 */
export async function recordCalls(
  files: readonly MigrationFile[],
  live: LiveTables = { applied: new Set(), loaded: [] },
): Promise<MigrationFile[]> {
  const inOrder = files
    .flatMap(({ migrations }) => migrations)
    .sort((a, b) => (a.timestamp ?? Infinity) - (b.timestamp ?? Infinity));
  if (inOrder.every(({ calls }) => calls.length === 0)) return [...files];
  const recorded = new Map<Migration, Migration>();
  const hasRun = ({ name }: Migration) => live.applied.has(name);
  const runner = new RecordingQueryRunner();
  for (const migration of inOrder.filter(hasRun)) recorded.set(migration, await recordOne(runner, migration));
  for (const table of live.loaded) runner.learn(table);
  for (const migration of inOrder.filter((one) => !hasRun(one))) {
    recorded.set(migration, await recordOne(runner, migration));
  }
  return files.map((file) => ({
    ...file,
    migrations: file.migrations.map((one) => recorded.get(one) ?? one),
  }));
}

/** The tables that the calls of a migration change. */
export function tablesOfCalls({ calls }: Migration): string[] {
  return calls.flatMap(({ args: [target] }) => {
    const name = target instanceof Table ? target.name : target;
    return typeof name === 'string' ? [name] : [];
  });
}

async function recordOne(runner: RecordingQueryRunner, migration: Migration): Promise<Migration> {
  const results = new Map<RunnerCall, Recorded>();
  await replay(runner, migration, 'up', results);
  runner.settle();
  await replay(runner.copy(), migration, 'down', results);
  return withStatements(migration, results);
}

async function replay(
  runner: RecordingQueryRunner,
  migration: Migration,
  direction: Direction,
  results: Map<RunnerCall, Recorded>,
): Promise<void> {
  for (const step of timeline(migration).filter((one) => one.direction === direction)) {
    if ('method' in step) results.set(step, await record(runner, step));
    else forgetChanged(runner, step);
  }
}

/** The statements and the calls of a migration, in the order in which they stand. */
function timeline({ statements, calls }: Migration): (Statement | RunnerCall)[] {
  const before = (position: number) => calls.filter((call) => call.position === position);
  return [
    ...statements.flatMap((statement, index) => [...before(index), statement]),
    ...before(statements.length),
  ];
}

/** What SQL of its own did to a table, TypeORM would read from the database. */
function forgetChanged(runner: RecordingQueryRunner, { changes }: Statement): void {
  for (const change of changes) {
    if (change.kind === 'drop') runner.forget(change.name);
    else if (CHANGED_COLUMNS.has(change.kind) && 'table' in change && change.table !== undefined) {
      runner.forget(change.table);
    }
  }
}

const CHANGED_COLUMNS: ReadonlySet<string> = new Set([
  'create-table',
  'add-column',
  'drop-column',
  'drop-not-null',
  'set-not-null',
  'column-type',
  'rename',
]);

async function record(runner: RecordingQueryRunner, call: RunnerCall): Promise<Recorded> {
  const { method, args } = call;
  try {
    return read(call, await runner.record(method, args));
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    const what =
      error instanceof NeedsDatabaseError ? said : `queryRunner.${method}(), of which TypeORM says: ${said}`;
    return unread(call, what);
  }
}

function read(call: RunnerCall, texts: readonly string[]): Recorded {
  const { method, args: _args, position: _position, ...place } = call;
  try {
    const parsed = texts.flatMap(readSql);
    return {
      statements: parsed.map(({ index: _index, ...statement }) => ({
        ...statement,
        ...place,
        callStatements: 1,
      })),
    };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return unread(call, `SQL of queryRunner.${method}() that PostgreSQL cannot parse (${reason})`, true);
  }
}

function unread({ line, column, anchorLine, direction }: RunnerCall, what: string, broken = false): Recorded {
  return { statements: [], unanalyzable: { line, column, anchorLine, direction, what, broken } };
}

function withStatements(migration: Migration, results: ReadonlyMap<RunnerCall, Recorded>): Migration {
  const statements = timeline(migration).flatMap((step) =>
    'method' in step ? (results.get(step)?.statements ?? []) : [step],
  );
  const unanalyzable = [...results.values()].flatMap((one) => one.unanalyzable ?? []);
  return { ...migration, statements, calls: [], unanalyzable: [...migration.unanalyzable, ...unanalyzable] };
}
