import { quoteTable } from '../../policies/index.js';
import { type LintContext, addedConstraints, createdTables } from '../context.js';
import { changes, defineRule } from '../rule.js';

/** MIG071: ATTACH PARTITION reads every row of the partition under ACCESS EXCLUSIVE, unless a validated CHECK proves that they belong there; and a DEFAULT partition is read as well, unless a CHECK proves that it holds none of them. */
export const attachScans = defineRule({
  id: 'MIG071',
  title: 'attach-scans',
  severity: 'warning',
  reason:
    'ATTACH PARTITION reads every row of the partition under ACCESS EXCLUSIVE, unless a validated CHECK proves that they belong there; and a DEFAULT partition is read as well, unless a CHECK proves that it holds none of them.',
  *find(migration, context) {
    const created = createdTables(migration);
    const added = [
      ...changes(migration, 'up', 'attach-partition').map(({ statement, change }) => ({
        statement,
        ...change,
      })),
      ...changes(migration, 'up', 'create-table').flatMap(({ statement, change }) =>
        change.partitionOf === undefined
          ? []
          : [{ statement, table: change.partitionOf, partition: change.table, bound: change.bound }],
      ),
    ];
    for (const { statement, table, partition, bound } of added) {
      const alter = `ALTER TABLE ${quoteTable(partition)}`;
      if (!created.has(partition) && !hasValidCheck(context, partition)) {
        yield {
          at: statement,
          message: `ACCESS EXCLUSIVE lock on "${partition}" while every row of it is read.`,
          fix: `${alter} ADD CONSTRAINT … CHECK (… IS NOT NULL AND …) NOT VALID; -- the bound\n${alter} VALIDATE CONSTRAINT …; -- in the next migration, and ATTACH in the one after`,
        };
      }
      const byDefault = bound === 'default' ? undefined : defaultPartition(context, table);
      if (byDefault === undefined || created.has(byDefault) || hasValidCheck(context, byDefault)) continue;
      yield {
        at: statement,
        message: `ACCESS EXCLUSIVE lock on "${byDefault}", the DEFAULT partition of "${table}", while every row of it is read.`,
        fix: `Add a CHECK to ${quoteTable(byDefault)} that excludes the new bound, NOT VALID, and validate it in the next migration.`,
      };
    }
  },
});

/** A CHECK of any content: whether it implies the bound is for PostgreSQL to prove. */
function hasValidCheck({ migrations }: LintContext, table: string): boolean {
  const validated = new Set(
    migrations.flatMap((migration) =>
      changes(migration, 'up', 'validate-constraint').map(({ change }) => `${change.table} ${change.name}`),
    ),
  );
  return migrations
    .flatMap(addedConstraints)
    .some(
      (one) =>
        one.table === table &&
        one.constraint.type === 'check' &&
        (!one.constraint.notValid || validated.has(`${table} ${one.constraint.name}`)),
    );
}

function defaultPartition({ migrations }: LintContext, parent: string): string | undefined {
  for (const migration of migrations) {
    for (const { change } of changes(migration, 'up', 'create-table')) {
      if (change.partitionOf === parent && change.bound === 'default') return change.table;
    }
    for (const { change } of changes(migration, 'up', 'attach-partition')) {
      if (change.table === parent && change.bound === 'default') return change.partition;
    }
  }
  return undefined;
}
