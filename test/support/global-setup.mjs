// Plain JavaScript, and the built library: Jest loads this file itself, without the transforms of jest.config.js.
import pg from 'pg';
import { startEmbeddedPostgres } from 'nestjs-rls-tenants/testing';

/** One server for the whole run: TEST_DATABASE_URL (a superuser's), or embedded PostgreSQL. */
export default async function globalSetup() {
  if (!process.env.TEST_DATABASE_URL) await startServer();
  process.env.TEST_SERVER_VERSION = await serverVersion(process.env.TEST_DATABASE_URL);
}

async function startServer() {
  globalThis.embeddedPostgres = await startEmbeddedPostgres({
    settings: { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', max_connections: '200' },
  });
  process.env.TEST_DATABASE_URL = globalThis.embeddedPostgres.url;
}

/** As a number: 180001 for 18.1. */
async function serverVersion(connectionString) {
  const client = new pg.Client({ connectionString });
  await client.connect();
  const { rows } = await client.query("SELECT current_setting('server_version_num') AS version");
  await client.end();
  return rows[0].version;
}
