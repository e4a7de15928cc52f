import type { Change } from './changes.js';
import { createdTables } from './context.js';
import type { Migration, Statement } from './migration.js';

/** A lock that stops writers, or everybody, until its transaction ends. */
export interface TableLock {
  readonly mode: 'ACCESS EXCLUSIVE' | 'SHARE ROW EXCLUSIVE';
  /** Undefined for the table of an index that is dropped: only the database knows it. */
  readonly table: string | undefined;
}

/** The locks that the migration's `up` takes on tables that it does not create, as test/facts/locks.spec.ts shows them. */
export function locksOnExisting(migration: Migration): { statement: Statement; lock: TableLock }[] {
  const created = createdTables(migration);
  const known = (table: string | undefined) => table === undefined || !created.has(table);
  return migration.statements
    .filter(({ direction }) => direction === 'up')
    .flatMap((statement) =>
      statement.changes
        .flatMap(locksOf)
        .filter(({ table }) => known(table))
        .map((lock) => ({ statement, lock })),
    );
}

function locksOf(change: Change): TableLock[] {
  switch (change.kind) {
    case 'add-column':
    case 'drop-column':
    case 'drop-not-null':
    case 'set-not-null':
    case 'column-type':
    case 'column-default':
    case 'drop-constraint':
    case 'row-security':
    case 'create-policy':
    case 'alter-policy':
    case 'drop-policy':
      return [exclusive(change.table)];
    case 'add-constraint':
      return change.constraint.references === undefined
        ? [exclusive(change.table)]
        : [writers(change.table), writers(change.constraint.references)];
    case 'create-table':
      return [
        ...(change.partitionOf === undefined ? [] : [exclusive(change.partitionOf)]),
        ...change.constraints.flatMap(({ references }) =>
          references === undefined ? [] : [writers(references)],
        ),
      ];
    case 'attach-partition':
      return [exclusive(change.partition)];
    case 'detach-partition':
      return change.concurrently ? [] : [exclusive(change.table), exclusive(change.partition)];
    case 'drop-index':
      return change.concurrently ? [] : [exclusive(undefined)];
    case 'rename':
      return change.table === undefined ? [] : [exclusive(change.table)];
    case 'heavy':
      if (change.table === undefined) return [];
      return [change.what === 'DISABLE TRIGGER' ? writers(change.table) : exclusive(change.table)];
    case 'drop':
      return change.object === 'table' ? [exclusive(change.name)] : [];
    default:
      return [];
  }
}

function exclusive(table: string | undefined): TableLock {
  return { mode: 'ACCESS EXCLUSIVE', table };
}

function writers(table: string): TableLock {
  return { mode: 'SHARE ROW EXCLUSIVE', table };
}
