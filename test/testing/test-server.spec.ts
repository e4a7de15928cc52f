import pg from 'pg';
import {
  createTestDatabase,
  startTestServer,
  stopTestServer,
} from '../../libs/rls-tenants/src/testing/index.js';
import { KIT_ROLES } from './support/kit-database.js';
import { NOTES } from './support/notes.js';

const OPTIONS = { ...KIT_ROLES, dataSource: { entities: NOTES }, tenantIdType: 'uuid' } as const;

async function databasesOf(run: string): Promise<string[]> {
  const client = new pg.Client({ connectionString: process.env.TEST_DATABASE_URL! });
  await client.connect();
  try {
    const { rows } = await client.query<{ name: string }>(
      'SELECT datname::text AS name FROM pg_database WHERE datname LIKE $1 ORDER BY 1',
      [`rls_test_${run}_%`],
    );
    return rows.map(({ name }) => name);
  } finally {
    await client.end();
  }
}

describe('the server of a test run', () => {
  afterEach(() => {
    process.env.RLS_TEST_DATABASE_URL = process.env.TEST_DATABASE_URL;
  });

  it('may be one of your own, of which the run leaves nothing', async () => {
    process.env.RLS_TEST_DATABASE_URL = process.env.TEST_DATABASE_URL;
    const stop = await startTestServer();
    const run = process.env.RLS_TEST_RUN!;
    const one = await createTestDatabase(OPTIONS);
    const forgotten = await createTestDatabase(OPTIONS);
    await one.destroy();
    await forgotten.dataSource.destroy();
    const kept = await databasesOf(run);
    expect(kept).toHaveLength(2);
    expect(kept).toContain(forgotten.name);
    expect(kept.some((name) => name.includes('_template_'))).toBe(true);

    await stop();
    expect(await databasesOf(run)).toEqual([]);
    expect(process.env.RLS_TEST_DATABASE_URL).toBe(process.env.TEST_DATABASE_URL);
    expect(process.env.RLS_TEST_RUN).toBeUndefined();
    await stopTestServer();
  });

  it('lasts as long as one of its databases, without a global set-up', async () => {
    const first = await createTestDatabase(OPTIONS);
    const run = process.env.RLS_TEST_RUN!;
    const second = await createTestDatabase(OPTIONS);
    await first.destroy();
    expect(await databasesOf(run)).toHaveLength(2);
    // The next one comes while the last one goes.
    const [, third] = await Promise.all([second.destroy(), createTestDatabase(OPTIONS)]);
    expect(await third.dataSource.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
    const last = process.env.RLS_TEST_RUN!;
    await third.destroy();
    expect(await databasesOf(run)).toEqual([]);
    expect(await databasesOf(last)).toEqual([]);
  });

  it('is missed with the next step: in Jest it cannot be started without a global set-up', async () => {
    delete process.env.RLS_TEST_DATABASE_URL;
    for (let attempt = 0; attempt < 2; attempt++) {
      await expect(createTestDatabase(OPTIONS)).rejects.toMatchObject({
        message: expect.stringContaining('There is no server for the test database: Cannot load') as string,
        hint: expect.stringContaining("globalSetup to 'nestjs-rls-tenants/testing/global-setup'") as string,
      });
    }
    expect(process.env.RLS_TEST_RUN).toBeUndefined();
  });
});
