import { objectName, parseTableName, quoteIdentifier } from '../policies/index.js';
import type { ChangeOf } from './changes.js';
import type { CorrectedFile } from './finding.js';
import type { Migration, Statement } from './migration.js';
import { indexOptions, typeScriptOf } from './operation-options.js';
import { changes } from './rule.js';

/** What a corrected migration does. */
export interface Correction {
  /** What it does, in file name's words: `note-indexes`. */
  readonly slug: string;
  /** Milliseconds after the migration that it corrects. */
  readonly after: number;
  /** False for what PostgreSQL refuses inside a transaction. */
  readonly transaction?: false;
  readonly up: readonly string[];
  readonly down: readonly string[];
}

/** A migration of the library's operations, each of which can be interrupted, run again and reverted. */
export interface OperationCorrection extends Pick<Correction, 'slug' | 'after'> {
  /** The operation's name and what it is told. */
  readonly operations: readonly (readonly [name: string, options: object])[];
}

/** The text of a migration file, with a timestamp after the migration that it corrects. */
export function correctedFile(migration: Migration, correction: Correction): CorrectedFile {
  const { name, className } = namesOf(migration, correction);
  const outside = correction.transaction === false;
  const down = outside
    ? // TypeORM reverts in a transaction, whatever the migration says.
      [
        'await queryRunner.commitTransaction();',
        ...calls(correction.down),
        'await queryRunner.startTransaction();',
      ]
    : calls(correction.down);
  const text = `import type { MigrationInterface, QueryRunner } from 'typeorm';

export class ${className} implements MigrationInterface {
${outside ? '  readonly transaction = false;\n\n' : ''}  async up(queryRunner: QueryRunner): Promise<void> {
${indent(calls(correction.up))}
  }

  async down(queryRunner: QueryRunner): Promise<void> {
${indent(down)}
  }
}
`;
  return { name, text };
}

/** The text of a migration file that has operations, and no transaction around them. */
export function operationsFile(migration: Migration, correction: OperationCorrection): CorrectedFile {
  const { name, className } = namesOf(migration, correction);
  const used = [...new Set(correction.operations.map(([operation]) => operation))].sort();
  const lines = correction.operations.map(
    ([operation, options]) => `${operation}(${typeScriptOf(options)}),`,
  );
  const text = `import { ConcurrentMigration, ${used.join(', ')} } from 'nestjs-rls-tenants/migrations';

export class ${className} extends ConcurrentMigration {
  readonly operations = [
${indent(lines)}
  ];
}
`;
  return { name, text };
}

function namesOf(migration: Migration, { slug: said, after }: Pick<Correction, 'slug' | 'after'>) {
  const timestamp = (migration.timestamp ?? 1_700_000_000_000) + after;
  const slug = said.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-');
  const words = slug.split('-').map((word) => word.charAt(0).toUpperCase() + word.slice(1));
  return { name: `${timestamp}-${slug}.ts`, className: `${words.join('')}${timestamp}` };
}

function calls(statements: readonly string[]): string[] {
  if (statements.length === 0) return ['// There is nothing to undo.'];
  return statements.map((sql) => `await queryRunner.query(${template(sql)});`);
}

function template(sql: string): string {
  return `\`${sql.replaceAll('\\', '\\\\').replaceAll('`', '\\`').replaceAll('${', '\\${')}\``;
}

function indent(lines: readonly string[]): string {
  return lines.map((line) => `    ${line}`).join('\n');
}

/** An index that a migration makes. */
interface CreatedIndex {
  readonly statement: Statement;
  readonly change: ChangeOf<'create-index'>;
}

/** The indexes of one table, built beside all traffic by steps that can be run again. */
export function concurrentIndexes(
  migration: Migration,
  table: string,
  indexes: readonly CreatedIndex[],
  after = 1,
): CorrectedFile {
  const slug = `${table}-indexes`;
  const named = indexes.map((index, position) => ({
    ...index,
    name: index.change.name ?? objectName(parseTableName(table).name, `${position + 1}_idx`),
  }));
  const options = named.flatMap(
    ({ statement, change, name }) => indexOptions(statement.sql, change, name) ?? [],
  );
  if (options.length < named.length) return plainIndexes(migration, slug, named, after);
  const partitioned = changes(migration, 'up', 'create-table').some(
    ({ change }) => change.table === table && change.partitioned,
  );
  const operation = partitioned ? 'partitionedIndex' : 'concurrentIndex';
  return operationsFile(migration, { slug, after, operations: options.map((one) => [operation, one]) });
}

/** In SQL of their own, because they say what the operations cannot be told. */
function plainIndexes(
  migration: Migration,
  slug: string,
  indexes: readonly (CreatedIndex & { readonly name: string })[],
  after: number,
): CorrectedFile {
  const steps = indexes.map(({ statement: { sql }, change, name }) => {
    const head =
      change.name === undefined ? `INDEX CONCURRENTLY ${quoteIdentifier(name)}` : 'INDEX CONCURRENTLY';
    return {
      drop: `DROP INDEX CONCURRENTLY IF EXISTS ${quoteIdentifier(name)}`,
      create: sql.replace(/\bINDEX\b(?:\s+CONCURRENTLY)?(?:\s+IF\s+NOT\s+EXISTS)?/i, head),
    };
  });
  return correctedFile(migration, {
    slug,
    after,
    transaction: false,
    // An interrupted build leaves an invalid index: the next run builds it anew.
    up: steps.flatMap(({ drop, create }) => [drop, create]),
    down: steps.map(({ drop }) => drop),
  });
}
