import { pgBouncerVersion, startPgBouncer as start } from '../../bench/support/pgbouncer.js';
import type { TestDatabase } from './database.js';

export interface PgBouncer {
  /** Connection string of the app role through PgBouncer. */
  readonly url: string;
  stop(): Promise<void>;
}

/** True if PgBouncer is on this machine: CI installs it, a developer's machine may lack it. */
export function hasPgBouncer(): boolean {
  return pgBouncerVersion() !== undefined;
}

/** Starts real PgBouncer in transaction pooling mode, with fewer server connections than a pool has clients. */
export async function startPgBouncer(db: TestDatabase): Promise<PgBouncer> {
  const { hostname, port, username, password } = new URL(db.url('app'));
  const bouncer = await start({
    host: hostname,
    port: Number(port),
    users: { [username]: password },
    poolSize: 2,
  });
  return { url: bouncer.url(db.url('app')), stop: () => bouncer.stop() };
}
