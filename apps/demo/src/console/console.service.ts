import { Injectable, Logger, ServiceUnavailableException } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { adminContext, RlsTenantsError } from 'nestjs-rls-tenants';
import pg from 'pg';
import type { Socket } from 'node:net';
import type { DataSource } from 'typeorm';
import type { PostgresDataSourceOptions } from 'typeorm/driver/postgres/PostgresDataSourceOptions.js';
import type { PostgresDriver } from 'typeorm/driver/postgres/PostgresDriver.js';
import { CONSOLE_DATA_SOURCE } from './console-data-source.js';
import type { ConsoleError, ConsoleResult, Reach, StatementResult } from './console-result.js';

/** What a run is limited to. */
export const LIMITS = {
  /** Of the text. */
  characters: 5_000,
  /** Of a run. A statement's own timeout comes first, but can be switched off by who it is for. */
  seconds: 5,
  /** That PostgreSQL may answer, notices included. */
  bytes: 500_000,
  /** Of the answer: statements, rows of each, columns of each, characters of a value. */
  statements: 30,
  rows: 50,
  columns: 30,
  valueCharacters: 300,
} as const;

/** A client of node-postgres, with what its types leave out. */
type Client = pg.PoolClient & {
  readonly processID: number;
  readonly connection: { readonly stream: Socket };
};

type Result = pg.QueryArrayResult<(string | null)[]>;

interface ProtectedTable {
  readonly oid: number;
  readonly table: string;
  readonly tenantColumn: number;
}

/** Why the application ended a run. */
type Stopped = 'time' | 'size';

/**
 * Runs whatever a visitor types, in the visitor's tenant context. Nothing in here reads the text, and nothing filters
 * what comes back: that PostgreSQL gives rows of one workspace only is the point of it. What is guarded is the demo's own
 * health: time, memory and connections.
 */
@Injectable()
export class ConsoleService {
  private readonly logger = new Logger(ConsoleService.name);
  private tables: Promise<ProtectedTable[]> | undefined;
  private restored: Promise<unknown> = Promise.resolve();

  constructor(
    @InjectDataSource(CONSOLE_DATA_SOURCE) private readonly dataSource: DataSource,
    @InjectDataSource() private readonly application: DataSource,
  ) {}

  /**
   * @param sql what the visitor typed, as it is.
   * @param workspaceId whose the visitor is, to tell own rows from others' in the answer.
   * @throws ServiceUnavailableException if all connections stay busy.
   */
  async run(sql: string, workspaceId: string): Promise<ConsoleResult> {
    const tables = await this.protectedTables();
    const client = await this.connect();
    const { results, error, durationMs } = await this.execute(client, sql);
    return {
      statements: results.slice(0, LIMITS.statements).map(shorten),
      moreStatements: Math.max(results.length - LIMITS.statements, 0),
      error,
      durationMs,
      returned: countByOwner(results, tables, workspaceId),
      reach: await this.reach(tables),
    };
  }

  private async connect(): Promise<Client> {
    const pool = (this.dataSource.driver as PostgresDriver).master as pg.Pool;
    try {
      return (await pool.connect()) as Client;
    } catch (error) {
      if (error instanceof RlsTenantsError) throw error;
      throw new ServiceUnavailableException('The console is busy: try again in a moment.', { cause: error });
    }
  }

  /** Whatever the text leaves on the connection goes with it: nobody gets it after this. */
  private async execute(
    client: Client,
    sql: string,
  ): Promise<{ results: Result[]; error: ConsoleError | null; durationMs: number }> {
    const { processID } = client;
    const guard = guardRun(client);
    const started = performance.now();
    const lasted = () => performance.now() - started;
    try {
      await client.query('BEGIN');
      // One text, as an injection would be; the library sends it statement by statement, each with its tenant.
      const answer = await client.query<(string | null)[]>({ text: sql, rowMode: 'array', types: AS_TEXT });
      const durationMs = lasted();
      await client.query('ROLLBACK');
      const results = Array.isArray(answer) ? (answer as Result[]) : [answer];
      return { results: results.filter(({ command }) => command), error: null, durationMs };
    } catch (error) {
      const described = guard.stopped ? stoppedError(guard.stopped) : describe(error, sql);
      return { results: [], error: described, durationMs: lasted() };
    } finally {
      guard.end();
      client.release(true);
      if (guard.stopped) await this.terminate(processID);
      await this.restoreRole();
    }
  }

  /** The connection is gone, but a backend that computes does not notice, and a cancelled statement may go on. */
  private async terminate(processID: number): Promise<void> {
    await adminContext('SQL console: end a run that took too long', () =>
      this.application.query('SELECT pg_terminate_backend($1)', [processID]),
    );
  }

