import { a, attempt, b, loot, READ, type Attack, type Meanwhile, type Step } from './attack.js';

const ACTIVITY = 'SELECT * FROM pg_stat_activity';
const spy = [
  a(ACTIVITY),
  a(
    `SELECT pg_stat_get_activity(NULL), pg_stat_get_backend_activity(i) FROM pg_stat_get_backend_idset() AS i`,
  ),
  a('SELECT * FROM pg_locks'),
  a('SELECT * FROM pg_stat_progress_copy'),
];
const during = (meanwhile: Meanwhile, sql: string): Step[] => [{ meanwhile, sql, attacker: spy }];

/** What shows the seal of another tenant, or the keys. */
export const readingSeals: readonly Attack[] = [
  {
    id: 'S01',
    title: 'pg_stat_activity, during a text',
    tries: "reads what B's connection is doing while it runs a statement without parameters",
    steps: during('text', 'SELECT count(pg_sleep(0.1)) FROM note'),
    plain: 'nothing to take',
  },
  {
    id: 'S02',
    title: 'pg_stat_activity, during a statement with parameters',
    tries: 'the same, with values',
    steps: during('parameters', 'SELECT count(pg_sleep(0.1)) FROM note WHERE id > $1'),
    plain: 'nothing to take',
  },
  {
    id: 'S03',
    title: 'pg_stat_activity, during a text of several statements',
    tries: 'the same, in the middle of a text',
    steps: during('text', 'SELECT 1; SELECT count(pg_sleep(0.1)) FROM note; SELECT 2'),
    plain: 'nothing to take',
  },
  {
    id: 'S04',
    title: 'pg_stat_activity, during COPY',
    tries: 'the same, while B copies its notes out',
    steps: during('copy', 'COPY (SELECT body, pg_sleep(0.1) FROM note) TO STDOUT'),
    plain: 'nothing to take',
  },
  {
    id: 'S05',
    title: 'pg_stat_activity, during a cursor and a stream',
    tries: 'the same, between two reads',
    steps: [...during('cursor', READ), ...during('stream', 'SELECT body, pg_sleep(0.1) FROM note')],
    plain: 'nothing to take',
  },
  {
    id: 'S06',
    title: 'pg_stat_activity, during a transaction that is idle',
    tries: "the last text of a connection stays there: B's front",
    steps: during('transaction', 'SELECT 1'),
    plain: 'nothing to take',
  },
  {
    id: 'S07',
    title: 'prepared statements and cursors of the session',
    tries: "reads the texts and parameters of what B's request left",
    steps: [
      b(READ),
      { by: 'B', named: 'listing', sql: 'SELECT count(*) FROM note WHERE body <> $1', values: ['x'] },
      a('SELECT * FROM pg_prepared_statements'),
      a('SELECT * FROM pg_cursors'),
      { together: [b(READ), a('SELECT * FROM pg_prepared_statements'), a('SELECT * FROM pg_cursors')] },
    ],
    plain: 'nothing to take',
  },
  {
    id: 'S08',
    title: 'the key table',
    tries: 'SELECT, COPY, TABLESAMPLE, FOR UPDATE, a cursor, by ctid, as XML',
    steps: [
      a('SELECT * FROM rls.seal_key'),
      a('COPY rls.seal_key TO STDOUT'),
      a('SELECT encode(inner_pad, $$hex$$) FROM rls.seal_key TABLESAMPLE SYSTEM (100)'),
      a('SELECT * FROM rls.seal_key FOR UPDATE'),
      a(`SELECT * FROM rls.seal_key WHERE ctid = '(0,1)'`),
      a(`SELECT query_to_xml('SELECT * FROM rls.seal_key', true, true, '')`),
      a(`SELECT schema_to_xml('rls', true, true, '')`),
      a('DECLARE k CURSOR WITH HOLD FOR SELECT * FROM rls.seal_key'),
      a('DELETE FROM rls.seal_key RETURNING *'),
      a('SELECT k FROM rls.seal_key AS k'),
      a('LOCK TABLE rls.seal_key IN ACCESS SHARE MODE; TABLE rls.seal_key'),
    ],
    plain: 'nothing to take',
  },
  {
    id: 'S09',
    title: 'the key table through other objects',
    tries: 'a view, a function, a foreign key, a table of the same type, extended statistics',
    steps: [
      a('CREATE VIEW public.keys AS SELECT * FROM rls.seal_key'),
      a('CREATE TEMP VIEW keys AS SELECT * FROM rls.seal_key'),
      a('CREATE TABLE public.mine (id text REFERENCES rls.seal_key (id))'),
      a('CREATE TEMP TABLE mine (LIKE rls.seal_key INCLUDING ALL)'),
      a('CREATE STATISTICS s ON id, expires_at FROM rls.seal_key'),
      a(`SELECT * FROM json_populate_recordset(NULL::rls.seal_key, '[]')`),
      a(`SELECT rls.seal_key FROM rls.seal_key`),
    ],
    plain: 'nothing to take',
  },
  {
    id: 'S10',
    title: 'statistics of the key table',
    tries: 'pg_stats holds most common values and histograms of every table that a role may read',
    prepare: 'ANALYZE',
    steps: [
      a(`SELECT * FROM pg_stats WHERE schemaname = 'rls'`),
      a('SELECT * FROM pg_statistic'),
      a(`SELECT * FROM pg_stats_ext_exprs`),
      a('EXPLAIN (ANALYZE, VERBOSE) SELECT * FROM rls.seal_key'),
      a(`EXPLAIN SELECT * FROM rls.seal_key WHERE inner_pad < 'x'`),
    ],
    plain: 'nothing to take',
  },
  {
    id: 'S11',
    title: "files and the server's log",
    tries: 'pg_read_file, pg_ls_logdir, pg_current_logfile, lo_import, COPY FROM a file and a program',
    steps: [
      'SELECT pg_current_logfile()',
      'SELECT * FROM pg_ls_logdir()',
      `SELECT pg_read_file('postgresql.auto.conf')`,
      `SELECT pg_read_binary_file(pg_relation_filepath('rls.seal_key'))`,
      `SELECT pg_ls_dir('.')`,
      `SELECT lo_import('/etc/hostname')`,
      `COPY country (name) FROM '/etc/hostname'`,
      `COPY country (name) FROM PROGRAM 'env'`,
      `COPY (SELECT 1) TO PROGRAM 'cat'`,
      'SELECT * FROM pg_hba_file_rules',
      'SELECT * FROM pg_backend_memory_contexts',
      'SELECT pg_log_backend_memory_contexts(pg_backend_pid())',
    ].map((sql) => a(sql)),
    plain: 'nothing to take',
  },
  {
    id: 'S12',
    title: 'the write-ahead log',
    tries: 'a logical replication slot, a publication, a subscription, pg_walinspect',
    steps: [
      `SELECT pg_create_logical_replication_slot('loot', 'test_decoding')`,
      `SELECT * FROM pg_logical_slot_peek_changes('loot', NULL, NULL)`,
      'CREATE PUBLICATION loot FOR ALL TABLES',
      `CREATE SUBSCRIPTION loot CONNECTION 'dbname={db}' PUBLICATION loot`,
      'CREATE EXTENSION pg_walinspect',
    ].map((sql) => a(sql)),
    plain: 'nothing to take',
  },
  {
    id: 'S13',
    title: 'EXPLAIN',
    tries: 'the plan of a statement with parameters, with everything it can show',
    steps: [
      a(`EXPLAIN (VERBOSE, ANALYZE, COSTS, FORMAT XML) SELECT rls.current_tenant(), * FROM note`),
      a(`EXPLAIN (VERBOSE, GENERIC_PLAN) SELECT * FROM note WHERE id = $1`),
      a(`EXPLAIN (ANALYZE, SETTINGS, WAL, BUFFERS, VERBOSE) UPDATE note SET body = body`),
      a(`SELECT pg_get_functiondef('rls.current_tenant'::regproc)`),
      a(`SELECT pg_get_expr(polqual, polrelid) FROM pg_policy`),
    ],
    plain: 'nothing to take',
  },
  {
    id: 'S14',
    title: 'messages of the server',
    tries: 'debug_print_plan and client_min_messages left in the session, so that B prints, and A',
    steps: [
      a(
        `SET client_min_messages = debug5; SET debug_print_plan = on; SET debug_print_parse = on; SET debug_print_rewritten = on`,
      ),
      b(READ),
      a(`SELECT rls.current_tenant()`),
      a(READ),
    ],
    plain: 'nothing to take',
  },
  {
    id: 'S15',
    title: 'parameters in error messages',
    tries: 'log_parameter_max_length_on_error left in the session, then errors of B and of A',
    steps: [
      a('SET log_parameter_max_length_on_error = -1'),
      b('SELECT 1 / 0'),
      a('SELECT 1 / 0'),
      a(
        `SELECT rls.current_tenant() FROM (SELECT set_config('rls.current_tenant', '{B}', true) OFFSET 0) AS s`,
      ),
      { together: [b('SELECT 1'), a('SELECT 1 / 0')] },
    ],
    plain: 'nothing to take',
  },
  {
    id: 'S16',
    title: 'errors of the verifying function',
    tries: 'its messages, details, contexts and stack: for a wrong seal, a full stack, a cancelled statement',
    steps: [
      loot(`PERFORM set_config('rls.seal', '1.first.x.y.z', true);`),
      loot(`PERFORM set_config('rls.seal', repeat('x', 1000000), true);`),
      loot(`PERFORM set_config('rls.current_tenant', repeat('x', 1000000), true);`),
      a(`SET statement_timeout = 1; SELECT rls.current_tenant() FROM generate_series(1, 100000)`),
      a(`SET work_mem = 64; SET max_stack_depth = 100; SELECT rls.current_tenant()`),
      a(`DO $$ DECLARE m text; d text; h text; c text; BEGIN PERFORM set_config('rls.seal', 'x', true); PERFORM rls.current_tenant();
           EXCEPTION WHEN OTHERS THEN GET STACKED DIAGNOSTICS m = MESSAGE_TEXT, d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT, c = PG_EXCEPTION_CONTEXT;
           RAISE EXCEPTION 'loot: % % % %', m, d, h, c; END $$`),
    ],
    plain: 'nothing to take',
  },
  {
    id: 'S17',
    title: 'variables of the verifying function',
    tries: 'settings of PL/pgSQL that a session may change, before the function is compiled',
    steps: [
      a(`SELECT pg_terminate_backend(pg_backend_pid())`),
      a(
        `SET plpgsql.extra_errors = 'all'; SET plpgsql.extra_warnings = 'all'; SET plpgsql.print_strict_params = on; SET plpgsql.check_asserts = on; ${READ}`,
      ),
      a(`SET plpgsql.variable_conflict = 'use_variable'; ${READ}`),
      a(`SET transform_null_equals = on; SET array_nulls = off; SET bytea_output = 'escape'; ${READ}`),
      a(`SET default_text_search_config = 'simple'; SET standard_conforming_strings = off; ${READ}`),
      loot(
        attempt(`SET LOCAL plpgsql.variable_conflict = 'use_column'`) +
          `PERFORM set_config('rls.current_tenant', '{B}', true), set_config('rls.seal', '1.first.9.0.' || encode(sha256(''), 'hex'), true);`,
      ),
    ],
    plain: 'leaks',
  },
  {
    id: 'S18',
    title: 'notifications',
    tries: 'listens on all channels it can think of, and asks for what B notifies',
    steps: [
      a('LISTEN loot; LISTEN rls; LISTEN "rls.seal"'),
      b(READ),
      a('SELECT pg_notify($$loot$$, current_setting($$rls.seal$$)), pg_listening_channels()'),
      a('SELECT 1'),
    ],
    plain: 'nothing to take',
  },
  {
    id: 'S19',
    title: 'statements that the server counted',
    tries: 'pg_stat_statements, where it is installed',
    steps: [
      a('CREATE EXTENSION pg_stat_statements'),
      b(READ),
      a('SELECT * FROM pg_stat_statements'),
      a('SELECT * FROM pg_stat_statements_info'),
    ],
    plain: 'nothing to take',
  },
  {
    id: 'S20',
    title: "another session's work",
    tries: 'imports the snapshot of another session, and kills connections to see what new ones say',
    steps: [
      a(`SELECT pg_export_snapshot()`),
      a(
        `BEGIN ISOLATION LEVEL REPEATABLE READ; SET TRANSACTION SNAPSHOT '00000003-0000001B-1'; ${READ}; COMMIT`,
      ),
      a(
        `SELECT pg_cancel_backend(pid), pg_terminate_backend(pid), backend_start FROM pg_stat_activity WHERE usename = current_user AND datname = '{db}' AND pid <> pg_backend_pid()`,
      ),
      b(READ),
      a(READ),
    ],
    plain: 'holds',
  },
];
