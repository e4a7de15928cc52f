import type { QueryRunner } from 'typeorm';

/** Notices that a migration commits the transaction that the runner opened for it, with the query runner's own method. */
export class CommitWatch {
  /** Whether something was committed, nested transactions aside. */
  committed = false;
  private readonly original: QueryRunner['commitTransaction'];

  constructor(private readonly queryRunner: QueryRunner) {
    this.original = queryRunner.commitTransaction;
    queryRunner.commitTransaction = async () => {
      await this.original.call(queryRunner);
      if (!queryRunner.isTransactionActive) this.committed = true;
    };
  }

  /** Gives the method back as it was. */
  stop(): void {
    this.queryRunner.commitTransaction = this.original;
  }
}
