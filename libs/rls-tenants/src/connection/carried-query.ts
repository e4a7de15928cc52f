import type { TenantContextState } from '../context/tenant-context.js';
import { frontError } from './connection-errors.js';
import type { Carrying } from './carrying.js';
import type { Front } from './front.js';
import type {
  PgCommandComplete,
  PgConnection,
  PgDataRow,
  PgQuery,
  PgQueryClass,
  PgServerError,
} from './pg-internals.js';
import type { FrontForm } from './prepared-front.js';
import { violated } from './statement-events.js';

/** A `pg.Query` that sends the tenant in front of itself and swallows the answer to that. */
export interface CarriedQuery extends PgQuery {
  /** Undefined for transaction control, which goes alone. */
  carrying: Carrying | undefined;
  state: TenantContextState;
  /** What was sent in front; `null` until it is submitted, `undefined` if it went alone. */
  readonly front: Front | null | undefined;
}

const carriedQueryClasses = new WeakMap<
  PgQueryClass,
  new (...args: ConstructorParameters<PgQueryClass>) => CarriedQuery
>();

/** The carried twin of the Query class that a client uses (an application may hold more than one copy of pg). */
export function carriedQueryClass(Query: PgQueryClass) {
  let carried = carriedQueryClasses.get(Query);
  if (carried === undefined) carriedQueryClasses.set(Query, (carried = makeCarriedQueryClass(Query)));
  return carried;
}

function makeCarriedQueryClass(Query: PgQueryClass) {
  return class CarriedQuery extends Query {
    declare carrying: Carrying | undefined;
    declare state: TenantContextState;
    front: Front | null | undefined = null;
    private form: FrontForm = 'unnamed';
    // True until the front's CommandComplete: what arrives before it answers the front.
    private swallowing = false;
    private textPrefixed = false;
    private hiddenName: string | undefined;

    override submit(connection: PgConnection): Error | null {
      this.front = this.carrying?.frontOf(this.state);
      const { text } = this;
      // What has no text is refused by node-postgres itself, and must not become the text 'undefined'.
      if (this.front === undefined || this.requiresPreparation() || typeof text !== 'string')
        return super.submit(connection);
      this.text = this.front.text + text;
      const refused = super.submit(connection);
      this.text = text;
      this.swallowing = this.textPrefixed = refused === null;
      return refused;
    }

    override prepare(connection: PgConnection): void {
      if (!this.front) return super.prepare(connection);
      this.form = this.carrying!.prepared.form(this.front);
      if (connection.stream.writable) connection.stream.write(messagesOf(this.front, this.form));
      this.swallowing = true;
      super.prepare(connection);
      // The client books ParseComplete under the active query's name; the first one answers the front.
      this.hiddenName = this.name;
      this.name = undefined;
    }

    override handleRowDescription(message: unknown): void {
      if (!this.swallowing) super.handleRowDescription(message);
    }

    override handleDataRow(message: PgDataRow): void {
      if (!this.swallowing) super.handleDataRow(message);
      else if (this.form === 'asking') this.carrying!.prepared.backendIs(message.fields.at(-1) ?? null);
    }

    override handleCommandComplete(message: PgCommandComplete, connection: PgConnection): void {
      if (!this.swallowing) {
        this.carrying?.prepared.completed(message.text);
        return super.handleCommandComplete(message, connection);
      }
      this.swallowing = false;
      this.carrying!.prepared.succeeded(this.form);
      if (this.hiddenName !== undefined) this.name = this.hiddenName;
    }

    override handleError(error: PgServerError, connection: PgConnection): void {
      if (!this.swallowing) violated(connection, error, this.state);
      if (!this.front || !isAnswer(error)) return super.handleError(error, connection);
      // A syntax error of the statement comes before the front is run.
      if (this.textPrefixed) shiftPosition(error, this.front);
      if (!this.swallowing) return super.handleError(error, connection);
      this.swallowing = false;
      this.carrying!.prepared.failed(this.form, error);
      if (this.hiddenName !== undefined) {
        this.name = this.hiddenName;
        delete connection.submittedNamedStatements?.[this.hiddenName];
      }
      super.handleError(frontError(error), connection);
    }
  };
}

function messagesOf(front: Front, form: FrontForm): Buffer {
  switch (form) {
    case 'unnamed':
      return front.messages;
    case 'asking':
      return front.askingMessages;
    case 'preparing':
      return front.preparingMessages;
    case 'prepared':
      return front.preparedMessages;
  }
}

/**
 * False for an error that node-postgres raises by itself (a read timeout, a value that cannot be sent, a lost
 * connection): the server's answers, the front's first, may still come.
 */
export function isAnswer(error: PgServerError): boolean {
  return error.severity !== undefined;
}

/** PostgreSQL counts the position from the start of the text it was sent, and the front was in it. */
export function shiftPosition(error: PgServerError, front: Front): void {
  if (error.position !== undefined) error.position = String(Number(error.position) - front.length);
}
