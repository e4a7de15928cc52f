import { a, b, nobody, READ, type Attack, type Step } from './attack.js';

const LIST = 'SELECT count(*) AS notes FROM note WHERE body <> $1';
const save = (text: string): Step => ({ by: 'B', save: text });
/** Leaves something in the session, lets B write and read, and looks again. */
const leave = (sql: string): Step[] => [a(sql), save(`saved after ${sql.slice(0, 30)}`), b(READ), a(READ)];

/** What A leaves on the connection for the next tenant's request. */
export const leftBehind: readonly Attack[] = [
  {
    id: 'L01',
    title: "the library's own prepared statement",
    tries:
      "replaces what carries the tenant by a statement that carries A, so that B's rows are written as A's",
    steps: [
      ...[1, 2, 3].map((): Step => ({ by: 'A', named: '', sql: LIST, values: ['x'] })),
      a(
        `DEALLOCATE "nestjs-rls-tenants: rls.current_tenant"; PREPARE "nestjs-rls-tenants: rls.current_tenant" (text) AS SELECT set_config('rls.current_tenant', '{A}', true)`,
      ),
      a(
        `PREPARE "nestjs-rls-tenants: rls.current_tenant" (text) AS SELECT set_config('rls.current_tenant', '{A}', true)`,
      ),
      save('saved through the planted front'),
      a(READ),
    ],
    plain: 'leaks',
  },
  {
    id: 'L02',
    title: 'a prepared statement of the application',
    tries:
      "replaces a statement that the application sends under a name by one that writes B's values where A reads",
    steps: [
      { by: 'A', named: 'list', sql: LIST, values: ['x'] },
      a(
        'DEALLOCATE list; PREPARE list (text) AS INSERT INTO country (name) VALUES ($1) RETURNING 0 AS notes',
      ),
      { by: 'B', named: 'list', sql: LIST, values: ['of B: secret'] },
      a('SELECT name FROM country'),
    ],
    plain: 'leaks',
  },
  {
    id: 'L03',
    title: 'a prepared statement that the application will send',
    tries: 'plans ahead: prepares the name before the application does',
    steps: [
      a('PREPARE list (text) AS INSERT INTO country (name) VALUES ($1) RETURNING 0 AS notes'),
      { by: 'B', named: 'list', sql: LIST, values: ['of B: secret'] },
      a('SELECT name FROM country'),
    ],
    plain: 'holds',
  },
  {
    id: 'L04',
    title: 'the role',
    tries: 'SET ROLE for the session: whoever comes next is the admin',
    steps: [a('SET ROLE {admin}'), b(READ), nobody(READ), a(READ)],
    plain: 'leaks',
  },
  {
    id: 'L05',
    title: 'tenant and role for who has none',
    tries: 'sets B for the session, by set_config() and by SET SESSION',
    steps: [
      a(`SET SESSION rls.current_tenant = '{B}'`),
      nobody(READ),
      nobody('UPDATE note SET body = $$defaced$$'),
    ],
    plain: 'leaks',
  },
  {
    id: 'L06',
    title: 'the search path',
    tries: 'empty, of catalogs only, of schemas that do not exist, of the temporary schema',
    steps: [
      ...leave(`SET search_path = ''`),
      ...leave('SET search_path = pg_temp, information_schema, pg_catalog'),
      ...leave('SET search_path = rls, public'),
      ...leave('SET search_path = public, pg_catalog'),
    ],
    plain: 'holds',
  },
  {
    id: 'L07',
    title: 'how literals are read',
    tries:
      'standard_conforming_strings = off and backslash_quote, for literals the application quotes itself',
    steps: [
      a('SET standard_conforming_strings = off; SET backslash_quote = on; SET escape_string_warning = off'),
      { by: 'B', search: `\\` },
      { by: 'B', filter: `note.body = '\\''` },
      save('saved with strings of another kind \\'),
      a(READ),
    ],
    plain: 'holds',
  },
  {
    id: 'L08',
    title: 'the encoding',
    tries: "client_encoding in which a letter swallows a quote, or in which the tenant's bytes are others",
    steps: [
      ...leave('SET client_encoding = SJIS'),
      ...leave('SET client_encoding = GBK'),
      ...leave('SET client_encoding = SQL_ASCII'),
    ],
    plain: 'holds',
  },
  {
    id: 'L09',
    title: 'how transactions begin',
    tries: 'read-only, serializable, deferrable, chained: for all that follow',
    steps: [
      ...leave('SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY'),
      ...leave('SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ WRITE'),
      ...leave('SET default_transaction_deferrable = on'),
    ],
    plain: 'holds',
  },
  {
    id: 'L10',
    title: 'other settings of the session',
    tries: 'null comparison, time, timeouts, planner, row_security',
    steps: [
      ...leave('SET transform_null_equals = on'),
      ...leave(`SET TimeZone = 'XXX99'`),
      ...leave('SET statement_timeout = 1000; SET lock_timeout = 1'),
      ...leave('SET enable_seqscan = off; SET enable_indexscan = off; SET enable_bitmapscan = off'),
      ...leave('SET row_security = off'),
      ...leave(
        'SET row_security = on; SET constraint_exclusion = on; SET plan_cache_mode = force_generic_plan',
      ),
      ...leave(`SET rls.seal = 'x'`),
      ...leave('SET default_tablespace = pg_global'),
      ...leave('SET jit = on; SET jit_above_cost = 0'),
    ],
    plain: 'holds',
  },
  {
    id: 'L11',
    title: 'a held cursor of its own',
    tries: "declares it as A, and fetches behind B's request",
    steps: [
      a(`DECLARE mine CURSOR WITH HOLD FOR ${READ}`),
      b(READ),
      a('FETCH ALL FROM mine'),
      b('FETCH BACKWARD ALL FROM mine'),
      a('FETCH ALL FROM mine'),
    ],
    plain: 'holds',
  },
  {
    id: 'L12',
    title: 'a cursor under a name that pg-cursor uses',
    tries: "takes the portals' names, so that B reads through A's",
    steps: [
      ...Array.from({ length: 5 }, (_, n) => a(`DECLARE "C_${n}" CURSOR WITH HOLD FOR ${READ}`)),
      {
        meanwhile: 'cursor',
        sql: READ,
        attacker: [a('SELECT * FROM pg_cursors'), a('FETCH ALL FROM "C_1"')],
      },
      b(READ),
      a('FETCH ALL FROM "C_1"'),
    ],
    plain: 'holds',
  },
  {
    id: 'L13',
    title: 'locks',
    tries: 'advisory locks for the session, on everything: B waits, or goes on',
    steps: [
      a('SELECT pg_advisory_lock(n) FROM generate_series(1, 100) AS n'),
      save('saved beside locks'),
      a('SELECT * FROM pg_locks'),
      a('SELECT pg_advisory_unlock_all()'),
    ],
    plain: 'holds',
  },
  {
    id: 'L14',
    title: 'notifications to the session',
    tries: 'LISTEN for what B notifies on the same connection',
    steps: [
      a('LISTEN notes'),
      b(`SELECT pg_notify('notes', 'a note was saved')`),
      a('SELECT pg_listening_channels()'),
      a('UNLISTEN *'),
    ],
    plain: 'holds',
  },
  {
    id: 'L15',
    title: 'large objects and other tables without policies',
    tries: 'reads what is not protected: B keeps nothing there',
    steps: [
      a('SELECT lo_from_bytea(0, $$x$$), oid FROM pg_largeobject_metadata'),
      b(READ),
      a('SELECT loid, data FROM pg_largeobject'),
      a('SELECT * FROM country'),
    ],
    plain: 'holds',
  },
  {
    id: 'L16',
    title: 'what a set reads, left in the session',
    tries: "a list with B in it, for A's next statements, which carry none",
    steps: [
      a(`SELECT set_config('rls.readable_tenants', ',{B}', false)`),
      a('SELECT body FROM memo'),
      a('SELECT body FROM memo WHERE id > 0'),
    ],
    plain: 'leaks',
  },
];
