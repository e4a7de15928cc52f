import { createNoteDatabase, A, type NoteDatabase } from './audit-support.js';
import { planOf } from './plan-support.js';

describe('RLS073 non-leakproof-index-use', () => {
  let db: NoteDatabase;

  beforeAll(async () => {
    db = await createNoteDatabase();
    await db.as(
      'migrator',
      `CREATE TYPE state AS ENUM ('open', 'closed');
       ALTER TABLE note ADD state state NOT NULL DEFAULT 'closed', ADD price numeric, ADD labels text[], ADD data jsonb,
         ADD seen timestamptz, ADD slug varchar, ADD words tsvector`,
    );
    await db.asSuperuser(
      `INSERT INTO note SELECT n, '${A}', 'c', CASE n WHEN 100 THEN 'open' ELSE 'closed' END::state, n, ARRAY[n::text],
              jsonb_build_object('n', n), now() - n * interval '1 minute', n::text, to_tsvector('simple', 'w' || n)
         FROM generate_series(100, 5000) AS n;
       ANALYZE note`,
    );
  });
  afterEach(() => db.as('migrator', 'DROP INDEX IF EXISTS searched'));
  afterAll(() => db.drop());

  /** The plan may use the index for order or for the tenant; what matters is where the condition is asked. */
  const plan = (where: string) =>
    planOf(db, `SELECT id FROM note WHERE ${where}`, 'SET enable_seqscan = off;');
  const planWithoutPolicy = async (where: string) => {
    const rows = await db.asSuperuser<{ 'QUERY PLAN': string }>(
      `SET enable_seqscan = off; EXPLAIN (COSTS OFF) SELECT id FROM note WHERE tenant_id = '${A}' AND ${where}`,
    );
    return rows.map((row) => row['QUERY PLAN']).join('\n');
  };
  const inIndex = (word: string) => new RegExp(`Index Cond: .*${word}`);

  it.each([
    ['an enum', '(tenant_id, state)', `state = 'open'`, 'state'],
    ['numeric', '(tenant_id, price)', 'price = 200', 'price'],
    ['an array', 'USING gin (labels)', `labels @> '{200}'`, 'labels'],
    ['jsonb', 'USING gin (data)', `data @> '{"n": 200}'`, 'data'],
    ['text search', 'USING gin (words)', `words @@ 'w200'::tsquery`, 'words'],
    ['an expression', '(tenant_id, lower(body))', `lower(body) = 'a'`, 'lower'],
    ['LIKE', '(tenant_id, slug text_pattern_ops)', `slug LIKE '200%'`, 'slug'],
  ])(
    '%s is filtered after the policy although it has an index, and is found',
    async (_name, keys, where, word) => {
      await db.as('migrator', `CREATE INDEX searched ON note ${keys}`);
      expect(await planWithoutPolicy(where)).toMatch(inIndex(word));
      expect(await plan(where)).not.toMatch(inIndex(word));
      const found = await db.findingsOf('RLS073');
      expect(found).toMatchObject([{ severity: 'warning', object: 'index "public.searched"' }]);
    },
  );

  it.each([
    ['text', '(tenant_id, body)', `body = 'a'`, 'body'],
    ['a date', '(tenant_id, seen)', `seen > now() - interval '3 minutes'`, 'seen'],
    ['an integer', '(tenant_id, id)', 'id = 200', 'id'],
  ])('%s is an index condition, and no finding', async (_name, keys, where, word) => {
    await db.as('migrator', `CREATE INDEX searched ON note ${keys}`);
    expect(await plan(where)).toMatch(inIndex(word));
    expect(await db.findingsOf('RLS073')).toEqual([]);
  });

  it('a partial index whose WHERE names the enum’s value is used: the way around', async () => {
    await db.as('migrator', `CREATE INDEX searched ON note (tenant_id) WHERE state = 'open'`);
    expect(await plan(`state = 'open'`)).toContain('searched');
    expect(await db.findingsOf('RLS073')).toEqual([]);
  });

  it('varchar with a CHECK instead of the enum is an index condition: the other way around', async () => {
    await db.as('migrator', 'CREATE INDEX searched ON note (tenant_id, slug)');
    expect(await plan(`slug = '200'`)).toMatch(inIndex('slug'));
    expect(await db.findingsOf('RLS073')).toEqual([]);
  });
});
