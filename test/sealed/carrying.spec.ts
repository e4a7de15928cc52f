import pg from 'pg';
import Cursor from 'pg-cursor';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import QueryStream from 'pg-query-stream';
import { text as readAll } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';
import type { DataSource } from 'typeorm';
import { adminContext, tenantContext, withoutTenant } from '../../libs/rls-tenants/src/context/index.js';
import { A, B, Note, NOTES } from '../support/notes.js';
import { createSealedDatabase, type SealedDatabase } from '../support/sealed-database.js';
import { TELL_AT_COMMIT, WAIT_FOR_COMMIT } from '../support/tell-at-commit.js';

let db: SealedDatabase;
let dataSource: DataSource;

const SELECT = 'SELECT body FROM note ORDER BY id';
const poolOf = (ds: DataSource) => (ds.driver as unknown as { master: pg.Pool }).master;
const bodies = (rows: { body: string }[]) => rows.map(({ body }) => body);

beforeAll(async () => {
  db = await createSealedDatabase(NOTES);
  dataSource = await db.isolated({ onMissingTenant: 'empty' });
  for (const [tenantId, body] of [
    [A, 'of A'],
    [B, 'of B'],
  ] as const)
    await tenantContext(tenantId, () => dataSource.getRepository(Note).save({ body }));
});
afterAll(() => db.drop());

it('reads and writes its own rows, by repositories and raw SQL, with and without values', async () => {
  await tenantContext(A, async () => {
    expect(await dataSource.getRepository(Note).find()).toEqual([
      expect.objectContaining({ body: 'of A', tenantId: A }),
    ]);
    expect(bodies(await dataSource.query(SELECT))).toEqual(['of A']);
    expect(bodies(await dataSource.query('SELECT body FROM note WHERE body <> $1', ['x']))).toEqual(['of A']);
  });
});

it('control: both rows are there, and an admin sees them', async () => {
  expect(bodies(await db.asSuperuser(SELECT))).toEqual(['of A', 'of B']);
  expect(bodies(await adminContext('control', () => dataSource.query(SELECT)))).toEqual(['of A', 'of B']);
});

it('shows nobody nothing', async () => {
  expect(await withoutTenant(() => dataSource.query(SELECT))).toEqual([]);
});

it('refuses the setting alone', async () => {
  await expect(
    db.as('app', `SELECT set_config('rls.current_tenant', '${B}', false); ${SELECT}`),
  ).rejects.toMatchObject({ code: '42501', message: expect.stringMatching(/^Seal refused/) });
});

it('asks the migration role for no seal: its admin policy admits it to all rows', async () => {
  const rows = await db.as<{ body: string }>(
    'migrator',
    `SELECT set_config('rls.current_tenant', '${B}', false);
     INSERT INTO note (body) VALUES ('filled by default');
     ${SELECT}`,
  );
  expect(bodies(rows)).toEqual(['of A', 'of B', 'filled by default']);
  await db.asSuperuser("DELETE FROM note WHERE body = 'filled by default'");
});

it('carries in transactions, with savepoints that go back to another tenant', async () => {
  await tenantContext(A, () =>
    dataSource.transaction(async (manager) => {
      expect(bodies(await manager.query(SELECT))).toEqual(['of A']);
      await manager.query('SAVEPOINT here');
      await tenantContext(B, async () => expect(bodies(await manager.query(SELECT))).toEqual(['of B']));
      await manager.query('ROLLBACK TO SAVEPOINT here');
      expect(bodies(await manager.query(SELECT))).toEqual(['of A']);
    }),
  );
});

it('leaves what waits for COMMIT its tenant, in each transaction of a connection', async () => {
  await db.as('migrator', TELL_AT_COMMIT);
  const client = await poolOf(dataSource).connect();
  const told: unknown[] = [];
  const listen = ({ message }: { message?: string | undefined }) => told.push(message);
  client.on('notice', listen);
  for (const tenantId of [A, B, A]) {
    await client.query('BEGIN');
    await tenantContext(tenantId, () => client.query(WAIT_FOR_COMMIT));
    await client.query('COMMIT');
  }
  client.off('notice', listen);
  client.release();
  expect(told).toEqual([A, B, A]);
});

