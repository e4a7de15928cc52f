import type { DataSource, EntityManager, EntityMetadata, QueryRunner } from 'typeorm';
import { Isolation } from '../connection/isolation.js';
import type { TenantId } from '../context/tenant-id.js';
import { withoutTenant } from '../context/tenant-context.js';
import { quoteTable } from '../policies/index.js';
import { asAdmin, asTenant } from './contexts.js';
import { PRIVILEGES_SQL, SEEN } from './isolation.sql.js';

export type Privilege = 'SELECT' | 'INSERT' | 'UPDATE' | 'DELETE' | 'TRUNCATE';

/** What a statement gave. */
export interface Result<Row> {
  readonly rows: readonly Row[];
  readonly affected: number;
}

/** A tenant's statement that waits for another test's lock would wait for ever. */
const LOCK_TIMEOUT_SQL = "SET LOCAL lock_timeout = '10s'";

/**
 * One transaction of the data source in which tenants, the admin and nobody take turns. It is always rolled back.
 *
 * Where admin contexts have connections of their own, the admin takes no turn: what that connection sees is what was
 * committed. Controls are then the row's own tenant's.
 */
export class IsolationSession {
  /** Whether the admin takes turns in the transaction. */
  readonly adminTakesTurns: boolean;
  private readonly privileges = new Map<string, Record<Privilege, boolean>>();
  private readonly undoing: (() => Promise<unknown>)[] = [];

  private constructor(
    readonly dataSource: DataSource,
    private readonly queryRunner: QueryRunner,
  ) {
    this.adminTakesTurns = Isolation.get(dataSource)?.serves === 'everybody';
  }

  static async run<T>(dataSource: DataSource, fn: (session: IsolationSession) => Promise<T>): Promise<T> {
    const queryRunner = dataSource.createQueryRunner('master');
    const session = new IsolationSession(dataSource, queryRunner);
    try {
      return await withoutTenant(async () => {
        await queryRunner.startTransaction();
        await queryRunner.query(LOCK_TIMEOUT_SQL);
        return await fn(session);
      });
    } finally {
      await withoutTenant(async () => {
        if (queryRunner.isTransactionActive) await queryRunner.rollbackTransaction();
        await queryRunner.release();
      });
      for (const undo of session.undoing.toReversed()) await undo();
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

  /** Whether a block that {@link readInBlockSql} wrote sees its row, in the caller's context. */
  async seesInBlock(sql: string): Promise<boolean> {
    const client = (await this.queryRunner.connect()) as { query(text: string): Promise<unknown> };
    try {
      await client.query(sql);
      return false;
    } catch (error) {
      if ((error as { code?: unknown }).code === SEEN) return true;
      throw error;
    }
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

  /** Runs `fn`, a seed or a control, as one who sees the tenant's rows: the admin, or else the tenant. */
  inControl<T>(tenantId: TenantId, fn: () => Promise<T>): Promise<T> {
    return this.adminTakesTurns ? asAdmin('expectIsolated: seeds and controls', fn) : asTenant(tenantId, fn);
  }

  /** Whether a seed or a control may remove a row of the entity. */
  async mayRemove(metadata: EntityMetadata): Promise<boolean> {
    return this.adminTakesTurns || (await this.may('DELETE', metadata));
  }

  /**
   * Runs `fn` as admin: in the transaction if the admin takes turns there; otherwise it is committed, and taken back by
   * `undo` when the session ends.
   */
  async asAdmin<T>(
    reason: string,
    fn: (manager: EntityManager) => Promise<T>,
    undo?: (manager: EntityManager) => Promise<unknown>,
  ): Promise<T> {
    if (this.adminTakesTurns) return asAdmin(reason, () => fn(this.manager));
    const { manager } = this.dataSource;
    const result = await asAdmin(reason, () => fn(manager));
    if (undo) this.undoing.push(() => asAdmin('expectIsolated: take back a seed', () => undo(manager)));
    return result;
  }
}
