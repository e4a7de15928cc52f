import type { NestExpressApplication } from '@nestjs/platform-express';
import pg from 'pg';
import { randomUUID } from 'node:crypto';
import { createApp } from '../../../apps/demo/src/create-app.js';
import { prepareDatabase, withPreparationLock } from '../../../apps/demo/src/database/prepare-database.js';
import { databaseUrl, DEMO_ROLES } from '../../../apps/demo/src/database/roles.js';
import { newSealKey } from '../../../apps/demo/src/database/seal-keys.js';

// What `npm start` reads from a file.
process.env.RLS_SEAL_KEYS ??= newSealKey();

/** The demo as `npm start` runs it, on a database of its own. */
export interface TestDemo {
  readonly serverUrl: string;
  readonly database: string;
  /** Where it listens. */
  readonly url: string;
  /** Runs SQL as superuser: for controls that prove hidden rows exist. */
  asSuperuser<Row extends pg.QueryResultRow = pg.QueryResultRow>(
    sql: string,
    values?: unknown[],
  ): Promise<Row[]>;
  stop(): Promise<void>;
}

/** Prepares a database with the demo's own functions and starts the application on a free port. */
export async function startDemo(): Promise<TestDemo> {
  const serverUrl = process.env.TEST_DATABASE_URL!;
  const database = `rls_demo_${randomUUID().slice(0, 8)}`;
  const app: NestExpressApplication = await createApp(await prepareDatabase(serverUrl, database));
  await app.listen(0, '127.0.0.1');
  const superuser = new pg.Pool({ connectionString: databaseUrl(serverUrl, database).toString(), max: 2 });
  return {
    serverUrl,
    database,
    url: await app.getUrl(),
    asSuperuser: async <Row extends pg.QueryResultRow>(sql: string, values?: unknown[]) =>
      (await superuser.query<Row>(sql, values)).rows,
    async stop() {
      await app.close();
      await superuser.end();
      await dropDemoDatabase(serverUrl, database);
    },
  };
}

/** Drops a prepared database, and the demo's roles unless another suite's database still uses them. */
export async function dropDemoDatabase(serverUrl: string, database: string): Promise<void> {
  await withPreparationLock(serverUrl, async () => {
    const client = new pg.Client({ connectionString: serverUrl });
    await client.connect();
    await client.query(`DROP DATABASE IF EXISTS ${database} WITH (FORCE)`);
    await client
      .query(`DROP ROLE IF EXISTS ${Object.values(DEMO_ROLES).join(', ')}`)
      .catch((error: pg.DatabaseError) => {
        // dependent_objects_still_exist
        if (error.code !== '2BP01') throw error;
      });
    await client.end();
  });
}

/** What a request came back with. */
export interface TestResponse {
  status: number;
  body: unknown;
  text: string;
}

/** A signed-in caller, or with any other token whoever it says. */
export class Caller {
  constructor(
    private readonly url: string,
    private readonly authorization?: string,
  ) {}

  /** Signs in with one of the demo's accounts. */
  static async signIn(url: string, email: string, password = 'demo'): Promise<Caller> {
    const { status, body } = await new Caller(url).request('POST', '/api/auth/login', { email, password });
    if (status !== 200) throw new Error(`${email} could not sign in: ${status}`);
    return new Caller(url, `Bearer ${(body as { token: string }).token}`);
  }

  /** Sends `body` as JSON, or a string as it is. */
  async request(method: string, path: string, body?: unknown): Promise<TestResponse> {
    const response = await fetch(this.url + path, {
      method,
      headers: {
        ...(this.authorization !== undefined && { authorization: this.authorization }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const json = response.headers.get('content-type')?.includes('json') ?? false;
    return { status: response.status, text, body: json ? JSON.parse(text) : undefined };
  }

  /** The body of a successful request. */
  async call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await this.request(method, path, body);
    if (response.status >= 300) throw new Error(`${method} ${path}: ${response.status} ${response.text}`);
    return response.body as T;
  }
}

/** Tries for some seconds until the check passes. */
export async function eventually(check: () => Promise<void>, seconds = 2): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await check();
    } catch (error) {
      if (attempt >= 10 * seconds) throw error;
      await new Promise((done) => setTimeout(done, 100));
    }
  }
}
