import { a, attempt, b, become, loot, READ, type Attack, type Step } from './attack.js';

const save = (text: string): Step => ({ by: 'B', save: text });
const forged = loot(become(`'1.first.99999999999.0.' || repeat('0', 64)`));
const functionSql = (name: string, result: string, body: string) =>
  `CREATE FUNCTION ${name} RETURNS ${result} LANGUAGE sql AS $f$ ${body} $f$`;

/** Objects under the names of others. Each is tried where the app role may create nothing, and where it may. */
export const shadowing: readonly Attack[] = [
  {
    id: 'H01',
    title: 'a temporary table in front of the table',
    tries: "B's next note goes into the attacker's table",
    steps: [
      a('CREATE TEMP TABLE note (id serial, tenant_id uuid, body text)'),
      save('saved in the shadow'),
      a('SELECT * FROM note'),
      a('SELECT * FROM pg_temp.note'),
    ],
    plain: 'leaks',
    misconfigured: 'leaks',
  },
  {
    id: 'H02',
    title: 'a temporary view in front of the table',
    tries: "a view that copies what B reads, by a function of the attacker's that runs as B",
    steps: [
      a('CREATE TEMP TABLE loot (body text)'),
      a(
        `CREATE FUNCTION pg_temp.take() RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN INSERT INTO pg_temp.loot SELECT body FROM public.note; RETURN true; END $f$`,
      ),
      a('CREATE TEMP VIEW note AS SELECT n.* FROM public.note AS n, (SELECT pg_temp.take() OFFSET 0) AS t'),
      b('SELECT * FROM note'),
      a('SELECT * FROM pg_temp.loot'),
    ],
    plain: 'leaks',
    misconfigured: 'leaks',
  },
  {
    id: 'H03',
    title: 'the verifying function, elsewhere',
    tries: 'a schema, a table and functions called rls, in the temporary schema and in front of it',
    steps: [
      a(functionSql('pg_temp.current_tenant()', 'text', `SELECT '{B}'`)),
      a('SET search_path = pg_temp, rls, public'),
      a(READ),
      a(functionSql('playground.current_tenant()', 'text', `SELECT '{B}'`)),
      a(`SET search_path = playground, public; ${READ}`),
      a('CREATE TEMP TABLE seal_key (id text, inner_pad bytea, outer_pad bytea, expires_at timestamptz)'),
      a(
        `INSERT INTO seal_key VALUES ('first', decode(repeat('36', 64), 'hex'), decode(repeat('5c', 64), 'hex'))`,
      ),
      loot(
        become(
          `'1.first.99999999999.0.' || encode(sha256(decode(repeat('5c', 64), 'hex') || sha256(decode(repeat('36', 64), 'hex') ||
             convert_to('rls.current_tenant' || chr(10) || '1.first.99999999999.0' || chr(10) || '36' || chr(10) || '{B}', 'UTF8'))), 'hex')`,
        ),
      ),
    ],
    plain: 'leaks',
  },
  {
    id: 'H04',
    title: 'functions in front of pg_catalog',
    tries:
      'sha256, current_setting, set_config, convert_to and encode of its own, and a path that begins with them',
    steps: [
      ...['playground', 'pg_temp'].flatMap((schema) => [
        a(functionSql(`${schema}.sha256(bytea)`, 'bytea', `SELECT ''::bytea`)),
        a(functionSql(`${schema}.encode(bytea, text)`, 'text', `SELECT repeat('0', 64)`)),
        a(functionSql(`${schema}.convert_to(text, name)`, 'bytea', `SELECT ''::bytea`)),
        a(functionSql(`${schema}.current_setting(text, boolean)`, 'text', `SELECT '{B}'`)),
        a(functionSql(`${schema}.set_config(text, text, boolean)`, 'text', `SELECT '{B}'`)),
        a(functionSql(`${schema}.clock_timestamp()`, 'timestamptz', `SELECT '2000-01-01'::timestamptz`)),
      ]),
      a('SET search_path = playground, pg_catalog, public'),
      a(READ),
      forged,
      a('SET search_path = pg_temp, playground, pg_catalog, public'),
      a(READ),
      forged,
    ],
    plain: 'leaks',
  },
  {
    id: 'H05',
    title: 'operators in front of pg_catalog',
    tries: '= and <> of texts, bytes and uuids that are always true',
    steps: [
      a(functionSql('playground.yes(uuid, uuid)', 'boolean', 'SELECT true')),
      a(functionSql('playground.yes(bytea, bytea)', 'boolean', 'SELECT true')),
      a(functionSql('playground.yes(text, text)', 'boolean', 'SELECT true')),
      ...['uuid', 'bytea', 'text'].map((type) =>
        a(`CREATE OPERATOR playground.= (LEFTARG = ${type}, RIGHTARG = ${type}, FUNCTION = playground.yes)`),
      ),
      a('SET search_path = playground, pg_catalog, public'),
      a(READ),
      forged,
    ],
    plain: 'leaks',
  },
  {
    id: 'H06',
    title: 'casts, domains and types',
    tries: 'a cast from text to uuid, a domain and a type under the names the policy and the verifier use',
    steps: [
      a('CREATE DOMAIN playground.uuid AS pg_catalog.uuid'),
      a('CREATE DOMAIN playground.text AS pg_catalog.text CHECK (true)'),
      a('CREATE TYPE playground.bytea AS (x int)'),
      a(functionSql('playground.to_b(text)', 'pg_catalog.uuid', `SELECT '{B}'::pg_catalog.uuid`)),
      a('CREATE CAST (pg_catalog.text AS pg_catalog.uuid) WITH FUNCTION playground.to_b(text) AS IMPLICIT'),
      a('SET search_path = playground, pg_catalog, public'),
      a(READ),
      forged,
    ],
    plain: 'leaks',
  },
  {
    id: 'H07',
    title: 'a function that fits better',
    tries: "an overload for the very types that the application passes: B's next statement calls it",
    steps: [
      a('CREATE TABLE playground.loot (body text)'),
      a(
        `CREATE FUNCTION playground.lower(varchar) RETURNS text LANGUAGE plpgsql AS $f$ BEGIN INSERT INTO playground.loot SELECT body FROM public.note; RETURN $1; END $f$`,
      ),
      a('SET search_path = playground, public'),
      b(`SELECT lower('X'::varchar), count(*) FROM note`),
      a('SELECT * FROM playground.loot'),
    ],
    plain: 'holds',
    misconfigured: 'leaks',
  },
  {
    id: 'H08',
    title: 'a table in front of the table, in another schema',
    tries: "a path that leads to the attacker's schema first: B's next note goes there",
    steps: [
      a('CREATE TABLE playground.note (id serial, tenant_id uuid, body text)'),
      a('SET search_path = playground, public'),
      save('saved in the playground'),
      a('SELECT * FROM playground.note'),
    ],
    plain: 'holds',
    misconfigured: 'leaks',
  },
  {
    id: 'H09',
    title: 'schemas of its own',
    tries: 'CREATE SCHEMA under its own name, which the path looks in first, and under those of the catalogs',
    steps: [
      a('CREATE SCHEMA {app}'),
      a('CREATE SCHEMA rls'),
      a('CREATE SCHEMA pg_catalog2'),
      a('CREATE TABLE public.loot (body text)'),
      a(functionSql('public.current_tenant()', 'text', `SELECT '{B}'`)),
      a(functionSql('rls.current_tenant(text)', 'text', `SELECT '{B}'`)),
      a(functionSql('pg_catalog.current_tenant()', 'text', `SELECT '{B}'`)),
      b(READ),
      a(READ),
    ],
    plain: 'holds',
  },
  {
    id: 'H10',
    title: 'a function that runs as B',
    tries:
      "in the session's temporary schema, for a path that begins with it: functions are never looked up there",
    steps: [
      a('CREATE TEMP TABLE loot (body text)'),
      a(
        `CREATE FUNCTION pg_temp.count() RETURNS bigint LANGUAGE plpgsql AS $f$ BEGIN INSERT INTO pg_temp.loot SELECT body FROM public.note; RETURN 1; END $f$`,
      ),
      a('SET search_path = pg_temp, public'),
      b('SELECT count(*) FROM public.note'),
      a('SELECT * FROM pg_temp.loot'),
    ],
    plain: 'holds',
  },
  {
    id: 'H11',
    title: 'a transaction-long temporary table',
    tries: 'ON COMMIT DROP and DELETE ROWS, in a transaction that two tenants share',
    steps: [
      {
        together: [
          a('CREATE TEMP TABLE note (id serial, tenant_id uuid, body text) ON COMMIT PRESERVE ROWS'),
          b(`INSERT INTO note (body) VALUES ('of B: secret')`),
          a('SELECT * FROM note'),
        ],
      },
    ],
    plain: 'leaks',
    misconfigured: 'leaks',
  },
  {
    id: 'H12',
    title: 'reading back through its own objects',
    tries: 'the injected statement itself, with every shadow in place: the seal is all that is left',
    steps: [
      a('CREATE TEMP VIEW mine AS SELECT * FROM public.note'),
      a('CREATE VIEW playground.mine AS SELECT * FROM public.note'),
      a(
        `CREATE FUNCTION playground.definer() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER AS $f$ SELECT body FROM public.note $f$`,
      ),
      loot(attempt(`SELECT set_config('rls.current_tenant', '{B}', true)`), 'SELECT body FROM pg_temp.mine'),
      loot(
        attempt(`SELECT set_config('rls.current_tenant', '{B}', true)`),
        'SELECT body FROM playground.mine',
      ),
      loot(attempt(`SELECT set_config('rls.current_tenant', '{B}', true)`), 'SELECT playground.definer()'),
      a('CREATE MATERIALIZED VIEW playground.kept AS SELECT * FROM public.note'),
      a('SELECT * FROM playground.kept'),
      a('CREATE TEMP TABLE child () INHERITS (public.note)'),
      a('SELECT * FROM pg_temp.child'),
    ],
    plain: 'leaks',
  },
];
