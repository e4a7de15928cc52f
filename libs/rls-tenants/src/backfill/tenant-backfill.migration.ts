import type { MigrationInterface, QueryRunner } from 'typeorm';
import { RlsTenantsError } from '../errors.js';
import { InProcessBackfillDispatcher, type BackfillDispatcher } from './backfill-dispatcher.js';
import type { Backfill } from './backfill.js';

/**
 * A TypeORM migration that has existing rows changed. It only dispatches, one job per tenant, so that a deployment does
 * not wait for data; a small table is done at once. The work happens on the app role's data source, not in the
 * migration's transaction: the columns it fills must exist by an earlier migration.
 *
 * ```ts
 * export class FillSlugs1760000000000 extends TenantBackfillMigration {
 *   protected readonly backfillName = 'fill-slugs';
 *   protected readonly backfill = () => backfills;
 * }
 * ```
 */
export abstract class TenantBackfillMigration implements MigrationInterface {
  /** Without a transaction: it would stay open while rows are changed, and keep what it locked from the app role. */
  readonly transaction = false;

  /** The definition's name in {@link backfill}. */
  protected abstract readonly backfillName: string;

  /** Up to this many rows in the table the work is done at once, in `up`. 0 always dispatches. */
  protected readonly inlineRows: number = 10_000;

  /** Whether `down` refuses, because nothing restores the former values. Otherwise it leaves the rows as they are. */
  protected readonly irreversible: boolean = false;

  /** The service that knows the definition, on the app role's isolated data source. */
  protected abstract backfill(): Backfill | Promise<Backfill>;

  /** Who does the work above {@link inlineRows}. Default: this process, while it lives. */
  protected dispatcher(backfill: Backfill): BackfillDispatcher | Promise<BackfillDispatcher> {
    return new InProcessBackfillDispatcher(backfill);
  }

  async up(_queryRunner: QueryRunner): Promise<void> {
    const backfill = await this.backfill();
    const tenants = await backfill.tenantsOf(this.backfillName);
    const rows = await backfill.countRows(this.backfillName, this.inlineRows + 1);
    if (rows <= this.inlineRows) {
      await backfill.run(this.backfillName, { tenants });
    } else {
      const dispatcher = await this.dispatcher(backfill);
      await dispatcher.dispatch(this.backfillName, tenants);
    }
  }

  /** @throws RlsTenantsError if the migration is irreversible. */
  down(_queryRunner: QueryRunner): Promise<void> {
    if (!this.irreversible) return Promise.resolve();
    return Promise.reject(
      new RlsTenantsError(
        `Backfill "${this.backfillName}" is irreversible: nothing restores the former values.`,
        'Restore a backup, or write a backfill that undoes it.',
      ),
    );
  }
}
