/** What is done with each contender, in the terms of its own ORM. */
export type Operation = 'findOneBy' | 'page' | 'insert' | 'transaction' | 'stream';
export const OPERATIONS: readonly Operation[] = ['findOneBy', 'page', 'insert', 'transaction', 'stream'];
/** What needs no transaction of its own. */
export const AUTOCOMMIT: readonly Operation[] = ['findOneBy', 'page', 'insert'];

export const PAGE_ROWS = 50;
export const STREAM_ROWS = 10_000;

/** A row, as far as it is checked. */
export interface TaskRow {
  tenantId?: string | undefined;
}

/**
 * One way to keep tenants apart, or none: the baseline. Each runs in a process of its own, on its own versions of
 * everything, and answers to `serve()`.
 */
export interface Contender {
  /** Connects with a pool of so many connections. `tenants` are the ids that will be used. */
  open(options: { url: string; poolSize: number; tenants: readonly string[] }): Promise<void>;
  close(): Promise<void>;
  /**
   * One operation for one tenant, from the outermost call that an application makes. `id` is a row of the tenant. What
   * is returned is what the application got; a stream's rows are consumed one by one.
   */
  operations: Record<Operation, (tenantId: string, id: string) => Promise<readonly TaskRow[]>>;
  /** Versions of the packages that were measured. */
  versions: Record<string, string>;
}

/** How many rows an operation returns if nothing is wrong. */
export const EXPECTED_ROWS: Record<Operation, number> = {
  findOneBy: 1,
  page: PAGE_ROWS,
  insert: 0,
  transaction: 3,
  stream: STREAM_ROWS,
};

/** One run: `count` operations, each for a tenant of the list in turn, `concurrency` of them at a time. */
export interface RunRequest {
  operation: Operation;
  count: number;
  concurrency: number;
}

export interface RunAnswer {
  /** Microseconds for one operation: the elapsed time divided by their number. */
  microseconds: number;
  /** Operations by what they got. */
  right: number;
  /** Operations that got at least one row of another tenant. */
  wrongTenant: number;
  /** Operations that got too few rows, and all of them the tenant's own. */
  missingRows: number;
  failed: number;
  /** The first failure's message. */
  error?: string;
}

/** Rows that exist: `ids[i]` belong to `tenants[i]`. */
export interface Tenants {
  tenants: string[];
  ids: string[][];
}
