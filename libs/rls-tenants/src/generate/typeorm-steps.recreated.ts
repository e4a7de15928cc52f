import type { Node } from 'libpg-query';
import { parseStatement, plain } from './statement.js';
import type { SqlStep } from './step.js';

/**
 * Leaves out the constraints and indexes that TypeORM drops and makes again as they were: it does so with those of a column
 * of which it changes anything, be it the default. PostgreSQL needs none of that, and on a table in use it would mean to
 * build every index anew. libpg-query's `loadModule()` must have finished.
 */
export function withoutRecreated(changes: readonly SqlStep[][]): SqlStep[][] {
  const steps = changes.flat();
  const cancelled = new Set<SqlStep>();
  for (const [index, step] of steps.entries()) {
    const former = droppedObject(step);
    if (former === undefined) continue;
    const again = steps
      .slice(index + 1)
      .find((other) => !cancelled.has(other) && sameObject(parseStatement(other.up).node) === former);
    if (again) cancelled.add(step).add(again);
  }
  return changes
    .map((change) => change.filter((step) => !cancelled.has(step)))
    .filter((change) => change.length > 0);
}

/** The index or constraint that a step drops, as what undoes the step makes it. */
function droppedObject({ up, down }: SqlStep): string | undefined {
  const { verb, object = '' } = parseStatement(up).effect ?? {};
  const [undo] = down;
  if (verb !== 'drop' || undo === undefined || !/^(?:constraint|index) /.test(object)) return undefined;
  return sameObject(parseStatement(undo).node);
}

/**
 * The same text for what is the same to TypeORM: it reads the columns of an index and of a unique constraint back in any
 * order, and does not read back which columns ON DELETE SET NULL names.
 */
function sameObject(node: Node): string {
  return JSON.stringify(JSON.parse(plain(node)), (key, value: unknown) => {
    if (key === 'fk_del_set_cols') return undefined;
    const isSet = (key === 'keys' || key === 'indexParams') && Array.isArray(value);
    return isSet ? value.map((one) => JSON.stringify(one)).sort() : value;
  });
}
