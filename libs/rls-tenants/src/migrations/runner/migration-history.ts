import {
  MigrationExecutor,
  type DataSource,
  type Migration,
  type MigrationInterface,
  type QueryRunner,
} from 'typeorm';
import { MigrationFailedError } from '../../errors.js';

/** TypeORM does not export it. */
interface RdbmsSchemaBuilder extends ReturnType<DataSource['driver']['createSchemaBuilder']> {
  createMetadataTableIfNecessary(queryRunner: QueryRunner): Promise<void>;
}

/** A migration of the code, with its instance. */
export type KnownMigration = Migration & { instance: MigrationInterface };

/** One migration, and whether it is applied. */
export interface MigrationStatus {
  readonly name: string;
  /** The time its name ends with. */
  readonly timestamp: Date;
  /** `missing`: applied, and not in the code any more. */
  readonly state: 'applied' | 'pending' | 'missing';
  /** Pending, and older than the newest applied one: it was written before and will run after. */
  readonly outOfOrder: boolean;
}

/** What is applied and what is pending, in TypeORM's own table and by TypeORM's own rules. */
export class MigrationHistory extends MigrationExecutor {
  /** TypeORM 0.3 and 1.x keep the data source under different names. */
  readonly #driver: DataSource['driver'];

  constructor(
    dataSource: DataSource,
    private readonly runner: QueryRunner,
  ) {
    super(dataSource, runner);
    this.#driver = dataSource.driver;
  }

  /** Makes TypeORM's own tables where they are missing: before a migration's transaction, in which it comes first. */
  async createTables(): Promise<void> {
    await this.createMigrationsTableIfNotExist(this.runner);
    const builder = this.#driver.createSchemaBuilder() as RdbmsSchemaBuilder;
    await builder.createMetadataTableIfNecessary(this.runner);
  }

  /** The migrations of the code, oldest first. */
  known(): KnownMigration[] {
    return this.getMigrations() as KnownMigration[];
  }

  /** The migrations of the code that are not applied, oldest first. */
  async pending(): Promise<KnownMigration[]> {
    const applied = new Set((await this.getExecutedMigrations()).map(({ name }) => name));
    return this.known().filter(({ name }) => !applied.has(name));
  }

  /** The migration that was applied last. @throws MigrationFailedError if it is not in the code. */
  async last(): Promise<KnownMigration | undefined> {
    // Newest first: TypeORM orders them by id.
    const [last] = await this.getExecutedMigrations();
    if (!last) return undefined;
    const known = this.known().find(({ name }) => name === last.name);
    if (known) return known;
    throw new MigrationFailedError(
      `Migration "${last.name}" was applied last and is not in the code, so it cannot be reverted.`,
      'Check out the code that has it, or list it in the data source.',
    );
  }

  /**
   * The migrations of these names, in the order in which they run.
   *
   * @throws MigrationFailedError for a name that is not in the code, or not in the state it has to be in.
   */
  async named(names: readonly string[], state: 'applied' | 'pending'): Promise<KnownMigration[]> {
    const known = this.known();
    const pending = new Set((await this.pending()).map(({ name }) => name));
    for (const name of names) {
      if (!known.some((migration) => migration.name === name)) {
        throw new MigrationFailedError(
          `There is no migration "${name}" in the code. Nothing was changed.`,
          'Name migrations as `rls-tenants migrate status` does.',
        );
      }
      if (pending.has(name) === (state === 'pending')) continue;
      throw new MigrationFailedError(
        `Migration "${name}" is ${state === 'pending' ? 'applied already' : 'not applied'}. Nothing was changed.`,
        '`rls-tenants migrate status` shows what is applied.',
      );
    }
    return known.filter(({ name }) => names.includes(name));
  }

  /** Every migration of the code and of the table, oldest first. */
  async status(): Promise<MigrationStatus[]> {
    const applied = await this.getExecutedMigrations();
    const newest = Math.max(...applied.map(({ timestamp }) => timestamp));
    const names = new Set(applied.map(({ name }) => name));
    const known = this.known();
    const missing = applied.filter(({ name }) => !known.some((migration) => migration.name === name));
    const status = ({ name, timestamp }: Migration, state: MigrationStatus['state']): MigrationStatus => ({
      name,
      timestamp: new Date(timestamp),
      state,
      outOfOrder: state === 'pending' && timestamp < newest,
    });
    return [
      ...known.map((migration) => status(migration, names.has(migration.name) ? 'applied' : 'pending')),
      ...missing.map((migration) => status(migration, 'missing')),
    ].sort((a, b) => a.timestamp.getTime() - b.timestamp.getTime());
  }
}
