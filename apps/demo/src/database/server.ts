import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEmbeddedPostgres } from 'nestjs-rls-tenants/testing';

/** Where this user's demo keeps what outlives a process: the embedded server's data, and the keys that seal tenants. */
export const DEMO_DIRECTORY = join(tmpdir(), `nestjs-rls-tenants-demo-${process.getuid?.() ?? 'user'}`);

/** A PostgreSQL server to work on. */
export interface DatabaseServer {
  /** A superuser's connection string. */
  readonly url: string;
  /** Stops the server if this process started it. */
  stop(): Promise<void>;
}

/**
 * The server that DATABASE_URL names, or else an embedded one. The embedded server keeps its data in a directory per
 * user below the system's temporary directory, and is shared by the processes that need it at the same time.
 */
export async function ensureServer(): Promise<DatabaseServer> {
  const url = process.env.DATABASE_URL;
  if (url) return { url, stop: async () => {} };
  const server = await startEmbeddedPostgres({ dataDirectory: DEMO_DIRECTORY });
  return { url: server.url, stop: () => (server.started ? server.stop() : Promise.resolve()) };
}
