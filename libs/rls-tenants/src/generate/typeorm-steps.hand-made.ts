import type { DataSource } from 'typeorm';
import type { Change, ChangeOf } from '../lint/changes.js';
import { readSql } from '../lint/read-sql.js';
import { parseStatement, tokensOf } from './statement.js';
import type { Note, SqlStep } from './step.js';

/** TypeORM's own names: what it is, and a hash of table and columns or of the expression. */
const TYPEORM_NAME = /^(?:IDX|UQ|REL|CHK|XCL)_[0-9a-f]{20,}$/;

/** Kinds of constraints that people add by hand to what entities declare. Foreign and primary keys are the entities'. */
const KEPT_CONSTRAINTS: ReadonlySet<string> = new Set(['unique', 'check', 'exclude']);

/**
 * Leaves out the changes that drop an index or a constraint which somebody made by hand: TypeORM drops whatever the
 * entities do not declare. What TypeORM named, by the data source's naming strategy, was declared once and may go; and so
 * may what the entities declare under the same name in another way.
 *
 * libpg-query's `loadModule()` must have finished.
 */
export function withoutHandMadeDrops(
  dataSource: DataSource,
  changes: readonly SqlStep[][],
): { steps: SqlStep[]; notes: Note[] } {
  const gone = droppedColumns(changes.flat());
  const created = new Set(changes.flat().flatMap(({ up }) => createdNames(up)));
  const steps: SqlStep[] = [];
  const notes: Note[] = [];
  for (const change of changes) {
    const kept = handMade(dataSource, change);
    if (kept === undefined || created.has(kept.name) || goesWithColumn(change, gone)) {
      steps.push(...change);
      continue;
    }
    notes.push({
      kind: 'left-out',
      statements: change.map(({ up }) => up),
      reason: `${kept.what} "${kept.name}" of table "${kept.table}" is kept: no entity declares it, and TypeORM did not name it, so somebody made it by hand. To drop it, write a migration that does.`,
    });
  }
  return { steps, notes };
}

/** PostgreSQL drops it with the column: as a step of its own it comes back when that is reverted. */
function goesWithColumn([step]: readonly SqlStep[], gone: ReadonlySet<string>): boolean {
  return (step?.down ?? [])
    .map(parseStatement)
    .some(({ sql, table }) =>
      tokensOf(sql).some(({ text }) => gone.has(`${table} ${text.replaceAll('"', '')}`)),
    );
}

function droppedColumns(steps: readonly SqlStep[]): Set<string> {
  const drops = steps.flatMap(({ up }) => changesIn(up));
  const added = new Set(
    drops.flatMap((one) => (one.kind === 'add-column' ? [`${one.table} ${one.column.name}`] : [])),
  );
  const names = drops.flatMap((one) => (one.kind === 'drop-column' ? [`${one.table} ${one.column}`] : []));
  return new Set(names.filter((one) => !added.has(one)));
}

interface HandMade {
  readonly what: string;
  readonly table: string;
  readonly name: string;
}

/** What a change drops by itself, unless TypeORM made it. As part of a larger change it goes with its column. */
function handMade(dataSource: DataSource, change: readonly SqlStep[]): HandMade | undefined {
  const [step, second] = change;
  if (!step || second) return undefined;
  const [drop] = changesIn(step.up);
  const [create] = step.down.flatMap(changesIn);
  if (drop?.kind === 'drop-index' && create?.kind === 'create-index') {
    const name = create.name ?? '';
    return isTypeormIndex(dataSource, create) ? undefined : { what: 'Index', table: create.table, name };
  }
  if (drop?.kind !== 'drop-constraint' || create?.kind !== 'add-constraint') return undefined;
  const { type, columns } = create.constraint;
  if (!KEPT_CONSTRAINTS.has(type) || TYPEORM_NAME.test(drop.name)) return undefined;
  const { namingStrategy } = dataSource;
  if (type === 'unique' && namingStrategy.uniqueConstraintName(create.table, [...columns]) === drop.name)
    return undefined;
  return { what: 'Constraint', table: drop.table, name: drop.name };
}

function isTypeormIndex(
  { namingStrategy }: DataSource,
  { name = '', table, columns }: ChangeOf<'create-index'>,
): boolean {
  if (TYPEORM_NAME.test(name)) return true;
  const named = columns.filter((column) => column !== undefined);
  return named.length === columns.length && namingStrategy.indexName(table, named) === name;
}

function createdNames(sql: string): string[] {
  return changesIn(sql).flatMap((change) => {
    if (change.kind === 'create-index') return change.name ?? [];
    return change.kind === 'add-constraint' ? (change.constraint.name ?? []) : [];
  });
}

function changesIn(sql: string): readonly Change[] {
  return readSql(sql).flatMap(({ changes }) => changes);
}
