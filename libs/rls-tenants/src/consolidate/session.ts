import type { DataSource, ObjectLiteral, QueryRunner } from 'typeorm';
import { Isolation } from '../connection/isolation.js';
import { tenantTablesOf, type TenantScopedTable } from '../entities/index.js';
import { RlsConfigurationError } from '../errors.js';
import { carryTenantSql } from '../policies/index.js';

/** One connection of the migration role, on which a consolidation reads and writes. */
export class Session {
  private constructor(private readonly queryRunner: QueryRunner) {}

  /** @throws RlsConfigurationError if the data source is isolated, or has no tenant-scoped entity. */
  static async with<T>(
    dataSource: DataSource,
    work: (session: Session, tables: TenantScopedTable[]) => Promise<T>,
  ): Promise<T> {
    if (Isolation.get(dataSource)) {
      throw new RlsConfigurationError(
        'The data source is isolated, and so sees one tenant at a time at most.',
        "Consolidate with the migration role's data source: new DataSource(migrationDataSourceOptions(…)).",
      );
    }
    const tables = tenantTablesOf(dataSource);
    if (tables.length === 0) {
      throw new RlsConfigurationError(
        'There is nothing to copy into: the data source has no tenant-scoped entity.',
        'Mark the entities whose rows belong to tenants @TenantScoped(), and list them in the data source.',
      );
    }
    const queryRunner = dataSource.createQueryRunner();
    try {
      return await work(new Session(queryRunner), tables);
    } finally {
      await queryRunner.release();
    }
  }

  /** For what takes a query runner. */
  get runner(): QueryRunner {
    return this.queryRunner;
  }

  async query<Row extends ObjectLiteral>(sql: string, values: unknown[] = []): Promise<Row[]> {
    return (await this.queryRunner.query(sql, values)) as Row[];
  }

  async one<Row extends ObjectLiteral>(sql: string, values: unknown[] = []): Promise<Row> {
    return (await this.query<Row>(sql, values))[0]!;
  }

  /**
   * One transaction in a tenant's context, which defaults and triggers read. The migration role is admitted to all rows, so
   * that the policy does not check whose rows it writes: the statements name the tenant themselves.
   */
  writing<T>(tenantSetting: string, tenantId: string, work: () => Promise<T>): Promise<T> {
    return this.transaction(async () => {
      await this.query(carryTenantSql(tenantSetting, '$1', false), [tenantId]);
      return work();
    });
  }

  /** One transaction that can write nothing, sees one moment of the database, and may take its time. */
  reading<T>(work: () => Promise<T>): Promise<T> {
    return this.transaction(async () => {
      await this.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY');
      await this.query('SET LOCAL statement_timeout = 0');
      return work();
    });
  }

  private async transaction<T>(work: () => Promise<T>): Promise<T> {
    await this.queryRunner.startTransaction();
    try {
      const result = await work();
      await this.queryRunner.commitTransaction();
      return result;
    } catch (error) {
      await this.queryRunner.rollbackTransaction().catch(() => {});
      throw error;
    }
  }
}
