import type { Front } from './front.js';
import type { PgClient, PgServerError } from './pg-internals.js';

/** What a statement sent in front of itself, as far as the answer says something about the connection. */
export type FrontForm = 'unnamed' | 'asking' | 'preparing' | 'prepared';

const INVALID_STATEMENT_NAME = '26000';
const FORGETTING_COMMANDS = new Set(['DISCARD ALL', 'DEALLOCATE ALL']);

/**
 * Decides whether one connection's fronts are a prepared statement, which PostgreSQL parses and plans once: that
 * spares the server about two thirds of a front.
 *
 * Only a connection that has one backend to itself may prepare: a pooler hands each transaction to another backend,
 * where the statement may not exist. The connection's first front finds out by asking for the backend's process id,
 * which a client is also told when it connects; PgBouncer and its like tell one of their own. Test: "behind PgBouncer
 * it is never prepared".
 */
export class PreparedFront {
  private next: FrontForm = 'asking';
  private underWay = false;
  /** True once the connection is known to have one backend to itself. */
  ownsBackend = false;

  /** @param detects whether a first front with a seal asks whose the backend is. */
  constructor(
    private readonly client: PgClient,
    private readonly detects: boolean,
  ) {}

  /** The form in which the front of the next statement goes out. To be called when it is about to be written. */
  form(front: Front): FrontForm {
    if (this.underWay) return 'unnamed';
    // A seal is never left to a prepared statement: whoever can run SQL on the connection could replace that.
    if (front.sealed && (this.next !== 'asking' || !this.detects)) return 'unnamed';
    if (!front.sealed && front.statementName === undefined) return 'unnamed';
    this.underWay = this.next === 'asking' || this.next === 'preparing';
    return this.next;
  }

  /** The row that answers a front that asked. */
  backendIs(processId: string | null): void {
    this.ownsBackend = processId === String(this.client.processID);
    this.next = this.ownsBackend ? 'preparing' : 'unnamed';
  }

  /** A front was answered. */
  succeeded(form: FrontForm): void {
    if (form === 'preparing') this.next = 'prepared';
    if (form !== 'unnamed') this.underWay = false;
  }

  /** A front was refused; where the prepared statement is gone, this connection does without from then on. */
  failed(form: FrontForm, error: PgServerError): void {
    if (form === 'prepared' && error.code === INVALID_STATEMENT_NAME) this.next = 'unnamed';
    if (form !== 'unnamed') this.underWay = false;
  }

  /** A statement of the application was answered with this command tag. */
  completed(command: string | undefined): void {
    if (this.next === 'prepared' && command !== undefined && FORGETTING_COMMANDS.has(command))
      this.next = 'preparing';
  }
}
