import { quoteIdentifier } from '../../policies/index.js';
import { correctedFile } from '../corrected-file.js';
import { changes, defineRule } from '../rule.js';

/** MIG087: If the index of one table fails, the rollback drops the other's as well, and neither can be recorded as done without the other. */
export const indexesOfSeveralTables = defineRule({
  id: 'MIG087',
  title: 'indexes-of-several-tables',
  severity: 'error',
  reason:
    "If the index of one table fails, the rollback drops the other's as well, and neither can be recorded as done without the other.",
  *find(migration, context) {
    const indexes = changes(migration, 'up', 'create-index');
    const [first] = indexes.map(({ change }) => context.rootOf(change.table));
    const reported = new Set<string>();
    for (const { statement, change } of indexes) {
      const table = context.rootOf(change.table);
      if (table === first || reported.has(table)) continue;
      reported.add(table);
      yield {
        at: statement,
        message: `An index of "${change.table}" in the migration of the indexes of "${first}".`,
        fix: 'Give the indexes of each table a migration of their own, named after it.',
        files: [
          correctedFile(migration, {
            slug: `${change.table}-indexes`,
            after: reported.size + 1,
            ...(change.concurrently && { transaction: false }),
            up: indexes.filter((one) => one.change.table === change.table).map((one) => one.statement.sql),
            down: indexes
              .filter((one) => one.change.table === change.table && one.change.name !== undefined)
              .map(
                (one) =>
                  `DROP INDEX ${change.concurrently ? 'CONCURRENTLY ' : ''}${quoteIdentifier(one.change.name!)}`,
              ),
          }),
        ],
      };
    }
  },
});
