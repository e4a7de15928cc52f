import { AsyncResource } from 'node:async_hooks';
import { bindMethods } from '../context/keep-context.js';
import type { TenantContextState } from '../context/tenant-context.js';
import { RlsTenantsError } from '../errors.js';
import { isAnswer, shiftPosition } from './carried-query.js';
import type { Carrying } from './carrying.js';
import { frontError } from './connection-errors.js';
import type { Front } from './front.js';
import type { PgConnection, PgServerError, Submittable } from './pg-internals.js';
import { violated } from './statement-events.js';

type Handler = (...args: unknown[]) => void;
type Handlers = Record<string, Handler | undefined>;

// Where a statement's own code, or a listener on it, goes on: without a scope that is the context of the socket.
const CONTINUATIONS = [
  'emit',
  'handlePortalSuspended',
  'handleReadyForQuery',
  'handleCopyInResponse',
  'handleError',
] as const;

/** For whom a statement is submitted, in whose context it goes on, and the text that it was sent behind. */
interface Caller {
  state: TenantContextState;
  carrying: Carrying | undefined;
  scope: AsyncResource;
  textFront: Front | undefined;
}

const callers = new WeakMap<Submittable, Caller>();

/**
 * Makes a statement of another package (pg-cursor, pg-query-stream, pg-copy-streams) send the tenant in front of
 * itself. The statement's own first write is what sends it, so a statement refused before that leaves nothing half-sent.
 * Its callbacks and listeners run in the caller's context; without `carrying` it goes alone. A statement that is submitted again is its last caller's.
 */
export function carrySubmittable<T extends Submittable>(
  statement: T,
  state: TenantContextState,
  carrying: Carrying | undefined,
): T {
  const caller = { state, carrying, scope: new AsyncResource('TenantContext'), textFront: undefined };
  const known = callers.get(statement);
  if (known) Object.assign(known, caller);
  else bindToCaller(statement, caller);
  return statement;
}

function bindToCaller(statement: Submittable, caller: Caller): void {
  callers.set(statement, caller);
  bindMethods((fn) => caller.scope.runInAsyncScope(fn), statement, CONTINUATIONS);
  watchErrors(statement as unknown as Handlers, caller);
  const submit = statement.submit;
  statement.submit = function (connection) {
    const front = caller.carrying?.frontOf(caller.state);
    if (front === undefined) return submit.call(statement, connection);
    const sending = sendInFront(statement, connection, front, caller);
    connection.stream.cork();
    try {
      const refused = submit.call(statement, connection);
      if (refused) sending.disarm();
      else sending.hideName();
      return refused;
    } finally {
      connection.stream.uncork();
    }
  };
}

/** Corrects positions, and counts violations. An error of the front is no answer any more when it comes by here. */
function watchErrors(handlers: Handlers, caller: Caller): void {
  const { handleError } = handlers;
  handlers['handleError'] = function (error, ...rest) {
    violated(rest[0] as PgConnection | undefined, error as PgServerError, caller.state);
    if (caller.textFront && isAnswer(error as PgServerError))
      shiftPosition(error as PgServerError, -caller.textFront.length);
    handleError?.call(this, error, ...rest);
  };
}

interface Sending {
  /** Gives the connection its own methods back. */
  disarm(): void;
  /** Hides the statement's name until the front is answered; to be called when the statement is written. */
  hideName(): void;
}

/** Arms the connection's first write with the front. */
function sendInFront(
  statement: Submittable,
  connection: PgConnection,
  front: Front,
  caller: Caller,
): Sending {
  const { parse, bind, query } = connection;
  const disarm = () => Object.assign(connection, { parse, bind, query });
  const sending: Sending = { disarm, hideName: () => {} };
  const extended =
    (write: Handler) =>
    (...args: unknown[]) => {
      disarm();
      sending.hideName = swallowFront(statement, connection);
      if (connection.stream.writable) connection.stream.write(caller.carrying!.messagesOf(front, 'unnamed'));
      write.apply(connection, args);
    };
  connection.parse = extended(parse);
  connection.bind = extended(bind);
  connection.query = (text) => {
    disarm();
    if (front.sealed) return queryExtended(statement, connection, text, caller.carrying!, front);
    caller.textFront = front;
    // COPY … TO STDOUT of pg-copy-streams takes the raw bytes off node-postgres' parser before it writes.
    if (connection.stream.listenerCount('data') === 0) skipFrontInBytes(statement);
    swallowFront(statement, connection);
    query.call(connection, front.text + text);
  };
  return sending;
}

/**
 * Sends a text that was meant for the simple query protocol (COPY, a Query without values) by the extended one, which has
 * parameters: a seal must not stand in a text.
 */
