/** A foreign key of a table to copy, as far as the order of copying depends on it. */
export interface Reference {
  readonly name: string;
  readonly table: string;
  readonly referencedTable: string;
  /** Its columns that may be NULL while the rows are copied: nullable, and no part of the primary key. */
  readonly nullable: readonly string[];
}

/** In which order to copy tables, and which references come afterwards. */
export interface CopyOrder {
  /** Each after those that it references. */
  readonly tables: string[];
  /** Copied as NULL first and filled in a second pass: what refers to its own table or closes a cycle. */
  readonly deferred: Reference[];
  /** Cycles that no second pass can break, each as the tables along it. */
  readonly impossible: string[][];
}

/**
 * Orders tables by the foreign keys between them. A reference that closes a cycle is deferred if one of its columns may
 * be NULL for a while: by MATCH SIMPLE, one NULL suspends the constraint. A deferrable constraint is no help, because
 * every batch is a transaction of its own.
 */
export function copyOrder(tables: readonly string[], references: readonly Reference[]): CopyOrder {
  const between = references.filter(
    ({ table, referencedTable }) => tables.includes(table) && tables.includes(referencedTable),
  );
  const order: CopyOrder = { tables: [], deferred: [], impossible: [] };
  const remaining = new Set(tables);
  const pending = new Set(between);
  while (remaining.size > 0) {
    const ready = [...remaining].filter(
      (table) =>
        ![...pending].some(
          (reference) => reference.table === table && remaining.has(reference.referencedTable),
        ),
    );
    if (ready.length === 0) {
      breakCycle(order, pending, remaining);
      continue;
    }
    for (const table of ready) remaining.delete(table);
    order.tables.push(...ready);
  }
  return order;
}

/** Takes one reference out of a cycle, to be filled later, or says that the cycle is impossible. */
function breakCycle(order: CopyOrder, pending: Set<Reference>, remaining: ReadonlySet<string>): void {
  const cycles = [...pending].flatMap((reference) => {
    if (!remaining.has(reference.table)) return [];
    const path = pathBetween(reference.referencedTable, reference.table, pending);
    return path ? [{ reference, path }] : [];
  });
  const breakable = cycles.find(({ reference }) => reference.nullable.length > 0);
  const { reference, path } = breakable ?? cycles[0]!;
  pending.delete(reference);
  if (breakable) order.deferred.push(reference);
  else order.impossible.push(path);
}

/** The tables on a way along the references from one table to another. */
function pathBetween(from: string, to: string, references: Iterable<Reference>): string[] | undefined {
  const edges = [...references];
  const paths = [[from]];
  const seen = new Set([from]);
  for (let path = paths.shift(); path; path = paths.shift()) {
    const last = path.at(-1)!;
    if (last === to) return path;
    for (const { table, referencedTable } of edges) {
      if (table !== last || seen.has(referencedTable)) continue;
      seen.add(referencedTable);
      paths.push([...path, referencedTable]);
    }
  }
  return undefined;
}
