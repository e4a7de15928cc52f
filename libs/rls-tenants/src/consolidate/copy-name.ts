import type { TargetTable } from './layout.js';

/** What is done with the rows of one old table, each with progress of its own. */
export type Pass = 'keys' | 'rows' | 'references';

/** The name under which the progress of a pass is kept. */
export function copyName(pass: Pass, { schema, table }: { schema: string; table: TargetTable }): string {
  return `consolidate ${pass} of ${schema}.${table.name} into ${table.scope.table}`;
}