function queryExtended(
  statement: Submittable,
  connection: PgConnection,
  text: string,
  carrying: Carrying,
  front: Front,
): void {
  syncAfterData(statement as unknown as Handlers, connection);
  if (connection.stream.listenerCount('data') === 0) skipFrontInBytes(statement, isNoAnswerYet);
  swallowFront(statement, connection);
  if (connection.stream.writable) connection.stream.write(carrying.messagesOf(front, 'unnamed'));
  connection.parse({ text });
  connection.bind({});
  connection.describe({ type: 'P', name: '' });
  connection.execute({});
  connection.sync();
}

/** PostgreSQL ignores a Sync while it takes COPY's data, so that another one must follow the last of them. */
function syncAfterData(handlers: Handlers, connection: PgConnection): void {
  const { stream } = connection;
  const { handleCopyInResponse, handleError } = handlers;
  let done = () => {};
  handlers['handleCopyInResponse'] = function (...args) {
    const { sendCopyFail } = connection;
    const { write } = stream;
    done = () => {
      done = () => {};
      Object.assign(stream, { write });
      Object.assign(connection, { sendCopyFail });
      connection.sync();
    };
    stream.write = (bytes) => {
      const drained = write.call(stream, bytes);
      if (isCopyDone(bytes)) done();
      return drained;
    };
    connection.sendCopyFail = (reason) => {
      sendCopyFail.call(connection, reason);
      done();
    };
    handleCopyInResponse?.apply(this, args);
  };
  handlers['handleError'] = function (error, ...rest) {
    if (isAnswer(error as PgServerError)) done();
    handleError?.call(this, error, ...rest);
  };
}

function isCopyDone(bytes: Uint8Array): boolean {
  return bytes.length === HEADER_BYTES && bytes[0] === COPY_DONE;
}

/**
 * Shadows the statement's handlers until the front is answered; then they are what they were, own or inherited.
 *
 * @returns what hides the statement's name: the client books a ParseComplete under it, and the first answers the front.
 */
function swallowFront(statement: Submittable, connection: PgConnection): () => void {
  const handlers = statement as unknown as Handlers;
  const names = ['handleRowDescription', 'handleDataRow', 'handleCommandComplete', 'handleError'];
  const own = names.map((name) => [name, Object.getOwnPropertyDescriptor(handlers, name)] as const);
  const { handleError } = handlers;
  let hiddenName: string | undefined;
  const restore = () => {
    for (const [name, descriptor] of own) {
      if (descriptor) Object.defineProperty(handlers, name, descriptor);
      else delete handlers[name];
    }
    if (hiddenName !== undefined) statement.name = hiddenName;
  };
  handlers['handleRowDescription'] = () => {};
  handlers['handleDataRow'] = () => {};
  handlers['handleCommandComplete'] = restore;
  handlers['handleError'] = (error, ...rest) => {
    if (!isAnswer(error as PgServerError)) return handleError?.call(statement, error, ...rest);
    restore();
    if (hiddenName !== undefined) delete connection.submittedNamedStatements?.[hiddenName];
    handleError?.call(statement, frontError(error as PgServerError), ...rest);
  };
  return () => {
    hiddenName = statement.name;
    if (hiddenName !== undefined) statement.name = undefined;
  };
}

const COMMAND_COMPLETE = 0x43;
const ERROR_RESPONSE = 0x45;
const COPY_DONE = 0x63;
const HEADER_BYTES = 5;

/** ParseComplete, BindComplete and NoData, which the simple query protocol does not have. */
const isNoAnswerYet = (type: number) => type === 0x31 || type === 0x32 || type === 0x6e;

/**
 * Hides the answer to the front from a statement that parses the connection's bytes itself.
 *
 * @param isHiddenToo what comes between that answer and what the statement waits for.
 */
function skipFrontInBytes(
  statement: Submittable,
  isHiddenToo: (type: number) => boolean = () => false,
): void {
  const parser = statement as unknown as { _parse?: (chunk: Buffer) => boolean };
  const parse = parser._parse;
  if (typeof parse !== 'function') {
    throw new RlsTenantsError(
      'A statement reads the raw protocol in a way the tenant cannot be carried in front of.',
      'Use COPY through pg-copy-streams, or run the statement outside any tenant context.',
    );
  }
  let pending = Buffer.alloc(0);
  let answered = false;
  parser._parse = (chunk) => {
    pending = Buffer.concat([pending, chunk]);
    while (pending.length >= HEADER_BYTES) {
      const type = pending[0]!;
      const end = 1 + pending.readUInt32BE(1);
      if (type === ERROR_RESPONSE || (answered && !isHiddenToo(type))) {
        parser._parse = parse;
        return parse.call(statement, pending);
      }
      if (pending.length < end) return true;
      pending = pending.subarray(end);
      if (type === COMMAND_COMPLETE) {
        answered = true;
        (statement as unknown as Handlers)['handleCommandComplete']?.();
      }
    }
    return true;
  };
}