  /** A login may change its own defaults and its own password, and commit that: the next visitor gets neither. */
  private async restoreRole(): Promise<void> {
    const { username, password } = new URL((this.dataSource.options as PostgresDataSourceOptions).url!);
    const [role, secret] = [pg.escapeIdentifier(username), pg.escapeLiteral(decodeURIComponent(password))];
    const restore = () =>
      this.application.query(
        `SET LOCAL ROLE ${role};
         ALTER ROLE ${role} RESET ALL;
         ALTER ROLE ${role} IN DATABASE ${pg.escapeIdentifier(this.dataSource.driver.database!)} RESET ALL;
         ALTER ROLE ${role} PASSWORD ${secret}`,
      );
    // One after the other: PostgreSQL refuses to update one row of its catalog twice at once.
    this.restored = this.restored
      .then(() => adminContext('SQL console: take back what a visitor changed of its login', restore))
      .catch((error: unknown) => this.logger.warn(error));
    await this.restored;
  }

  /** How many rows there are in all, and how many of them this tenant reaches with statements of the application's own. */
  private async reach(tables: readonly ProtectedTable[]): Promise<Reach[]> {
    const sql = tables
      .map(({ table }) => `SELECT '${table}' AS table, count(*)::int AS rows FROM ${table}`)
      .join(' UNION ALL ');
    const count = () => this.application.query<{ table: string; rows: number }[]>(sql);
    const [reached, total] = await Promise.all([
      count(),
      adminContext('SQL console: how many rows there are in all, as a control', count),
    ]);
    return total.map(({ table, rows }) => ({
      table,
      total: rows,
      reached: reached.find((own) => own.table === table)?.rows ?? 0,
    }));
  }

  private protectedTables(): Promise<ProtectedTable[]> {
    return (this.tables ??= this.application.query<ProtectedTable[]>(PROTECTED_TABLES_SQL));
  }
}

const PROTECTED_TABLES_SQL = `
  SELECT c.oid::int AS oid, quote_ident(c.relname) AS "table", a.attnum::int AS "tenantColumn"
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
   WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relrowsecurity
   ORDER BY c.relname`;

/** Values stay as PostgreSQL writes them, whatever their type. */
const AS_TEXT = { getTypeParser: () => (value: string) => value } as unknown as pg.CustomTypesConfig;

/** Ends the run, by taking its connection away, when it has lasted or answered too much. */
function guardRun(client: Client) {
  const { stream } = client.connection;
  let bytes = 0;
  const guard = { stopped: undefined as Stopped | undefined, end };
  const stop = (reason: Stopped) => {
    guard.stopped ??= reason;
    stream.destroy();
  };
  const timer = setTimeout(stop, LIMITS.seconds * 1000, 'time');
  const count = (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > LIMITS.bytes) stop('size');
  };
  stream.on('data', count);
  // A visitor may end the own session; without a listener that would end this process.
  client.on('error', () => {});
  function end() {
    clearTimeout(timer);
    stream.off('data', count);
  }
  return guard;
}

/** By the table and column that PostgreSQL names with each column of an answer: an alias cannot pretend to be one. */
function countByOwner(results: readonly Result[], tables: readonly ProtectedTable[], workspaceId: string) {
  const returned = { own: 0, foreign: 0 };
  for (const { fields, rows } of results) {
    const columns = fields.flatMap(({ tableID, columnID }, index) =>
      tables.some(({ oid, tenantColumn }) => oid === tableID && tenantColumn === columnID) ? [index] : [],
    );
    if (columns.length === 0) continue;
    for (const row of rows)
      if (columns.every((index) => row[index] === null || row[index] === workspaceId)) returned.own++;
      else returned.foreign++;
  }
  return returned;
}

function shorten({ command, rowCount, fields, rows }: Result): StatementResult {
  const columns = fields.slice(0, LIMITS.columns);
  const kept = rows.slice(0, LIMITS.rows).map((row) => row.slice(0, LIMITS.columns));
  const isLong = (value: string | null | undefined) => (value?.length ?? 0) > LIMITS.valueCharacters;
  const cut = (value: string | null) =>
    isLong(value) ? `${value!.slice(0, LIMITS.valueCharacters)}…` : value;
  return {
    command,
    rowCount,
    columns: columns.map(({ name }) => name),
    rows: kept.map((row) => row.map(cut)),
    shortened:
      rows.length > kept.length || fields.length > columns.length || kept.some((row) => row.some(isLong)),
  };
}

function describe(error: unknown, sql: string): ConsoleError {
  const { code, message, detail, hint, position } = error as pg.DatabaseError;
  // The whole of it comes from PostgreSQL or from this application, and may quote what the visitor typed.
  const short = (part: string | undefined) => part?.slice(0, LIMITS.valueCharacters * 4) ?? null;
  return {
    code: code ?? null,
    message: short(message)!,
    detail: short(detail),
    hint: short(hint),
    line: position === undefined ? null : lineAt(sql, Number(position)),
  };
}

/** PostgreSQL counts characters from 1. */
function lineAt(sql: string, position: number): number {
  return (
    Array.from(sql)
      .slice(0, position - 1)
      .filter((character) => character === '\n').length + 1
  );
}

function stoppedError(stopped: Stopped): ConsoleError {
  const message =
    stopped === 'time'
      ? `The run took more than ${LIMITS.seconds} seconds: the demo closed its connection and ended its backend.`
      : `The answer grew beyond ${LIMITS.bytes / 1000} kB: the demo closed the connection.`;
  return { code: null, message, detail: null, hint: 'Ask for less.', line: null };
}
