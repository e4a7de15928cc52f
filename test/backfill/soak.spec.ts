import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { backfillOf, createArticleDatabase, fillArticles } from './support/articles.js';

interface Soak {
  rowsDone: number;
  batches: number;
  changedOnce: number;
  longestBatchMs: number;
  longestWriteMs: number;
  rssMegabytes: { early: number; peak: number };
}

async function soaked(parameters: string, env = process.env): Promise<Soak> {
  const script = resolve(__dirname, 'soak.mjs');
  const run = promisify(execFile);
  const { stdout } = await run(process.execPath, ['--no-warnings', script, ...parameters.split(' ')], {
    env,
  });
  return JSON.parse(stdout) as Soak;
}

// The script's defaults are a million rows of a thousand tenants. Times depend on the machine: the bounds are wide here.
it('fifty thousand rows change once each, in short transactions and flat memory, while others write', async () => {
  const soak = await soaked('50000 100 2');
  expect(soak).toMatchObject({ rowsDone: 50_000, changedOnce: 50_000 });
  expect(soak.longestBatchMs).toBeLessThan(5000);
  expect(soak.longestWriteMs).toBeLessThan(5000);
  expect(soak.rssMegabytes.peak - soak.rssMegabytes.early).toBeLessThan(100);
});

it('each row changes once though the server crashes, and loses what no commit waited for', async () => {
  // Another suite would not survive: a server of its own.
  const { TEST_DATABASE_URL: _shared, ...env } = process.env;
  const { changedOnce, rowsDone } = await soaked('20000 20 2 crash', env);
  expect(changedOnce).toBe(20_000);
  expect(rowsDone).toBeLessThan(20_000);
});

it('batches of slow rows shrink until they lock rows for 50 ms', async () => {
  const db = await createArticleDatabase();
  try {
    await fillArticles(db, 2, 150);
    await db.asSuperuser(
      `CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.005); RETURN NEW; END';
       CREATE TRIGGER slow BEFORE UPDATE ON article FOR EACH ROW EXECUTE FUNCTION slow()`,
    );
    const definition = { name: 'slow', table: 'article', set: { hits: 'hits + 1' } };
    await (await backfillOf(db, [definition])).run('slow');
    // The transactions tell their rows apart, and their numbers grow.
    const batches = await db.asSuperuser<{ rows: number }>(
      'SELECT count(*)::int AS rows FROM article WHERE hits = 1 GROUP BY xmin ORDER BY min(xmin::text::bigint)',
    );
    const [first, , ...rest] = batches.map(({ rows }) => rows);
    expect(first).toBe(50);
    // A row takes 5 ms at least. One measurement may be disturbed, so the second batch is not looked at.
    expect(Math.max(...rest)).toBeLessThanOrEqual(10);
    expect(Math.max(...rest)).toBeGreaterThan(1);
  } finally {
    await db.drop();
  }
});
