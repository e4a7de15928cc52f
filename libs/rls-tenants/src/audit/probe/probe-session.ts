import type { DataSource } from 'typeorm';
import { RlsConfigurationError } from '../../errors.js';

/** What the probe needs of a pg client. */
export interface ProbeClient {
  query(sql: string, values?: readonly unknown[]): Promise<{ rows: unknown[]; rowCount: number | null }>;
  end(): Promise<void>;
}

/** How one statement ended. */
export type Outcome<Row = Record<string, unknown>> =
  | { readonly kind: 'done'; readonly rows: readonly Row[]; readonly rowCount: number }
  /** PostgreSQL refused it. The message is not kept: it may hold values of rows. */
  | { readonly kind: 'refused'; readonly code: string; readonly routine: string | undefined }
  /** It proves nothing: out of time, locked out, or for a reason that has nothing to do with isolation. */
  | { readonly kind: 'inconclusive'; readonly code: string; readonly reason: string };

/** In whose name a transaction runs. */
export interface Actor {
  /** The tenant setting's value, or null to leave it as it is. */
  readonly tenant: string | null;
  /** Default: the audited role. */
  readonly role?: string;
  /** Other settings of the transaction. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Default: the transaction is read-only. */
  readonly writes?: boolean;
}

/** Runs one statement of a transaction. After one that did not end `done` the transaction takes no other. */
export type RunStatement = <Row = Record<string, unknown>>(
  sql: string,
  values?: readonly unknown[],
) => Promise<Outcome<Row>>;

/** Every statement ends within this time, in milliseconds, or is inconclusive. */
const STATEMENT_TIMEOUT_MS = 3000;
/** No statement waits longer for a lock, in milliseconds, and so makes nobody wait longer behind it. */
const LOCK_TIMEOUT_MS = 500;

/**
 * One connection on which things are tried. Every transaction that reads or writes is rolled back; every statement has a time limit. What a
 * session may keep (settings, prepared statements, advisory locks) ends with the connection.
 */
export class ProbeSession {
  constructor(
    private readonly client: ProbeClient,
    /** The tenant settings. A tenant is put into each of them. */
    private readonly tenantSettings: readonly string[],
    /** The role to become in every transaction; `none` if it is the one that logged in. */
    private readonly appRole: string,
    /** What goes along with a tenant: its seals, by the settings that carry them. */
    private readonly sealsOf: (tenant: string) => Readonly<Record<string, string>> = () => ({}),
  ) {}

  /** Tries one statement in a transaction of its own. */
  async attempt<Row = Record<string, unknown>>(
    actor: Actor,
    sql: string,
    values?: readonly unknown[],
  ): Promise<Outcome<Row>> {
    return this.transaction(actor, (run) => run<Row>(sql, values));
  }

  /** Runs `work` in a transaction that is rolled back whatever happens. */
  async transaction<T>(actor: Actor, work: (run: RunStatement) => Promise<T>): Promise<T> {
    await this.client.query(actor.writes ? 'START TRANSACTION' : 'START TRANSACTION READ ONLY');
    try {
      const became = await this.become(actor);
      return await work(async (sql, values) => (became.kind === 'done' ? this.run(sql, values) : became));
    } finally {
      await this.client.query('ROLLBACK');
    }
  }

  /** Makes a transaction somebody's and commits it. It reads and writes nothing. */
  async commitEmpty(actor: Actor): Promise<void> {
    await this.client.query('START TRANSACTION READ ONLY');
    await this.become(actor);
    await this.client.query('COMMIT');
  }

  /** Makes the rest of the running transaction somebody else's. */
  async become({ tenant, role = this.appRole, settings = {} }: Actor): Promise<Outcome<never>> {
    const values = Object.entries({
      statement_timeout: String(STATEMENT_TIMEOUT_MS),
      lock_timeout: String(LOCK_TIMEOUT_MS),
      // The connection may vanish in the middle; its locks must not stay.
      idle_in_transaction_session_timeout: '10000',
      role,
      ...(tenant === null ? {} : Object.fromEntries(this.tenantSettings.map((name) => [name, tenant]))),
      ...(tenant === null ? {} : this.sealsOf(tenant)),
      ...settings,
    }).flat();
    const calls = values.flatMap((_, i) =>
      i % 2 === 0 ? [`pg_catalog.set_config($${i + 1}, $${i + 2}, true)`] : [],
    );
    const outcome = await this.run(`SELECT ${calls.join(', ')}`, values);
    return outcome.kind === 'done' ? { ...outcome, rows: [] } : outcome;
  }

  private async run<Row>(sql: string, values?: readonly unknown[]): Promise<Outcome<Row>> {
    try {
      const { rows, rowCount } = await this.client.query(sql, values);
      return { kind: 'done', rows: rows as Row[], rowCount: rowCount ?? 0 };
    } catch (error) {
      return outcomeOf(error);
    }
  }
}

/** SQLSTATEs, and classes of them, that say nothing about isolation. */
const INCONCLUSIVE: Readonly<Record<string, string>> = {
  '57014': `it took longer than ${STATEMENT_TIMEOUT_MS / 1000} s`,
  '55P03': `it waited longer than ${LOCK_TIMEOUT_MS / 1000} s for a lock`,
  '40': 'it collided with another transaction',
  '25006': 'it writes, and the transaction is read-only',
  '0A': 'PostgreSQL does not support it there',
  '42601': 'PostgreSQL could not read the statement',
  '42703': 'a column is not there',
  '42804': 'a type does not fit',
  '42883': 'a function or operator is not there',
  '42P01': 'a relation is not there',
  '53': 'the server is short of resources',
  '54': 'a limit of the server was reached',
  '55000': 'the object is not ready to be read',
  '58': 'the server met a system error',
  XX: 'the server met an internal error',
};

function outcomeOf(error: unknown): Outcome<never> {
  const { code, routine } = error as { code?: unknown; routine?: string };
  // Without a SQLSTATE the connection is gone.
  if (typeof code !== 'string' || !/^[0-9A-Z]{5}$/.test(code)) throw error;
  const reason = INCONCLUSIVE[code] ?? INCONCLUSIVE[code.slice(0, 2)];
  return reason === undefined
    ? { kind: 'refused', code, routine }
    : { kind: 'inconclusive', code, reason: `${reason} (SQLSTATE ${code})` };
}

/**
 * Opens a connection of its own with the data source's settings, past its pool: an isolated pool would carry a tenant
 * context of its own in front of every statement, and only a fresh session shows what a session starts with.
 */
export async function connectForProbe(dataSource: DataSource): Promise<ProbeClient> {
  const { postgres, master } = dataSource.driver as unknown as {
    postgres: { Client: new (options: object) => ProbeClient & { connect(): Promise<void>; on: OnError } };
    master: { options: object };
  };
  const client = new postgres.Client(master.options);
  // A connection that breaks fails the statement under way; unheard, the event would end the process.
  client.on('error', () => {});
  try {
    await client.connect();
  } catch (cause) {
    throw new RlsConfigurationError(
      `Could not probe: no connection of its own (${cause instanceof Error ? cause.message : String(cause)}).`,
      'The probe needs one connection besides those of the data source.',
      { cause },
    );
  }
  return client;
}

type OnError = (event: 'error', listener: () => void) => unknown;
