import { objectName, parseTableName, quoteIdentifier, quoteTable } from '../../policies/index.js';
import { createdTables } from '../context.js';
import type { ChangeOf } from '../changes.js';
import { correctedFile, operationsFile } from '../corrected-file.js';
import type { CorrectedFile } from '../finding.js';
import type { Migration } from '../migration.js';
import { indexOptions } from '../operation-options.js';
import { changes, defineRule } from '../rule.js';

/** MIG022: CREATE INDEX on a partitioned table builds the index of every partition under a SHARE lock on all of them, and CONCURRENTLY is refused there. */
export const partitionedIndex = defineRule({
  id: 'MIG022',
  title: 'partitioned-index',
  severity: 'error',
  reason:
    'CREATE INDEX on a partitioned table builds the index of every partition under a SHARE lock on all of them, and CONCURRENTLY is refused there.',
  *find(migration, context) {
    const created = createdTables(migration);
    for (const { statement, change } of changes(migration, 'up', 'create-index')) {
      if (change.only || created.has(change.table) || !context.isPartitioned(change.table)) continue;
      const name = change.name ?? `${change.table}_idx`;
      yield {
        at: statement,
        message: change.concurrently
          ? `PostgreSQL refuses CREATE INDEX CONCURRENTLY on the partitioned table "${change.table}".`
          : `SHARE lock on "${change.table}" and all its partitions: no writes until the last partition's index is built.`,
        fix: 'Build the index of each partition CONCURRENTLY in one migration, then create it ON ONLY the parent and attach them in the next.',
        files: twoSteps(migration, statement.sql, change, name),
      };
    }
  },
});

function twoSteps(
  migration: Migration,
  sql: string,
  change: ChangeOf<'create-index'>,
  name: string,
): CorrectedFile[] {
  const { table } = change;
  const options = indexOptions(sql, change, name);
  if (!options) return twoStepsInSql(migration, sql, table, name);
  const step = (slug: string, after: number, operation: string) =>
    operationsFile(migration, { slug: `${table}-index-${slug}`, after, operations: [[operation, options]] });
  return [step('partitions', 1, 'partitionIndexes'), step('parent', 2, 'parentIndex')];
}

/** With one partition as the example: only the database knows which there are. */
function twoStepsInSql(migration: Migration, sql: string, table: string, name: string): CorrectedFile[] {
  const partition = `${parseTableName(table).name}_PARTITION`;
  const child = objectName(partition, name);
  const drop = `DROP INDEX CONCURRENTLY IF EXISTS ${quoteIdentifier(child)}`;
  const parsed =
    /^(CREATE\s+(?:UNIQUE\s+)?INDEX\s+)[^]*?(\s+ON\s+)(?:ONLY\s+)?(?:"[^"]+"|\w+)(?:\.(?:"[^"]+"|\w+))?([^]*)$/i.exec(
      sql,
    );
  if (!parsed) return [];
  const [, head = '', , tail = ''] = parsed;
  return [
    correctedFile(migration, {
      slug: `${table}-index-partitions`,
      after: 1,
      transaction: false,
      up: [drop, `${head}CONCURRENTLY ${quoteIdentifier(child)} ON ${quoteTable(partition)}${tail}`],
      down: [drop],
    }),
    correctedFile(migration, {
      slug: `${table}-index-parent`,
      after: 2,
      up: [
        `${head}${quoteIdentifier(name)} ON ONLY ${quoteTable(table)}${tail}`,
        `ALTER INDEX ${quoteIdentifier(name)} ATTACH PARTITION ${quoteIdentifier(child)}`,
      ],
      down: [`DROP INDEX ${quoteIdentifier(name)}`],
    }),
  ];
}
