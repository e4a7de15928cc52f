import { AsyncResource } from 'node:async_hooks';
import { bindMethods } from '../context/keep-context.js';
import type { TenantContextState } from '../context/tenant-context.js';
import { RlsTenantsError } from '../errors.js';
import { shiftPosition } from './carried-query.js';
import type { Carrying } from './carrying.js';
import { frontError } from './connection-errors.js';
import type { Front } from './front.js';
import type { PgConnection, PgServerError, Submittable } from './pg-internals.js';

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

/** For whom a statement is submitted, and in whose context it goes on. */
interface Caller {
  state: TenantContextState;
  carrying: Carrying;
  scope: AsyncResource;
}

const callers = new WeakMap<Submittable, Caller>();

/**
 * Makes a statement of another package (pg-cursor, pg-query-stream, pg-copy-streams) send the tenant in front of
 * itself. The statement's own first write is what sends it, so a statement refused before that leaves nothing half-sent.
 * Its callbacks and listeners run in the caller's context. A statement that is submitted again is its last caller's.
 */
export function carrySubmittable<T extends Submittable>(
  statement: T,
  state: TenantContextState,
  carrying: Carrying,
): T {
  const caller = { state, carrying, scope: new AsyncResource('TenantContext') };
  const known = callers.get(statement);
  if (known) Object.assign(known, caller);
  else bindToCaller(statement, caller);
  return statement;
}

function bindToCaller(statement: Submittable, caller: Caller): void {
  callers.set(statement, caller);
  bindMethods((fn) => caller.scope.runInAsyncScope(fn), statement, CONTINUATIONS);
  const submit = statement.submit;
  statement.submit = function (connection) {
    const front = caller.carrying.frontOf(caller.state);
    if (front === undefined) return submit.call(statement, connection);
    const restore = sendInFront(statement, connection, front);
    connection.stream.cork();
    try {
      const refused = submit.call(statement, connection);
      if (refused) restore();
      return refused;
    } finally {
      connection.stream.uncork();
    }
  };
}

/** Arms the connection's first write with the front. Returns what disarms it. */
function sendInFront(statement: Submittable, connection: PgConnection, front: Front): () => void {
  const { parse, bind, query } = connection;
  const restore = () => Object.assign(connection, { parse, bind, query });
  const extended =
    (write: Handler) =>
    (...args: unknown[]) => {
      restore();
      swallowFront(statement, front, false);
      connection.stream.write(front.messages);
      write.apply(connection, args);
    };
  connection.parse = extended(parse);
  connection.bind = extended(bind);
  connection.query = (text) => {
    restore();
    // COPY … TO STDOUT of pg-copy-streams takes the raw bytes off node-postgres' parser before it writes.
    if (connection.stream.listenerCount('data') === 0) skipFrontInBytes(statement);
    else swallowFront(statement, front, true);
    query.call(connection, front.text + text);
  };
  return restore;
}

/** Shadows the statement's handlers until the front is answered; then they are what they were, own or inherited. */
function swallowFront(statement: Submittable, front: Front, textPrefixed: boolean): void {
  const handlers = statement as unknown as Handlers;
  const names = ['handleRowDescription', 'handleDataRow', 'handleCommandComplete', 'handleError'];
  const own = names.map((name) => [name, Object.getOwnPropertyDescriptor(handlers, name)] as const);
  const restore = () => {
    for (const [name, descriptor] of own) {
      if (descriptor) Object.defineProperty(handlers, name, descriptor);
      else delete handlers[name];
    }
  };
  handlers['handleRowDescription'] = () => {};
  handlers['handleDataRow'] = () => {};
  handlers['handleCommandComplete'] = () => {
    restore();
    if (textPrefixed) shiftErrorPositions(handlers, front);
  };
  handlers['handleError'] = (error, ...rest) => {
    restore();
    handlers['handleError']?.(frontError(error as PgServerError), ...rest);
  };
}

function shiftErrorPositions(handlers: Handlers, front: Front): void {
  const handleError = handlers['handleError'];
  handlers['handleError'] = function (this: unknown, error, ...rest) {
    shiftPosition(error as PgServerError, front);
    handleError?.call(this, error, ...rest);
  };
}

const COMMAND_COMPLETE = 0x43;
const ERROR_RESPONSE = 0x45;
const HEADER_BYTES = 5;

/** Hides the answer to the front from a statement that parses the connection's bytes itself. */
function skipFrontInBytes(statement: Submittable): void {
  const parser = statement as unknown as { _parse?: (chunk: Buffer) => boolean };
  const parse = parser._parse;
  if (typeof parse !== 'function') {
    throw new RlsTenantsError(
      'A statement reads the raw protocol in a way the tenant cannot be carried in front of.',
      'Use COPY through pg-copy-streams, or run the statement outside any tenant context.',
    );
  }
  let pending = Buffer.alloc(0);
  parser._parse = (chunk) => {
    pending = Buffer.concat([pending, chunk]);
    while (pending.length >= HEADER_BYTES) {
      const type = pending[0];
      const end = 1 + pending.readUInt32BE(1);
      if (pending.length < end && type !== ERROR_RESPONSE) return true;
      if (type !== ERROR_RESPONSE) pending = pending.subarray(end);
      if (type === ERROR_RESPONSE || type === COMMAND_COMPLETE) {
        parser._parse = parse;
        return pending.length > 0 ? parse.call(statement, pending) : true;
      }
    }
    return true;
  };
}
