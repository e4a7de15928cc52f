// Plain JavaScript, and the built library: Jest loads this file itself, without the transforms of jest.config.js.
import { startEmbeddedPostgres } from 'nestjs-rls-tenants/testing';

/** One server for the whole run: TEST_DATABASE_URL (a superuser's), or embedded PostgreSQL. */
export default async function globalSetup() {
  if (process.env.TEST_DATABASE_URL) return;
  globalThis.embeddedPostgres = await startEmbeddedPostgres({
    settings: { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', max_connections: '200' },
  });
  process.env.TEST_DATABASE_URL = globalThis.embeddedPostgres.url;
}
