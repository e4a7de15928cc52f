import type { EntityManager } from 'typeorm';
import type { TenantId } from '../context/tenant-id.js';
import { RlsConfigurationError } from '../errors.js';
import { DEFAULT_TENANT_COLUMN, quoteIdentifier, quoteTable } from '../policies/index.js';

/** A row as the table has it: the database's own column names. */
export type BackfillRow = Record<string, unknown>;

/** Tenant ids, at once or one after the other. */
export type TenantList = Iterable<TenantId> | AsyncIterable<TenantId>;

interface BackfillBase {
  /** Names the progress that is kept. A finished backfill does not run again under the same name. */
  name: string;
  /** `note` or `billing.note`. It needs a primary key and a tenant column. */
  table: string;
  /** Default `'tenant_id'`. */
  tenantColumn?: string;
  /**
   * The tenants to go through, or what lists them: it is called for nobody, for each run, and for each job to make sure
   * that the job's tenant is one of them. Default: all that have rows in the table, read in admin context.
   */
  tenants?: readonly TenantId[] | (() => TenantList | Promise<TenantList>);
  /** SQL condition on the table's columns for the rows that need the change. Default: all rows. */
  where?: string;
  /** What `$1`, `$2`, … stand for in `where` and `set`. Each must be used. */
  parameters?: readonly unknown[];
  /**
   * The most rows per transaction; fewer where rows are slow to change, so that they are locked for about 50 ms. Default
   * 500.
   */
  batchSize?: number;
  /** Milliseconds between two batches of a tenant. Default 0. */
  pauseMs?: number;
  /** How long, in milliseconds, a batch waits for a lock before it gives way and is tried again. Default 2000. */
  lockTimeoutMs?: number;
  /** Asked before each batch: while it says false (a replica lags, say) the backfill waits, a second at a time. */
  mayProceed?: () => boolean | Promise<boolean>;
}

/**
 * Changes rows in SQL, one statement per batch. A row whose values fail it (SQLSTATE classes 22 and 23, and what triggers
 * raise) is logged, counted as skipped, and left.
 */
export interface SetBackfill extends BackfillBase {
  /** Column to SQL expression over the row's columns: `{ slug: 'lower(title)' }`. Key columns stay as they are. */
  set: Readonly<Record<string, string>>;
  each?: never;
}

/** Changes rows in TypeScript, one call per row. */
export interface EachBackfill extends BackfillBase {
  /**
   * Changes one locked row, through `manager`, in the row's tenant context. What it throws undoes this row only: the
   * row is logged, counted as skipped, and left. It must not change the primary key.
   */
  each: (row: BackfillRow, manager: EntityManager) => Promise<void>;
  /** Columns that `each` reads. Default: all. */
  columns?: readonly string[];
  set?: never;
}

/** What to change in which table. Exactly one of `set` and `each` says how. */
export type BackfillDefinition = SetBackfill | EachBackfill;

/** A definition with its defaults filled in. */
export type CheckedBackfill = BackfillDefinition &
  Required<Pick<BackfillBase, 'tenantColumn' | 'parameters' | 'batchSize' | 'pauseMs' | 'lockTimeoutMs'>>;

const MAX_BATCH_SIZE = 10_000;

/** @throws RlsConfigurationError for what could not run, before any I/O. */
export function checkBackfill(definition: BackfillDefinition): CheckedBackfill {
  const checked = {
    ...definition,
    tenantColumn: definition.tenantColumn ?? DEFAULT_TENANT_COLUMN,
    parameters: definition.parameters ?? [],
    batchSize: definition.batchSize ?? 500,
    pauseMs: definition.pauseMs ?? 0,
    lockTimeoutMs: definition.lockTimeoutMs ?? 2000,
  };
  const { name, batchSize, pauseMs, lockTimeoutMs } = checked;
  if (typeof name !== 'string' || name === '') throw refused(definition, 'has no name', 'Give it one.');
  quoteTable(checked.table);
  quoteIdentifier(checked.tenantColumn);
  if ((definition.set === undefined) === (definition.each === undefined)) {
    throw refused(definition, 'has not exactly one of `set` and `each`', 'Say how rows change, in one way.');
  }
  if (definition.set && Object.keys(definition.set).length === 0) {
    throw refused(definition, 'sets no column', 'Name a column and its SQL expression in `set`.');
  }
  checkNumber(definition, 'batchSize', batchSize, 1, MAX_BATCH_SIZE);
  checkNumber(definition, 'pauseMs', pauseMs, 0, 3_600_000);
  checkNumber(definition, 'lockTimeoutMs', lockTimeoutMs, 1, 60_000);
  return checked;
}

function checkNumber(
  definition: BackfillDefinition,
  option: string,
  value: number,
  least: number,
  most: number,
): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw refused(
    definition,
    `has ${option} ${String(value)}`,
    `It is a whole number from ${least} to ${most}.`,
  );
}

function refused({ name }: BackfillDefinition, cause: string, hint: string): RlsConfigurationError {
  return new RlsConfigurationError(`Backfill "${name}" ${cause}.`, hint);
}
