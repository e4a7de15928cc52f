import type { PgClient, TransactionStatus } from './pg-internals.js';

const tracked = new WeakMap<PgClient, () => TransactionStatus>();

/** Tells, whenever it is called, which transaction status the server reported last; null while it has reported none. */
export function transactionStatusOf(client: PgClient): () => TransactionStatus | null {
  if (client.getTransactionStatus) return () => client.getTransactionStatus!();
  let status = tracked.get(client);
  if (status === undefined) tracked.set(client, (status = trackStatus(client)));
  return status;
}

function trackStatus(client: PgClient): () => TransactionStatus {
  // Until the server says otherwise: nothing was carried on this client yet, so there is nothing to inherit.
  let status: TransactionStatus = 'I';
  // Before the client's own listener, which submits the next statement.
  client.connection.prependListener('readyForQuery', (message) => (status = message.status));
  return () => status;
}
