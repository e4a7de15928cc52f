import type { TenantContextState } from '../context/tenant-context.js';
import { RlsTenantsError } from '../errors.js';
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
import { splitStatements, type StatementPart } from './split-statements.js';
import { violated } from './statement-events.js';
import {
  isCommit,
  isTransactionControl,
  mayRollBackWithin,
  type TransactionControl,
} from './transaction-control.js';

/** A `pg.Query` that sends the tenant in front of itself and swallows the answer to that. */
export interface CarriedQuery extends PgQuery {
  carrying: Carrying;
  state: TenantContextState;
  /** Undefined for a statement that carries its caller's tenant. */
  control: TransactionControl | undefined;
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
    declare carrying: Carrying;
    declare state: TenantContextState;
    declare control: TransactionControl | undefined;
    front: Front | null | undefined = null;
    private form: FrontForm = 'unnamed';
    // True until the front's CommandComplete: what arrives before it answers the front.
    private swallowing = false;
    private textPrefixed = false;
    /** Of a text with several statements that goes out one by one: those that are not answered yet. */
    private parts: readonly CarriedPart[] = [];
    private hiddenName: string | undefined;
    /** Those of a text that is split: under a seal, or if it may go back to a savepoint. */
    private statements: readonly StatementPart[] = [];
    /** True if the first of them is to end, or to roll back, what an error aborted: in front of it everything fails. */
    private isAborted = false;

    override submit(connection: PgConnection): Error | null {
      this.front = this.control
        ? this.carrying.frontOfControl(this.control)
        : this.carrying.frontOf(this.state);
      const { text } = this;
      if (typeof text === 'string' && !hasValues(this.values)) {
        if (this.carrying.seals || mayRollBackWithin(text)) this.statements = splitStatements(text);
        if (!this.front && this.statements.length > 1) {
          this.front = this.carrying.frontBehindRollback(this.state);
          this.isAborted = this.front !== undefined;
        }
        if (this.isSplit() && this.statements.some((statement) => copiesFromClient(statement.text)))
          return noData();
      }
      // What has no text is refused by node-postgres itself, and must not become the text 'undefined'.
      if (this.front === undefined || this.requiresPreparation() || typeof text !== 'string')
        return super.submit(connection);
      this.text = this.front.text + text;
      const refused = super.submit(connection);
      this.text = text;
      this.swallowing = this.textPrefixed = refused === null;
      return refused;
    }

    /** Under a seal always: the simple query protocol has no parameters, so that everybody could read the seal. */
    override requiresPreparation(): boolean {
      return this.isSplit() || super.requiresPreparation();
    }

    /** Whether the statements of the text go out one by one. */
    private isSplit(): boolean {
      return this.front?.sealed !== undefined || (this.front != null && this.statements.length > 1);
    }

    override prepare(connection: PgConnection): void {
      if (!this.front) return super.prepare(connection);
      if (this.statements.length > 1) return this.prepareEach(this.statements, this.front, connection);
      this.form = this.carrying.prepared.form(this.front);
      if (connection.stream.writable)
        connection.stream.write(this.carrying.messagesOf(this.front, this.form));
      this.swallowing = true;
      super.prepare(connection);
      // The client books ParseComplete under the active query's name; the first one answers the front.
      this.hiddenName = this.name;
      this.name = undefined;
    }

    /**
     * Sends the statements of a text as the extended query protocol takes them, one by one in one batch: one implicit
     * transaction, as the simple protocol would make of them. Each carries the tenant, because one before it may have
     * ended the transaction or gone back to a savepoint.
     */
    private prepareEach(parts: readonly StatementPart[], front: Front, connection: PgConnection): void {
      this.parts = parts.map((part, index) => ({ ...part, front: this.frontOfPart(part, index, front) }));
      this.swallowing = this.parts[0]!.front !== undefined;
      for (const { text, front: own } of this.parts) {
        if (own && connection.stream.writable)
          connection.stream.write(this.carrying.messagesOf(own, 'unnamed'));
        connection.parse({ text });
        connection.bind({});
        connection.describe({ type: 'P', name: '' });
        connection.execute({});
      }
      connection.sync();
    }

