import { objectName, parseTableName, quoteIdentifier } from '../policies/index.js';
import type { ChangeOf } from './changes.js';
import type { CorrectedFile } from './finding.js';
import type { Migration, Statement } from './migration.js';

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

/** The text of a migration file, with a timestamp after the migration that it corrects. */
export function correctedFile(migration: Migration, correction: Correction): CorrectedFile {
  const timestamp = (migration.timestamp ?? 1_700_000_000_000) + correction.after;
  const slug = correction.slug.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-');
  const name = slug
    .split('-')
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join('');
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

export class ${name}${timestamp} implements MigrationInterface {
${outside ? '  readonly transaction = false;\n\n' : ''}  async up(queryRunner: QueryRunner): Promise<void> {
${indent(calls(correction.up))}
  }

  async down(queryRunner: QueryRunner): Promise<void> {
${indent(down)}
  }
}
`;
  return { name: `${timestamp}-${slug}.ts`, text };
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

/** The indexes of one table, built beside all traffic by steps that can be run again. */
export function concurrentIndexes(
  migration: Migration,
  table: string,
  indexes: readonly { readonly statement: Statement; readonly change: ChangeOf<'create-index'> }[],
  after = 1,
): CorrectedFile {
  const steps = indexes.map(({ statement: { sql }, change }, position) => {
    const name = quoteIdentifier(
      change.name ?? objectName(parseTableName(table).name, `${position + 1}_idx`),
    );
    const head = change.name === undefined ? `INDEX CONCURRENTLY ${name}` : 'INDEX CONCURRENTLY';
    return {
      drop: `DROP INDEX CONCURRENTLY IF EXISTS ${name}`,
      create: sql.replace(/\bINDEX\b(?:\s+CONCURRENTLY)?(?:\s+IF\s+NOT\s+EXISTS)?/i, head),
    };
  });
  return correctedFile(migration, {
    slug: `${table}-indexes`,
    after,
    transaction: false,
    // An interrupted build leaves an invalid index: the next run builds it anew.
    up: steps.flatMap(({ drop, create }) => [drop, create]),
    down: steps.map(({ drop }) => drop),
  });
}
