import { captureScope } from '../context/keep-context.js';
import { currentTenantContext, withoutTenant } from '../context/tenant-context.js';
import { RlsConfigurationError } from '../errors.js';
import { carryOn, queryClassOf } from './carrying-client.js';
import type { Isolation } from './isolation.js';
import type { PgClient, PgPool, PoolConnectCallback } from './pg-internals.js';
import { transactionStatusOf } from './transaction-status.js';

/**
 * Makes every client of the pool carry from its first checkout: this covers what no subscriber sees (streams,
 * `pool.query()`, clients that an application takes from the pool itself). Who acts as admin gets a client of
 * `adminDataSource`'s pool, if there is one.
 */
export function carryOnPool(pool: PgPool, isolation: Isolation): void {
  if (queryClassOf(pool.Client) === undefined) throw noProtocolAccess();
  const connect: (callback?: PoolConnectCallback) => unknown = pool.connect;
  // A socket emits in the context it was opened in, for as long as it lives: it must not be the first caller's.
  const pools = withoutTenant(captureScope);

  const connectClean = (callback: PoolConnectCallback): void => {
    const carryFirst: PoolConnectCallback = (error, client, release) => {
      if (!client) return callback(error, client, release);
      carryOn(client, isolation);
      whenAnswered(client, (isLost) => {
        if (isLost || isInTransaction(client)) {
          release(true);
          return connectClean(callback);
        }
        callback(error, client, release);
      });
    };
    pools(() => connect.call(pool, carryFirst));
  };

  pool.connect = ((callback?: PoolConnectCallback) => {
    if (isolation.admins && currentTenantContext().kind === 'admin') {
      const admins = isolation.admins.pool();
      return callback === undefined ? admins.connect() : admins.connect(callback);
    }
    if (callback === undefined) {
      return new Promise((resolve, reject) => {
        connectClean((error, client) => (client ? resolve(client) : reject(error)));
      });
    }
    // The pool calls back in the context of whoever released the client.
    const inCallersContext = captureScope();
    connectClean((error, client, release) => inCallersContext(() => callback(error, client, release)));
    return undefined;
  }) as PgPool['connect'];
}

/**
 * A failed statement calls back before the server says what became of its transaction. Where the connection is lost
 * meanwhile, nobody else would hear of it: the pool listens to idle clients, and their users to those that they have.
 */
function whenAnswered(client: PgClient, then: (isLost: boolean) => void): void {
  if (client.readyForQuery !== false) return then(false);
  const { connection } = client;
  const heard = () => {};
  const settle = (isLost: boolean) => {
    connection.removeListener('readyForQuery', answered);
    connection.removeListener('end', lost);
    client.removeListener('error', heard);
    then(isLost);
  };
  const answered = () => settle(false);
  const lost = () => settle(true);
  client.on('error', heard);
  connection.once('readyForQuery', answered);
  connection.once('end', lost);
}

/**
 * True for a client that was given back in the middle of a transaction, by mistake or by injected SQL: what the next
 * caller does would be part of it, and lost with it. The pool throws such a client away.
 */
function isInTransaction(client: PgClient): boolean {
  const status = client.getTransactionStatus ? client.getTransactionStatus() : transactionStatusOf(client)();
  return status === 'T' || status === 'E';
}

function noProtocolAccess(): RlsConfigurationError {
  return new RlsConfigurationError(
    'The data source uses pg-native, which gives no access to the protocol, so the tenant cannot be carried.',
    'Uninstall pg-native, or remove `nativeDriver` from the data source options.',
  );
}
