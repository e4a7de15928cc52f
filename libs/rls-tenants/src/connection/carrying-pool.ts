import { captureScope } from '../context/keep-context.js';
import { currentTenantContext, withoutTenant } from '../context/tenant-context.js';
import { RlsConfigurationError } from '../errors.js';
import { carryOn, queryClassOf } from './carrying-client.js';
import type { Isolation } from './isolation.js';
import type { PgPool, PoolConnectCallback } from './pg-internals.js';

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

  pool.connect = ((callback?: PoolConnectCallback) => {
    if (isolation.admins && currentTenantContext().kind === 'admin') {
      const admins = isolation.admins.pool();
      return callback === undefined ? admins.connect() : admins.connect(callback);
    }
    if (callback === undefined) {
      return (
        pools(() => connect.call(pool)) as ReturnType<PgPool['connect']> &
          Promise<Parameters<typeof carryOn>[0]>
      ).then((client) => {
        carryOn(client, isolation);
        return client;
      });
    }
    // The pool calls back in the context of whoever released the client.
    const inCallersContext = captureScope();
    const carryFirst: PoolConnectCallback = (error, client, release) => {
      if (client) carryOn(client, isolation);
      inCallersContext(() => callback(error, client, release));
    };
    return pools(() => connect.call(pool, carryFirst));
  }) as PgPool['connect'];
}

function noProtocolAccess(): RlsConfigurationError {
  return new RlsConfigurationError(
    'The data source uses pg-native, which gives no access to the protocol, so the tenant cannot be carried.',
    'Uninstall pg-native, or remove `nativeDriver` from the data source options.',
  );
}
