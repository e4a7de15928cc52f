import { captureScope } from '../context/keep-context.js';
import { currentTenantContext } from '../context/tenant-context.js';
import { RlsConfigurationError, RlsTenantsError } from '../errors.js';
import { carriedQueryClass, type CarriedQuery } from './carried-query.js';
import { carrySubmittable } from './carried-submittable.js';
import { Carrying } from './carrying.js';
import type { Isolation } from './isolation.js';
import type { PgClient, PgQueryClass, Submittable } from './pg-internals.js';
import { countViolations } from './statement-events.js';
import { splitStatements } from './split-statements.js';
import { isCommit, isTransactionControl, mayRollBackWithin } from './transaction-control.js';

const CARRYING = Symbol('nestjs-rls-tenants: carrying');

type CarryingClient = PgClient & { [CARRYING]?: Isolation };

/** Makes every statement of this client carry the tenant context of whoever calls `client.query()`. Idempotent. */
export function carryOn(client: CarryingClient, isolation: Isolation): void {
  const carriesFor = client[CARRYING];
  if (carriesFor === isolation || (carriesFor && carriesFor === isolation.admins?.isolation)) return;
  const Query = queryClassOf(client.constructor);
  if (carriesFor !== undefined || Query === undefined || client.connection === undefined) throw cannotCarry();
  client[CARRYING] = isolation;

  const { seal } = isolation.options;
  const carrying = new Carrying(client, isolation.fronts, isolation.counts.carried, seal);
  countViolations(client.connection, isolation.counts);
  const Carried = carriedQueryClass(Query);
  const query = client.query;

  client.query = (config: unknown, values?: unknown, callback?: unknown): unknown => {
    if (config === null || config === undefined) return query.call(client, config, values, callback); // pg's TypeError
    const text = textOf(config);
    const state = currentTenantContext(); // the caller's own: a pool or socket callback runs in somebody else's
    const alone = text !== undefined && isTransactionControl(text);
    const commits = text !== undefined && isCommit(text) && splitStatements(text).length === 1;
    if (isSubmittable(config)) {
      const refused = alone ? undefined : (isolation.refusalOnClient(state, text) ?? refusalWithin(text));
      if (refused) throw refused;
      if (seal) config.name = undefined;
      return query.call(
        client,
        carrySubmittable(config, state, alone ? undefined : carrying),
        values,
        callback,
      );
    }

    const statement = new Carried(config, values, callback);
    statement.carrying = carrying;
    statement.control = commits ? 'commit' : alone ? 'other' : undefined;
    statement.state = state;
    statement.query_timeout = (config as { query_timeout?: number }).query_timeout!;
    // What is prepared under a name outlives the request, and whoever can run SQL here could have replaced it.
    if (seal) statement.name = undefined;
    const refused = alone ? undefined : isolation.refusalOnClient(state, text);
    if (!statement.callback) return send(client, query, statement, refused);
    if (typeof statement.callback !== 'function') throw new TypeError('callback is not a function'); // as pg's
    // The socket calls back in the context of whoever opened the connection.
    const { callback: whenDone } = statement;
    const inCallersContext = captureScope();
    statement.callback = (error, result) =>
      inCallersContext(() => whenDone(error ?? replaced(statement), result));
    if (refused) process.nextTick(statement.callback, refused);
    else query.call(client, statement);
    return undefined;
  };
}

/** The Query class of a client class that speaks the protocol itself; undefined for pg-native's, which cannot carry. */
export function queryClassOf(Client: { Query?: PgQueryClass } | undefined): PgQueryClass | undefined {
  const Query = Client?.Query;
  return typeof Query?.prototype.requiresPreparation === 'function' ? Query : undefined;
}

function send(
  client: PgClient,
  query: PgClient['query'],
  statement: CarriedQuery,
  refused: Error | undefined,
): Promise<unknown> {
  if (refused) return Promise.reject(refused);
  return new Promise((resolve, reject) => {
    statement.callback = (error, result) => {
      const failure = error ?? replaced(statement);
      if (!failure) return resolve(result);
      // As node-postgres does: the trace of the caller, not the socket's.
      Error.captureStackTrace(failure);
      reject(failure);
    };
    query.call(client, statement);
  });
}

/** What was answered and never submitted is not what was sent: something in between sent a copy, which carries nothing. */
function replaced(statement: CarriedQuery): Error | null {
  return statement.front === null ? copySent() : null;
}

/** A statement that another package sends goes as it is, so that nothing could be carried behind its `ROLLBACK TO`. */
function refusalWithin(text: string | undefined): RlsTenantsError | undefined {
  if (text === undefined || !mayRollBackWithin(text) || splitStatements(text).length === 1) return undefined;
  return new RlsTenantsError(
    'A COPY, a cursor or a Query object has a text of several statements, one of which may go back to a savepoint: behind it the tenant would be the one that the savepoint was set for.',
    'Send them one by one, or the text itself: `client.query(text)`.',
  );
}

function isSubmittable(config: unknown): config is Submittable {
  return typeof (config as Submittable | null | undefined)?.submit === 'function';
}

function textOf(config: unknown): string | undefined {
  if (typeof config === 'string') return config;
  const text =
    (config as { text?: unknown; cursor?: { text?: unknown } } | null | undefined)?.text ??
    (config as { cursor?: { text?: unknown } } | null | undefined)?.cursor?.text;
  return typeof text === 'string' ? text : undefined;
}

function copySent(): RlsConfigurationError {
  return new RlsConfigurationError(
    'A statement was sent without its tenant context: something between this library and node-postgres replaced it by a copy.',
    'Leave `addSqlCommenterCommentToQueries` of @opentelemetry/instrumentation-pg off; whatever else wraps `client.query()` must hand on the very statement it gets.',
  );
}

function cannotCarry(): RlsConfigurationError {
  return new RlsConfigurationError(
    'The tenant cannot be carried on this database client: it gives no access to the protocol (pg-native), or another data source carries on it already.',
    'Uninstall pg-native and remove `nativeDriver` from the data source options; isolate each data source once.',
  );
}
