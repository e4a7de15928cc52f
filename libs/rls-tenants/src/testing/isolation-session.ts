import type { DataSource, EntityManager, EntityMetadata, QueryRunner } from 'typeorm';
import { withoutTenant } from '../context/tenant-context.js';
import { quoteTable } from '../policies/index.js';
import { asAdmin } from './contexts.js';
import { PRIVILEGES_SQL } from './isolation.sql.js';

export type Privilege = 'SELECT' | 'INSERT' | 'UPDATE' | 'DELETE' | 'TRUNCATE';

/** What a statement gave. */
export interface Result<Row> {
  readonly rows: readonly Row[];
  readonly affected: number;
}

/** A tenant's statement that waits for another test's lock would wait for ever. */
const LOCK_TIMEOUT_SQL = "SET LOCAL lock_timeout = '10s'";

/** One transaction of the data source in which tenants, the admin and nobody take turns. It is always rolled back. */
export class IsolationSession {
  private readonly privileges = new Map<string, Record<Privilege, boolean>>();

  private constructor(
    readonly dataSource: DataSource,
    private readonly queryRunner: QueryRunner,
  ) {}

  static async run<T>(dataSource: DataSource, fn: (session: IsolationSession) => Promise<T>): Promise<T> {
    const queryRunner = dataSource.createQueryRunner('master');
    try {
      return await withoutTenant(async () => {
        await queryRunner.startTransaction();
        await queryRunner.query(LOCK_TIMEOUT_SQL);
        return await fn(new IsolationSession(dataSource, queryRunner));
      });
    } finally {
      await withoutTenant(async () => {
        if (queryRunner.isTransactionActive) await queryRunner.rollbackTransaction();
        await queryRunner.release();
      });
    }
  }

  get manager(): EntityManager {
    return this.queryRunner.manager;
  }

  /** Runs one statement in the caller's context. */
  async query<Row>(sql: string, values: readonly unknown[] = []): Promise<Result<Row>> {
    const { records, affected } = await this.queryRunner.query(sql, [...values], true);
    return { rows: (records ?? []) as Row[], affected: affected ?? 0 };
  }

  /** Runs statements without parameters as one simple query, in the caller's context. The last one's rows. */
  async simpleQuery<Row>(sql: string): Promise<readonly Row[]> {
    const client = (await this.queryRunner.connect()) as {
      query(text: string): Promise<{ rows: Row[] } | { rows: Row[] }[]>;
    };
    const results = await client.query(sql);
    return (Array.isArray(results) ? results.at(-1)! : results).rows;
  }

  /** Runs `fn` and takes back what it wrote, whether it fails or not. */
  async takingBack<T>(fn: () => Promise<T>): Promise<T> {
    await withoutTenant(() => this.queryRunner.query('SAVEPOINT attack'));
    try {
      return await fn();
    } finally {
      await withoutTenant(async () => {
        await this.queryRunner.query('ROLLBACK TO SAVEPOINT attack');
        await this.queryRunner.query('RELEASE SAVEPOINT attack');
      });
    }
  }

  /** Whether the connection's own role has the privilege on the entity's table, or on a column of it. */
  async may(privilege: Privilege, { tablePath }: EntityMetadata): Promise<boolean> {
    let privileges = this.privileges.get(tablePath);
    if (!privileges) {
      const { rows } = await withoutTenant(() =>
        this.query<Record<Privilege, boolean>>(PRIVILEGES_SQL, [quoteTable(tablePath)]),
      );
      privileges = rows[0]!;
      this.privileges.set(tablePath, privileges);
    }
    return privileges[privilege];
  }

  /** Runs one statement as admin. */
  asAdmin<Row>(sql: string, values: readonly unknown[] = []): Promise<Result<Row>> {
    return asAdmin('expectIsolated: seeds and controls', () => this.query<Row>(sql, values));
  }
}
