import { prepareDatabase, type DemoConnections } from './prepare-database.js';
import { ensureSealKeys } from './seal-keys.js';
import { ensureServer } from './server.js';

/** The demo's database, ready for use. */
export interface DemoDatabase extends DemoConnections {
  /** Stops the server if this process started it. Close all connections first. */
  stop(): Promise<void>;
}

/**
 * Finds or starts the server, and prepares the demo's database on it.
 *
 * DATABASE_URL, if set, is a superuser's connection string; the database `rls_demo_3` is created beside the one it names.
 */
export async function ensureDatabase(): Promise<DemoDatabase> {
  const server = await ensureServer();
  try {
    await ensureSealKeys();
    const connections = await prepareDatabase(server.url);
    return { ...connections, stop: () => server.stop() };
  } catch (error) {
    await server.stop();
    throw error;
  }
}