    private frontOfPart({ text }: StatementPart, index: number, front: Front): Front | undefined {
      if (index === 0 && this.isAborted) return undefined;
      if (isCommit(text)) return this.carrying.frontOfCommit(index === 0);
      return isTransactionControl(text) ? undefined : front;
    }

    private partDone(): void {
      if (this.parts.length === 0) return;
      this.parts = this.parts.slice(1);
      this.swallowing = this.parts[0]?.front !== undefined;
    }

    override handleEmptyQuery(connection: PgConnection): void {
      super.handleEmptyQuery(connection);
      this.partDone();
    }

    override handleRowDescription(message: unknown): void {
      if (!this.swallowing) super.handleRowDescription(message);
    }

    override handleDataRow(message: PgDataRow): void {
      if (!this.swallowing) super.handleDataRow(message);
      else if (this.form === 'asking') this.carrying.prepared.backendIs(message.fields.at(-1) ?? null);
    }

    override handleCommandComplete(message: PgCommandComplete, connection: PgConnection): void {
      if (!this.swallowing) {
        this.carrying.prepared.completed(message.text);
        super.handleCommandComplete(message, connection);
        return this.partDone();
      }
      this.swallowing = false;
      this.carrying.prepared.succeeded(this.form);
      if (this.hiddenName !== undefined) this.name = this.hiddenName;
    }

    /** COPY FROM, whose data nobody has: node-postgres ends it, and the Sync that followed it was read as part of that. */
    override handleCopyInResponse(connection: PgConnection): void {
      super.handleCopyInResponse(connection);
      if (this.isSplit() && this.parts.length <= 1) connection.sync();
    }

    override handleError(error: PgServerError, connection: PgConnection): void {
      if (!this.swallowing) violated(connection, error, this.state);
      if (!this.front || !isAnswer(error)) return super.handleError(error, connection);
      // A syntax error of the statement comes before the front is run.
      if (this.textPrefixed) shiftPosition(error, -this.front.length);
      if (this.parts.length > 0) shiftPosition(error, this.parts[0]!.position);
      if (!this.swallowing) return super.handleError(error, connection);
      this.swallowing = false;
      this.carrying.prepared.failed(this.form, error);
      if (this.hiddenName !== undefined) {
        this.name = this.hiddenName;
        delete connection.submittedNamedStatements?.[this.hiddenName];
      }
      super.handleError(frontError(error), connection);
    }
  };
}

/**
 * False for an error that node-postgres raises by itself (a read timeout, a value that cannot be sent, a lost
 * connection): the server's answers, the front's first, may still come.
 */
export function isAnswer(error: PgServerError): boolean {
  return error.severity !== undefined;
}

/** PostgreSQL counts the position from the start of the text it was sent, which was not the statement's own. */
export function shiftPosition(error: PgServerError, characters: number): void {
  if (error.position !== undefined) error.position = String(Number(error.position) + characters);
}

interface CarriedPart extends StatementPart {
  /** Undefined for transaction control, which goes alone. */
  readonly front: Front | undefined;
}

// PostgreSQL takes STDOUT for it as well.
const FROM_CLIENT = /^COPY\b[^]*\bFROM\s+STD(?:IN|OUT)\b/i;

/** True for a COPY that waits for data, of which a text has none. */
function copiesFromClient(text: string): boolean {
  return /copy/i.test(text) && FROM_CLIENT.test(text.replace(COMMENT, ' ').trimStart());
}

const COMMENT = /--[^\r\n]*|\/\*[^]*?\*\//g;

/** The Sync of a text that is split is sent with it, and COPY would swallow that: the connection would hang, or be lost. */
function noData(): RlsTenantsError {
  return new RlsTenantsError(
    'COPY … FROM STDIN was sent as a text, without its data.',
    'Send it by pg-copy-streams: `client.query(copyFrom(text))`.',
  );
}

function hasValues(values: unknown): boolean {
  return Array.isArray(values) && values.length > 0;
}