it('carries in front of each statement of a text', async () => {
  await tenantContext(A, async () => {
    const results = await poolOf(dataSource).query(`${SELECT}; COMMIT; -- ;\n ${SELECT}; SELECT ';' AS body`);
    expect(
      (results as unknown as pg.QueryResult<{ body: string }>[]).map(({ rows }) => bodies(rows)),
    ).toEqual([['of A'], [], ['of A'], [';']]);
  });
});

it('carries for a Query of the application, with values and without', async () => {
  const client = await poolOf(dataSource).connect();
  try {
    const seen = (text: string, values?: unknown[]) =>
      new Promise((resolve, reject) => {
        const rows: { body: string }[] = [];
        const query = client.query(new pg.Query<{ body: string }>(text, values));
        query.on('row', (row) => rows.push(row));
        query.on('error', reject);
        query.on('end', () => resolve(bodies(rows)));
      });
    for (const [tenantId, expected] of [
      [A, ['of A']],
      [B, ['of B']],
    ] as const) {
      expect(await tenantContext(tenantId, () => seen(SELECT))).toEqual(expected);
      expect(
        await tenantContext(tenantId, () => seen('SELECT body FROM note WHERE body <> $1', ['x'])),
      ).toEqual(expected);
      await expect(tenantContext(tenantId, () => seen(`${SELECT}; ${SELECT}`))).rejects.toMatchObject({
        code: '42601', // not split: a Query has one answer
      });
    }
  } finally {
    client.release();
  }
});

it('says where in the text a statement failed', async () => {
  const text = `${SELECT}; SELECT nonsense`;
  const failure = tenantContext(A, () => poolOf(dataSource).query(text));
  await expect(failure).rejects.toMatchObject({ position: String(text.indexOf('nonsense') + 1) });
});

it('carries for cursors, streams and COPY', async () => {
  await tenantContext(A, async () => {
    const client = await poolOf(dataSource).connect();
    try {
      const cursor = client.query(new Cursor<{ body: string }>(SELECT));
      expect(bodies(await cursor.read(10))).toEqual(['of A']);
      await cursor.close();
      const rows = await client.query(new QueryStream(SELECT)).toArray();
      expect(bodies(rows as { body: string }[])).toEqual(['of A']);
      expect(await readAll(client.query(copyTo('COPY (SELECT body FROM note) TO STDOUT')))).toBe('of A\n');
      // PostgreSQL takes no COPY FROM into a table with policies: this one has none.
      const into = client.query(copyFrom('COPY country (name) FROM STDIN'));
      await pipeline(Readable.from(['Chile\nPeru\n']), into);
      expect(into.rowCount).toBe(2);
      const bad = client.query(copyFrom('COPY country (id, name) FROM STDIN'));
      await expect(pipeline(Readable.from(['no number\tx\n']), bad)).rejects.toMatchObject({
        code: '22P02',
      });
      const refused = client.query(copyFrom('COPY note (body) FROM STDIN'));
      await expect(pipeline(Readable.from(['x\n']), refused)).rejects.toMatchObject({ code: '0A000' });
      expect(bodies((await client.query<{ body: string }>(SELECT)).rows)).toEqual(['of A']);
    } finally {
      client.release();
    }
  });
});

it.each([
  'COPY country (name) FROM STDIN',
  `${SELECT}; COPY country (name) FROM STDIN`,
  `COPY country (name) FROM STDIN; ${SELECT}`,
])('a COPY without data fails and leaves the connection usable: %s', async (text) => {
  const one = await db.isolated({}, { poolSize: 1 });
  await tenantContext(A, async () => {
    // By TypeORM, which gives the client back to the pool after an error; `pool.query()` throws it away.
    await expect(one.query(text)).rejects.toThrow(/without its data/);
    for (let again = 0; again < 3; again++) expect(bodies(await one.query(SELECT))).toEqual(['of A']);
  });
});

it('shows no seal to other sessions of the role', async () => {
  const [one, other] = [await db.isolated(), await db.isolated()];
  const seen = await tenantContext(A, async () => {
    const sleeping = one.query('SELECT pg_sleep(0.5) WHERE true');
    const texts: string[] = [];
    while (!texts.some((text) => text.includes('pg_sleep'))) {
      const activity = await other.query<{ query: string }[]>(
        'SELECT query FROM pg_stat_activity WHERE usename = current_user AND pid <> pg_backend_pid()',
      );
      texts.push(...activity.map(({ query }) => query));
    }
    await sleeping;
    return texts;
  });
  expect(seen.join('\n')).not.toMatch(/[0-9a-f]{64}/);
});
