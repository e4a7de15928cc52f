import type { QueryRunner } from 'typeorm';

/** What an operation only looks at begins like this; what it changes never does. */
const READ = /^\s*(?:SELECT|WITH)\b/i;

/** The comment in which an operation remembers what to take back depends on what it did just before. */
const NOTE_TO_ITSELF = /^\s*COMMENT\b/i;

/** A query runner that notes what an operation changes. */
export interface Recorder {
  readonly queryRunner: QueryRunner;
  /** The statements that change something, in order. */
  readonly statements: readonly string[];
}

/**
 * Notes what is changed over a query runner, and lets it happen or, in a dry run, not. What is read is read in either
 * case, so a dry run sees the database as it is before the first change.
 */
export function recorded(queryRunner: QueryRunner, { dryRun }: { dryRun: boolean }): Recorder {
  const statements: string[] = [];
  const query = async (sql: string, ...rest: [parameters?: unknown[]]): Promise<unknown> => {
    if (READ.test(sql)) return queryRunner.query(sql, ...rest);
    if (!NOTE_TO_ITSELF.test(sql)) statements.push(sql);
    return dryRun ? [] : queryRunner.query(sql, ...rest);
  };
  // The caller's transaction is the query runner's own, and the operation sees it through the prototype.
  return {
    queryRunner: Object.assign(Object.create(queryRunner) as QueryRunner, { query }),
    statements,
  };
}
