import { prepareDatabase } from './prepare-database.js';
import { ensureServer } from './server.js';

/** The demo's database, ready for use. */
export interface DemoDatabase {
  /** The app role's connection string. */
  readonly appUrl: string;
  /** Stops the server if this process started it. Close all connections first. */
  stop(): Promise<void>;
}

/**
 * Finds or starts the server, and prepares the demo's database on it.
 *
 * DATABASE_URL, if set, is a superuser's connection string; the database `rls_demo_2` is created beside the one it names.
 */
export async function ensureDatabase(): Promise<DemoDatabase> {
  const server = await ensureServer();
  try {
    return { appUrl: await prepareDatabase(server.url), stop: () => server.stop() };
  } catch (error) {
    await server.stop();
    throw error;
  }
}
