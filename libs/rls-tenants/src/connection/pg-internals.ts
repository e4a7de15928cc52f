/**
 * The parts of node-postgres that carrying stands on. They are not in its type declarations; each of them is used by
 * node-postgres' own companions (pg-cursor, pg-query-stream, pg-copy-streams) and has kept its shape through version 8.
 */

/** Anything `client.query()` accepts as a statement of its own: Query, Cursor, QueryStream, CopyStreamQuery. */
export interface Submittable {
  submit(connection: PgConnection): Error | null | undefined | void;
  text?: unknown;
  name?: string | undefined;
  callback?: unknown;
}

/** The protocol writer of a client. */
export interface PgConnection {
  stream: {
    writable: boolean;
    write(bytes: Uint8Array): boolean;
    cork(): void;
    uncork(): void;
    listenerCount(event: string): number;
  };
  parsedStatements: Record<string, string>;
  submittedNamedStatements?: Record<string, string>;
  parse: (...args: unknown[]) => void;
  bind: (...args: unknown[]) => void;
  query: (text: string) => void;
  describe(message: { type: 'P'; name: string }): void;
  execute(config: { portal?: string; rows?: number }): void;
  sync(): void;
  sendCopyFail: (reason: string) => void;
  once(event: 'readyForQuery' | 'end', listener: () => void): unknown;
  removeListener(event: 'readyForQuery' | 'end', listener: () => void): unknown;
  prependListener(
    event: 'readyForQuery',
    listener: (message: { status: TransactionStatus }) => void,
  ): unknown;
}

/** ReadyForQuery's status: idle, in a transaction, in an aborted transaction. */
export type TransactionStatus = 'I' | 'T' | 'E';

export interface PgServerError extends Error {
  /** Only errors that the server reported have one. */
  severity?: string;
  code?: string;
  position?: string;
}

export interface PgDataRow {
  fields: (string | null)[];
}

export interface PgCommandComplete {
  /** The command tag: `SELECT 1`. */
  text?: string;
}

/** `pg.Query`: one statement, from the text to the result. */
export interface PgQuery extends Submittable {
  text: string;
  name: string | undefined;
  callback: ((error: Error | null, result?: unknown) => void) | undefined;
  query_timeout?: number;
  values?: unknown;
  requiresPreparation(): boolean;
  prepare(connection: PgConnection): void;
  submit(connection: PgConnection): Error | null;
  handleRowDescription(message: unknown): void;
  handleDataRow(message: PgDataRow): void;
  handleCommandComplete(message: PgCommandComplete, connection: PgConnection): void;
  handleEmptyQuery(connection: PgConnection): void;
  handleCopyInResponse(connection: PgConnection): void;
  handleError(error: PgServerError, connection: PgConnection): void;
}

export type PgQueryClass = new (config: unknown, values?: unknown, callback?: unknown) => PgQuery;

export interface PgClient {
  connection: PgConnection;
  pipeline?: boolean;
  /** Of the backend, as the server (or a pooler) said when the client connected. */
  processID?: number | null;
  /** False while the server has not said that it takes the next statement. */
  readyForQuery?: boolean;
  /** Since pg 8.21; before, the status is read off ReadyForQuery. */
  getTransactionStatus?(): TransactionStatus | null;
  query(config: unknown, values?: unknown, callback?: unknown): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  removeListener(event: 'error', listener: (error: Error) => void): unknown;
  constructor: { Query?: PgQueryClass };
}

export type PoolConnectCallback = (
  error: Error | undefined,
  client: PgClient | undefined,
  release: (destroy?: boolean) => void,
) => void;

export interface PgPool {
  Client?: { Query?: PgQueryClass };
  connect(): Promise<PgClient>;
  connect(callback: PoolConnectCallback): void;
}
