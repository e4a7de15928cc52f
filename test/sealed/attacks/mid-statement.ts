import { a, loot, READ, TO_B, type Attack } from './attack.js';

/** A sequential scan reads A's row first, then B's. */
const SEQUENTIAL = a(
  'SET enable_indexscan = off; SET enable_bitmapscan = off; SET enable_indexonlyscan = off',
);

/** Time of check and time of use: the tenant changes while a statement runs that began as A's. */
export const midStatement: readonly Attack[] = [
  {
    id: 'M01',
    title: 'in the target list',
    tries: 'sets the tenant with the first row that comes, and goes on scanning',
    steps: [SEQUENTIAL, a(`SELECT ${TO_B}, body FROM note`)],
    plain: 'leaks',
  },
  {
    id: 'M02',
    title: 'in a CTE',
    tries: 'a materialized CTE that is read before the table',
    steps: [
      SEQUENTIAL,
      a(
        `WITH s AS MATERIALIZED (SELECT ${TO_B} AS t) SELECT n.body FROM s LEFT JOIN note AS n ON s.t IS NOT NULL`,
      ),
    ],
    plain: 'leaks',
  },
  {
    id: 'M03',
    title: 'in a LATERAL sub-query, tenant by tenant',
    tries: 'a nested loop whose outer side sets the tenant for each scan of the inner one',
    steps: [
      SEQUENTIAL,
      a(
        `SELECT n.body FROM (VALUES ('{A}'), ('{B}')) AS v (t), LATERAL (SELECT set_config('rls.current_tenant', v.t, true) AS c OFFSET 0) AS s, ` +
          `LATERAL (SELECT body FROM note WHERE s.c IS NOT NULL OFFSET 0) AS n`,
      ),
    ],
    plain: 'leaks',
  },
  {
    id: 'M04',
    title: 'in the WHERE clause',
    tries: 'a volatile condition behind the policy: the next row is checked for B',
    steps: [SEQUENTIAL, a(`${READ} WHERE ${TO_B} IS NOT NULL`)],
    plain: 'leaks',
  },
  {
    id: 'M05',
    title: 'beside an equality of its own',
    tries:
      "compares the tenant column with what set_config() returns, so that the planner's equality classes mix both",
    steps: [
      SEQUENTIAL,
      a(
        `SELECT n.body FROM (VALUES ('{A}'), ('{B}')) AS v (t) JOIN LATERAL (SELECT body FROM note WHERE tenant_id = set_config('rls.current_tenant', v.t, true)::uuid OFFSET 0) AS n ON true`,
      ),
      a(
        `SELECT n.body FROM (VALUES ('{A}'), ('{B}')) AS v (t), LATERAL (SELECT set_config('rls.current_tenant', v.t, true) AS c OFFSET 0) AS s, ` +
          `note AS n WHERE n.tenant_id = s.c::uuid`,
      ),
      a(
        `SET enable_seqscan = off; SELECT n.body FROM note AS n WHERE tenant_id = (current_setting('rls.current_tenant'))::uuid AND ${TO_B} IS NOT NULL`,
      ),
      a(
        `SELECT n.body FROM generate_series(1, 2) AS g, LATERAL (SELECT set_config('rls.current_tenant', CASE g WHEN 1 THEN '{A}' ELSE '{B}' END, true) AS c OFFSET 0) AS s, ` +
          `LATERAL (SELECT body FROM note WHERE tenant_id = current_setting('rls.current_tenant')::uuid AND g > 0 OFFSET 0) AS n`,
      ),
    ],
    plain: 'leaks',
  },
  {
    id: 'M06',
    title: 'in ORDER BY, GROUP BY and HAVING',
    tries: 'sets the tenant where rows are sorted and grouped',
    steps: [
      SEQUENTIAL,
      a(`${READ} ORDER BY ${TO_B}, 1`),
      a(`${READ} GROUP BY body, ${TO_B}`),
      a(`SELECT string_agg(body, ',') FROM note HAVING ${TO_B} IS NOT NULL`),
    ],
    plain: 'leaks',
  },
  {
    id: 'M07',
    title: 'in an aggregate and a window function',
    tries: 'sets the tenant in their arguments, filters and frames',
    steps: [
      SEQUENTIAL,
      a(`SELECT string_agg(body || ${TO_B}, ',') FROM note`),
      a(`SELECT string_agg(body, ',') FILTER (WHERE ${TO_B} IS NOT NULL) FROM note`),
      a(`SELECT body, lag(${TO_B}) OVER (ORDER BY id) FROM note`),
    ],
    plain: 'leaks',
  },
  {
    id: 'M08',
    title: 'in VALUES',
    tries: 'inserts a row of B whose own sub-select sets the tenant that the check will ask for',
    steps: [SEQUENTIAL, a(`INSERT INTO note (tenant_id, body) VALUES ((SELECT ${TO_B})::uuid, 'planted')`)],
    plain: 'leaks',
  },
  {
    id: 'M09',
    title: 'in INSERT … SELECT',
    tries: "copies A's rows to B, and B's to A",
    steps: [
      SEQUENTIAL,
      a(`INSERT INTO note (tenant_id, body) SELECT ${TO_B}::uuid, body FROM note`),
      a(
        `INSERT INTO note (body) SELECT query_to_xml('${READ}', true, true, '')::text FROM (SELECT ${TO_B} OFFSET 0) AS s`,
      ),
      a(READ),
    ],
    plain: 'leaks',
  },
  {
    id: 'M10',
    title: 'in UPDATE … FROM',
    tries: 'sets the tenant in what an UPDATE is joined with, and in its new values',
    steps: [
      SEQUENTIAL,
      a(`UPDATE note SET body = 'defaced' FROM (SELECT ${TO_B} AS t OFFSET 0) AS s WHERE s.t IS NOT NULL`),
      a(`UPDATE note SET tenant_id = ${TO_B}::uuid`),
      a(`UPDATE note SET body = 'defaced' WHERE ${TO_B} IS NOT NULL`),
    ],
    plain: 'leaks',
  },
  {
    id: 'M11',
    title: 'in DELETE … USING',
    tries: "sets the tenant in what a DELETE is joined with, and deletes B's rows",
    steps: [
      SEQUENTIAL,
      a(`DELETE FROM note USING (SELECT ${TO_B} AS t OFFSET 0) AS s WHERE s.t IS NOT NULL RETURNING body`),
    ],
    plain: 'leaks',
  },
  {
    id: 'M12',
    title: 'in MERGE',
    tries: "sets the tenant in the source, and updates, deletes or inserts B's rows",
    steps: [
      SEQUENTIAL,
      a(
        `MERGE INTO note AS n USING (SELECT ${TO_B} AS t OFFSET 0) AS s ON s.t IS NOT NULL AND n.id > 0 WHEN MATCHED THEN UPDATE SET body = 'defaced'`,
      ),
      a(
        `MERGE INTO note AS n USING (SELECT ${TO_B} AS t OFFSET 0) AS s ON false WHEN NOT MATCHED THEN INSERT (tenant_id, body) VALUES (s.t::uuid, 'planted')`,
      ),
    ],
    since: 150000,
    plain: 'leaks',
  },
  {
    id: 'M13',
    title: 'in RETURNING',
    tries: 'sets the tenant while an UPDATE goes through the table',
    steps: [
      SEQUENTIAL,
      a(`UPDATE note SET body = body RETURNING ${TO_B}, body`),
      a(`WITH u AS (UPDATE note SET body = body RETURNING ${TO_B} AS t) SELECT n.body FROM u, note AS n`),
    ],
    plain: 'leaks',
  },
  {
    id: 'M14',
    title: 'in ON CONFLICT',
    tries: 'sets the tenant in the condition of DO UPDATE, on the key of a row of B',
    steps: [
      SEQUENTIAL,
      a(
        `INSERT INTO note (id, body) VALUES (101, 'x') ON CONFLICT (id) DO UPDATE SET body = 'defaced' WHERE ${TO_B} IS NOT NULL RETURNING body`,
      ),
      a(
        `INSERT INTO note (id, tenant_id, body) SELECT 101, ${TO_B}::uuid, 'x' ON CONFLICT (id) DO UPDATE SET body = 'defaced' RETURNING body`,
      ),
    ],
    plain: 'leaks',
  },
  {
    id: 'M15',
    title: 'in FOR UPDATE',
    tries: "locks and reads B's rows",
    steps: [
      SEQUENTIAL,
      a(
        `SELECT n.body FROM (SELECT ${TO_B} AS t OFFSET 0) AS s, note AS n WHERE s.t IS NOT NULL FOR UPDATE OF n`,
      ),
    ],
    plain: 'leaks',
  },
  {
    id: 'M16',
    title: 'between two scans',
    tries:
      'reads the table once as A, sets the tenant, and reads it again under another alias of the same statement',
    steps: [
      SEQUENTIAL,
      a(
        `SELECT m.body FROM note AS n, LATERAL (SELECT set_config('rls.current_tenant', '{B}', n.id > 0) AS c OFFSET 0) AS s, LATERAL (SELECT body FROM note WHERE s.c IS NOT NULL OFFSET 0) AS m`,
      ),
      a(
        `SELECT (SELECT string_agg(body, ',') FROM note WHERE s.t IS NOT NULL) FROM (SELECT ${TO_B} AS t OFFSET 0) AS s`,
      ),
      a(`SELECT body FROM note UNION ALL SELECT ${TO_B} UNION ALL SELECT body FROM note`),
    ],
    plain: 'leaks',
  },
  {
    id: 'M17',
    title: 'in a recursive CTE',
    tries: 'each round of the recursion for another tenant',
    steps: [
      SEQUENTIAL,
      a(
        `WITH RECURSIVE r AS (SELECT 0 AS n, '' AS body UNION ALL (SELECT r.n + 1, (SELECT string_agg(body, ',') FROM note WHERE set_config('rls.current_tenant', '{B}', r.n >= 0) IS NOT NULL) FROM r WHERE r.n < 3)) SELECT * FROM r`,
      ),
    ],
    plain: 'leaks',
  },
  {
    id: 'M18',
    title: 'a query inside a function',
    tries: 'query_to_xml() and its like run a query of their own, behind set_config()',
    steps: [
      SEQUENTIAL,
      a(`SELECT ${TO_B}, query_to_xml('${READ}', true, true, '')`),
      a(`SELECT ${TO_B}, table_to_xml('note', true, true, '')`),
      a(`SELECT ${TO_B}, schema_to_xml('public', true, true, '')`),
      a(`SELECT ${TO_B}, database_to_xml(true, true, '')`),
    ],
    plain: 'leaks',
  },
  {
    id: 'M19',
    title: 'a query inside text search',
    tries: 'ts_stat() and ts_rewrite() run a query of their own, too',
    steps: [
      SEQUENTIAL,
      a(
        `SELECT ${TO_B}, s.word FROM (SELECT ${TO_B} OFFSET 0) AS t, ts_stat($q$SELECT to_tsvector('simple', body) FROM note$q$) AS s`,
      ),
      loot(
        `PERFORM ${TO_B};`,
        `SELECT word FROM ts_stat($q$SELECT array_to_tsvector(ARRAY[body]) FROM note$q$)`,
      ),
    ],
    plain: 'leaks',
  },
  {
    id: 'M20',
    title: 'a cursor that is fetched later',
    tries: 'DECLARE as A, set_config, FETCH',
    steps: [
      SEQUENTIAL,
      a(`BEGIN; DECLARE c CURSOR FOR ${READ}; SELECT ${TO_B}; FETCH ALL FROM c; COMMIT`),
      a(`DO $$ DECLARE c refcursor; r text; l text := ''; BEGIN OPEN c FOR ${READ}; PERFORM ${TO_B};
           LOOP FETCH c INTO r; EXIT WHEN NOT FOUND; l := l || r; END LOOP; RAISE EXCEPTION 'loot: %', l; END $$`),
    ],
    plain: 'leaks',
  },
  {
    id: 'M21',
    title: 'a cursor half of which was fetched',
    tries: 'fetches its own row, sets the tenant, and fetches on',
    steps: [
      SEQUENTIAL,
      a(`BEGIN; DECLARE c CURSOR FOR ${READ}; FETCH 1 FROM c; SELECT ${TO_B}; FETCH ALL FROM c; COMMIT`),
      a(`DO $$ DECLARE r text; l text := ''; BEGIN FOR r IN ${READ} LOOP PERFORM ${TO_B}; l := l || r; END LOOP;
           RAISE EXCEPTION 'loot: %', l; END $$`),
    ],
    plain: 'leaks',
  },
  {
    id: 'M22',
    title: 'a cursor that outlives the transaction',
    tries: 'DECLARE … WITH HOLD as A, set_config for the session, COMMIT, FETCH',
    steps: [
      SEQUENTIAL,
      a(`BEGIN; DECLARE c CURSOR WITH HOLD FOR ${READ}; SELECT ${TO_B}; COMMIT; FETCH ALL FROM c; CLOSE c`),
    ],
    plain: 'leaks',
  },
  {
    id: 'M23',
    title: 'WHERE CURRENT OF',
    tries: 'steps through a cursor, and changes rows behind set_config()',
    steps: [
      SEQUENTIAL,
      a(
        `BEGIN; DECLARE c SCROLL CURSOR FOR SELECT * FROM note FOR UPDATE; FETCH 2 FROM c; SELECT ${TO_B}; UPDATE note SET body = 'defaced' WHERE CURRENT OF c; COMMIT`,
      ),
      a(
        `BEGIN; DECLARE c CURSOR FOR SELECT * FROM note FOR UPDATE; SELECT ${TO_B}; FETCH 1 FROM c; UPDATE note SET body = 'defaced' WHERE CURRENT OF c; COMMIT`,
      ),
    ],
    plain: 'leaks',
  },
  {
    id: 'M24',
    title: 'a prepared statement',
    tries: 'PREPARE and EXECUTE as A, then EXECUTE with the generic plan behind set_config()',
    steps: [
      SEQUENTIAL,
      a(
        `SET plan_cache_mode = force_generic_plan; PREPARE p AS ${READ}; EXECUTE p; SELECT ${TO_B}; EXECUTE p`,
      ),
      a(
        `DO $$ DECLARE l text; BEGIN PERFORM ${TO_B}; EXECUTE 'EXECUTE p' INTO l; RAISE EXCEPTION 'loot: %', l; END $$`,
      ),
    ],
    plain: 'leaks',
  },
  {
    id: 'M25',
    title: 'a parallel plan',
    tries:
      'workers check the policy in processes of their own, which set_config() of the leader does not reach',
    steps: [
      SEQUENTIAL,
      a(
        `SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 4; SET debug_parallel_query = on; ${READ}; SELECT ${TO_B}, body FROM note`,
      ),
      a(`SET force_parallel_mode = on; ${READ}`),
      loot(`PERFORM ${TO_B};`),
    ],
    plain: 'leaks',
  },
  {
    id: 'M26',
    title: 'plans that check late',
    tries: 'index, bitmap, merge, hash and tid scans, whichever asks for the tenant last',
    steps: ['seqscan', 'indexscan', 'bitmapscan', 'nestloop', 'hashjoin', 'mergejoin', 'memoize'].flatMap(
      (off) =>
        a(
          `SET enable_${off} = off; SELECT n.body FROM (SELECT ${TO_B} AS t OFFSET 0) AS s, note AS n LEFT JOIN note AS m ON m.id = n.id WHERE n.id > length(s.t) - 1000`,
        ),
    ),
    plain: 'leaks',
  },
  {
    id: 'M27',
    title: 'by physical address',
    tries: 'ctid, tableoid, TABLESAMPLE and ONLY, which name rows without a condition on the tenant',
    steps: [
      SEQUENTIAL,
      a(`SELECT ctid, tableoid, xmin, n FROM ONLY note AS n`),
      a(`SELECT body FROM note WHERE ctid = ANY (ARRAY['(0,1)', '(0,2)', '(0,3)', '(0,4)']::tid[])`),
      a(`SELECT body FROM note TABLESAMPLE SYSTEM (100)`),
      a(`SELECT body FROM note TABLESAMPLE BERNOULLI (100)`),
      a(`UPDATE note SET body = 'defaced' WHERE ctid = '(0,2)'`),
    ],
    plain: 'holds',
  },
  {
    id: 'M28',
    title: 'in an EXPLAIN ANALYZE',
    tries: 'runs the statement under EXPLAIN, where conditions and values are shown',
    steps: [
      SEQUENTIAL,
      a(`EXPLAIN (ANALYZE, VERBOSE) SELECT ${TO_B}, body FROM note`),
      a(`EXPLAIN (ANALYZE, VERBOSE, FORMAT JSON) DELETE FROM note WHERE ${TO_B} IS NOT NULL`),
    ],
    plain: 'leaks',
  },
];
