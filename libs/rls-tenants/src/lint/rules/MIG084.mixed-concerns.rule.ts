import type { Change } from '../changes.js';
import { type LintContext, createdTables } from '../context.js';
import type { Statement } from '../migration.js';
import { defineRule } from '../rule.js';

/** MIG084: What fails in a migration takes back the rest of it, and what is done by hand cannot be recorded alone: each table's structure, each table's indexes and what is dropped belong into migrations of their own. */
export const mixedConcerns = defineRule({
  id: 'MIG084',
  title: 'mixed-concerns',
  severity: 'warning',
  reason:
    "What fails in a migration takes back the rest of it, and what is done by hand cannot be recorded alone: each table's structure, each table's indexes and what is dropped belong into migrations of their own.",
  *find(migration, context) {
    const created = createdTables(migration);
    const concerns = new Map<string, Statement>();
    for (const statement of migration.statements) {
      if (statement.direction !== 'up') continue;
      for (const change of statement.changes) {
        const concern = concernOf(change, created, context);
        if (concern !== undefined && !concerns.has(concern)) concerns.set(concern, statement);
      }
    }
    const [, second] = concerns;
    if (!second) return;
    const names = [...concerns.keys()];
    yield {
      at: second[1],
      message: `This migration is about ${names.slice(0, -1).join(', ')} and ${names.at(-1)}.`,
      fix: `rls-tenants split-migration ${migration.file}`,
    };
  },
});

/** Undefined for what other rules look at: rows are MIG012's, indexes of new tables MIG086's. */
function concernOf(
  change: Change,
  created: ReadonlySet<string>,
  { rootOf }: LintContext,
): string | undefined {
  switch (change.kind) {
    case 'create-table':
    case 'add-column':
    case 'add-constraint':
    case 'column-type':
    case 'set-not-null':
    case 'drop-not-null':
      return `the structure of "${rootOf(change.table)}"`;
    case 'create-index':
      return created.has(change.table) || change.only ? undefined : 'indexes';
    case 'drop-column':
      return 'drops';
    case 'drop':
      return change.object === 'table' ? 'drops' : undefined;
    default:
      return undefined;
  }
}
