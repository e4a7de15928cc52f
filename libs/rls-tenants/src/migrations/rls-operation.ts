import type { QueryRunner } from 'typeorm';

/** One reversible step of a migration. */
export interface RlsOperation {
  /** What `up` does, for people: `protect table "note"`. */
  readonly description: string;
  up(queryRunner: QueryRunner): Promise<void>;
  /** Leaves the database as it was before `up`. */
  down(queryRunner: QueryRunner): Promise<void>;
}

type Step = (queryRunner: QueryRunner) => Promise<void>;

/** An operation that happens as a whole or not at all: in the runner's transaction, or in one of its own. */
export function operation(description: string, up: Step, down: Step): RlsOperation {
  return { description, up: inTransaction(up), down: inTransaction(down) };
}

/** Several operations as one; `down` undoes them in reverse. */
export function sequence(description: string, operations: readonly RlsOperation[]): RlsOperation {
  return operation(
    description,
    async (queryRunner) => {
      for (const step of operations) await step.up(queryRunner);
    },
    async (queryRunner) => {
      for (const step of operations.toReversed()) await step.down(queryRunner);
    },
  );
}

/** Runs statements in order. */
export async function runAll(queryRunner: QueryRunner, statements: readonly string[]): Promise<void> {
  for (const statement of statements) await queryRunner.query(statement);
}

/** The step as a whole or not at all: in the transaction there is, or in one of its own. */
export function inTransaction(step: Step): Step {
  return async (queryRunner) => {
    if (queryRunner.isTransactionActive) return step(queryRunner);
    await queryRunner.startTransaction();
    try {
      await step(queryRunner);
      await queryRunner.commitTransaction();
    } catch (error) {
      await queryRunner.rollbackTransaction();
      throw error;
    }
  };
}
