import pg from 'pg';
import type { ConsoleAttack } from '../../apps/demo/src/console/console-attacks.js';
import type { ConsoleResult } from '../../apps/demo/src/console/console-result.js';
import { LIMITS } from '../../apps/demo/src/console/console.service.js';
import { databaseUrl } from '../../apps/demo/src/database/roles.js';
import { harborClinic } from '../../apps/demo/src/database/seed/harbor-clinic.js';
import { northwindBikes } from '../../apps/demo/src/database/seed/northwind-bikes.js';
import { Caller, eventually, startDemo, type TestDemo } from './support/demo.js';

const TABLES = ['app_user', 'project', 'tag', 'task', 'task_tag', 'workspace'];

let demo: TestDemo;
let anna: Caller;
let samira: Caller;
const tenants = [
  { workspace: northwindBikes, other: harborClinic, caller: () => anna },
  { workspace: harborClinic, other: northwindBikes, caller: () => samira },
];

beforeAll(async () => {
  demo = await startDemo();
  anna = await Caller.signIn(demo.url, 'anna@northwind.example');
  samira = await Caller.signIn(demo.url, 'samira@harbor.example');
}, 60_000);

afterAll(() => demo?.stop());

const run = (caller: Caller, sql: string) => caller.call<ConsoleResult>('POST', '/api/console', { sql });

interface Hostile {
  readonly what: string;
  readonly sql: (other: string) => string;
  /** The SQLSTATE that it ends with; undefined: it runs to its end. */
  readonly code?: string;
  /** False where not even a superuser gets another workspace's titles by it: then it is no control. */
  readonly isReader?: false;
}

const TITLES = "SELECT string_agg(title, ', ') FROM task";
const SET = (name: string, value: string) => `set_config('${name}', '${value}', false)`;
const block = (body: string) => `DO $$ DECLARE found text; BEGIN ${body} END $$`;
const raising = `${TITLES.replace('FROM', 'INTO found FROM')}; RAISE EXCEPTION 'found %', found;`;

const HOSTILE: readonly Hostile[] = [
  { what: 'reads without a WHERE', sql: () => TITLES },
  { what: 'names the other workspace', sql: (other) => `${TITLES} WHERE tenant_id = '${other}'` },
  {
    what: 'sets the setting, then reads',
    sql: (other) => `SELECT ${SET('rls.current_tenant', other)}; ${TITLES}`,
  },
  { what: 'SETs it for the session', sql: (other) => `SET rls.current_tenant = '${other}'; ${TITLES}` },
  {
    what: 'commits, sets it outside a transaction, reads',
    sql: (other) => `COMMIT; SELECT ${SET('rls.current_tenant', other)}; ${TITLES}; ${TITLES}`,
  },
  {
    what: 'ROLLBACK TO brings back an earlier setting',
    sql: (other) =>
      `SET LOCAL rls.current_tenant = '${other}'; SAVEPOINT s; SELECT 1; ROLLBACK TO s; ${TITLES}`,
  },
  {
    what: 'sets it in the same statement, before it reads',
    sql: (other) =>
      `WITH forged AS MATERIALIZED (SELECT ${SET('rls.current_tenant', other)} AS it) SELECT title, it FROM forged, task`,
    code: '42501',
  },
  {
    what: 'sets it in the same statement, while it reads',
    sql: (other) => `SELECT title, ${SET('rls.current_tenant', other)} FROM task ORDER BY random()`,
  },
  {
    what: 'sets it inside a block',
    sql: (other) => block(`PERFORM ${SET('rls.current_tenant', other)}; ${raising}`),
    code: '42501',
  },
  {
    what: 'empties the seal inside a block',
    sql: (other) => block(`PERFORM ${SET('rls.seal', '')}, ${SET('rls.current_tenant', other)}; ${raising}`),
    code: '42501',
  },
  {
    what: 'makes up a seal',
    sql: (other) =>
      block(
        `PERFORM ${SET('rls.seal', `1.test.9999999999.0.${'0'.repeat(64)}`)}, ${SET('rls.current_tenant', other)}; ${raising}`,
      ),
    code: '42501',
  },
  {
    what: 'seals of an older version',
    sql: (other) =>
      block(`PERFORM ${SET('rls.seal', '0.test.0.0.x')}, ${SET('rls.current_tenant', other)}; ${raising}`),
    code: '42501',
  },
  {
    what: 'adds the other workspace to what it reads',
    sql: (other) => block(`PERFORM ${SET('rls.readable_tenants', `,${other}`)}; ${raising}`),
    code: '42501',
  },
  {
    what: 'goes on after the refusal',
    sql: (other) =>
      block(
        `BEGIN PERFORM ${SET('rls.current_tenant', other)}; ${raising} EXCEPTION WHEN insufficient_privilege THEN ${raising} END;`,
      ),
    // The sub-transaction took the forged tenant back: what it finds is its own.
    code: 'P0001',
  },
  { what: 'becomes the admin', sql: () => `SET ROLE rls_admin; ${TITLES}`, code: '42501' },
  {
    what: 'becomes the app role',
    sql: () => `SET SESSION AUTHORIZATION demo_app; ${TITLES}`,
    code: '42501',
  },
  { what: 'switches row security off', sql: () => `SET row_security = off; ${TITLES}`, code: '42501' },
  {
    what: 'disables policies',
    sql: () => 'ALTER TABLE task DISABLE ROW LEVEL SECURITY',
    code: '42501',
    isReader: false,
  },
  {
    what: 'drops the policy',
    sql: () => 'DROP POLICY task_tenant_isolation_policy ON task',
    code: '42501',
    isReader: false,
  },
  { what: 'reads the keys', sql: () => 'SELECT * FROM rls.seal_key', code: '42501', isReader: false },
  {
    what: 'adds a key',
    sql: () =>
      "INSERT INTO rls.seal_key (id, inner_pad, outer_pad) SELECT 'mine', repeat('x', 64)::bytea, repeat('x', 64)::bytea",
    code: '42501',
    isReader: false,
  },
  {
    what: 'replaces the verifying function',
    sql: (other) =>
      `CREATE OR REPLACE FUNCTION rls.current_tenant() RETURNS text LANGUAGE sql AS 'SELECT ''${other}'''`,
    code: '42501',
    isReader: false,
  },
  {
    what: 'shadows a table',
    sql: () => 'CREATE TEMPORARY TABLE task (title text)',
    code: '42501',
    isReader: false,
  },
  {
    what: 'shadows a function',
    sql: () => "CREATE FUNCTION pg_temp.sha256(bytea) RETURNS bytea LANGUAGE sql AS 'SELECT ''x''::bytea'",
    code: '42501',
    isReader: false,
  },
  {
    what: 'puts another schema in front',
    sql: (other) => `SET search_path = pg_temp, rls, public; SET rls.current_tenant = '${other}'; ${TITLES}`,
  },
  {
    what: 'prepares a statement and executes it as another',
    sql: (other) => `PREPARE p AS ${TITLES}; SET rls.current_tenant = '${other}'; EXECUTE p`,
  },
  {
    what: 'holds a cursor open over a commit',
    sql: (other) =>
      `DECLARE c CURSOR WITH HOLD FOR ${TITLES}; COMMIT; SET rls.current_tenant = '${other}'; FETCH ALL FROM c`,
  },
  {
    what: 'reads planner statistics',
    sql: () => "SELECT most_common_vals, histogram_bounds FROM pg_stats WHERE tablename = 'task'",
    isReader: false,
  },
  { what: 'copies the table', sql: () => 'COPY task TO STDOUT', isReader: false },
  { what: 'copies it into a file', sql: () => "COPY task TO '/tmp/task'", code: '42501', isReader: false },
  {
    what: 'lets an error tell',
    sql: (other) => `SELECT title::int FROM task WHERE tenant_id = '${other}'`,
  },
  {
    what: 'moves its rows',
    sql: (other) => `COMMIT; UPDATE task SET tenant_id = '${other}'`,
    code: '42501',
    isReader: false,
  },
  {
    what: 'plants a row',
    sql: (other) => `COMMIT; INSERT INTO project (tenant_id, name) VALUES ('${other}', 'Planted')`,
    code: '42501',
    isReader: false,
  },
  {
    what: 'overwrites a row by its key',
    sql: (other) =>
      `COMMIT; INSERT INTO project (tenant_id, name) VALUES ('${other}', 'x') ON CONFLICT (tenant_id, name) DO UPDATE SET description = 'mine'`,
    code: '42501',
    isReader: false,
  },
  {
    what: 'deletes theirs',
    sql: (other) =>
      `COMMIT; DELETE FROM task WHERE tenant_id = '${other}'; DELETE FROM project WHERE tenant_id = '${other}'`,
    isReader: false,
  },
  { what: 'truncates', sql: () => 'COMMIT; TRUNCATE task CASCADE', code: '42501', isReader: false },
  {
    what: 'changes accounts',
    sql: () => "COMMIT; UPDATE app_user SET email = 'x'",
    code: '42501',
    isReader: false,
  },
  {
    what: 'exports a snapshot and calls the server’s file functions',
    sql: () => "SELECT pg_export_snapshot(); SELECT pg_read_file('PG_VERSION')",
    code: '42501',
    isReader: false,
  },
];

describe.each(tenants)('the console as $workspace.name', ({ workspace, other, caller }) => {
  const own = workspace.projects.flatMap(({ tasks }) => tasks.map(({ title }) => title));
  const theirs = other.projects.flatMap(({ tasks }) => tasks.map(({ title }) => title));
  const leaks = (text: string) => theirs.filter((title) => text.includes(title));

  it.each(HOSTILE)('$what: nothing of another workspace is read or written', async ({ sql, code }) => {
    const before = await checksums();
    const { status, text, body } = await caller().request('POST', '/api/console', { sql: sql(other.id) });
    const { error, returned } = body as ConsoleResult;

    expect(status).toBe(200);
    expect(error?.code).toBe(code);
    expect(leaks(text)).toEqual([]);
    expect(returned.foreign).toBe(0);
    expect(await checksums()).toEqual(before);
  });

  // The controls: it is the policy that hides the rows, and not what was asked.
  it.each(HOSTILE.filter(({ isReader }) => isReader !== false))(
    '$what: a superuser reads others’ titles by it',
    async ({ sql }) => {
      expect(
        leaks(await asSuperuser(sql(other.id).replace(/SET (ROLE|SESSION AUTHORIZATION) \w+;/, ''))),
      ).not.toEqual([]);
    },
  );

  it('sees its own rows, each of them', async () => {
    const { statements, returned, error } = await run(
      caller(),
      'SELECT tenant_id, title FROM task ORDER BY title LIMIT 50',
    );

    expect(error).toBeNull();
    expect(statements[0]!.rows.map(([, title]) => String(title)).sort()).toEqual([...own].sort());
    expect(returned).toEqual({ own: own.length, foreign: 0 });
  });

  it('says how many rows there are, and how many of them it reaches', async () => {
    const { reach } = await run(caller(), 'SELECT 1');
    const counts = await Promise.all(
      reach.map(async ({ table }) => {
        const [row] = await demo.asSuperuser(
          `SELECT count(*)::int AS total, count(*) FILTER (WHERE tenant_id = $1)::int AS reached FROM ${table}`,
          [workspace.id],
        );
        return { table, ...row };
      }),
    );

    expect(reach.map(({ table }) => table)).toEqual(['app_user', 'project', 'tag', 'task', 'task_tag']);
    expect(reach).toEqual(counts);
    for (const { total, reached } of reach) expect(total).toBeGreaterThan(reached);
  });

  it.each(['forge-setting', 'forge-inside', 'set-role', 'commit', 'oracle', 'activity', 'replay'])(
    'offers the attack "%s" on the other workspace, and withstands it',
    async (id) => {
      const attacks = await offered(caller());
      const { sql } = attacks.find((attack) => attack.id === id)!;
      const { text, body } = await caller().request('POST', '/api/console', { sql });

      expect(leaks(text)).toEqual([]);
      expect((body as ConsoleResult).returned.foreign).toBe(0);
      expect(attacks.map((attack) => attack.sql).join('\n')).toContain(other.id);
    },
  );
});

describe('what comes back', () => {
  it('is the answer of each statement, as text, with columns of one name and no value', async () => {
    const { statements, error } = await run(
      anna,
      "SELECT 1 AS a, NULL AS a, '{\"b\": 2}'::jsonb, now()::date > '2020-01-01'; SET search_path = public;\nSELECT title FROM task LIMIT 0; UPDATE task SET title = title",
    );
    const [tasks] = await demo.asSuperuser('SELECT count(*)::int FROM task WHERE tenant_id = $1', [
      northwindBikes.id,
    ]);

    expect(error).toBeNull();
    expect(statements).toEqual([
      {
        command: 'SELECT',
        rowCount: 1,
        columns: ['a', 'a', 'jsonb', '?column?'],
        rows: [['1', null, '{"b": 2}', 't']],
        shortened: false,
      },
      { command: 'SET', rowCount: null, columns: [], rows: [], shortened: false },
      { command: 'SELECT', rowCount: 0, columns: ['title'], rows: [], shortened: false },
      { command: 'UPDATE', rowCount: tasks!['count'], columns: [], rows: [], shortened: false },
    ]);
  });

  it('is the error of PostgreSQL, with its code, its hint, and the line of the whole text', async () => {
    const { statements, error } = await run(anna, 'SELECT 1;\n-- two;\nSELECT titel FROM task');

    expect(statements).toEqual([]);
    expect(error).toEqual({
      code: '42703',
      message: 'column "titel" does not exist',
      detail: null,
      hint: 'Perhaps you meant to reference the column "task.title".',
      line: 3,
    });
  });

  it('says of a refused seal what it was refused for', async () => {
    const sql = HOSTILE.find(({ what }) => what === 'sets it inside a block')!.sql(harborClinic.id);
    expect((await run(anna, sql)).error).toMatchObject({
      code: '42501',
      message: expect.stringMatching(/^Seal refused: /),
      hint: expect.stringContaining('seal-keys'),
    });
  });

  it('does not take an alias for a tenant, nor a row of a global table', async () => {
    const { returned } = await run(anna, 'SELECT id AS tenant_id, name FROM workspace');
    expect(returned).toEqual({ own: 0, foreign: 0 });
  });

  it('counts as foreign what is: a superuser’s answer would not pass', async () => {
    // The same count on rows that no policy has filtered, or zero would mean nothing.
    await demo.asSuperuser('ALTER TABLE tag DISABLE ROW LEVEL SECURITY');
    const { returned } = await run(anna, 'SELECT tenant_id, name FROM tag');
    await demo.asSuperuser('ALTER TABLE tag ENABLE ROW LEVEL SECURITY');

    expect(returned.own).toBe(northwindBikes.tags.length);
    expect(returned.foreign).toBeGreaterThan(100);
  });
});

describe('what planning tells', () => {
  const titles = () =>
    demo.asSuperuser<{ title: string }>('SELECT title FROM task GROUP BY 1 ORDER BY count(*) DESC LIMIT 20');
  const estimate = async (caller: (sql: string) => Promise<string>, title: string) =>
    /rows=(\d+)/.exec(
      await caller(`EXPLAIN SELECT FROM task, generate_series(1, 1000000) WHERE title <= $q$${title}$q$`),
    )![1];

  it('estimates do not tell which titles are frequent in other workspaces', async () => {
    const asAnna = async (sql: string) => JSON.stringify((await run(anna, sql)).statements[0]!.rows);
    const estimates = await Promise.all((await titles()).map(({ title }) => estimate(asAnna, title)));
    expect(new Set(estimates).size).toBe(1);
  });

  it('with statistics they would: a superuser’s do', async () => {
    await demo.asSuperuser('ALTER TABLE task ALTER COLUMN title SET STATISTICS 100');
    await demo.asSuperuser('ANALYZE task');
    const estimates = await Promise.all((await titles()).map(({ title }) => estimate(asSuperuser, title)));
    await demo.asSuperuser('ALTER TABLE task ALTER COLUMN title SET STATISTICS 0');
    await demo.asSuperuser('ANALYZE task');
    expect(new Set(estimates).size).toBeGreaterThan(5);
  });
});

describe('what a visitor writes', () => {
  const rename = "UPDATE project SET description = 'mine' WHERE name = (SELECT min(name) FROM project)";
  const written = async () =>
    (await demo.asSuperuser("SELECT tenant_id FROM project WHERE description = 'mine'")).map(
      ({ tenant_id }) => tenant_id,
    );

  it('is taken back when the run ends', async () => {
    expect((await run(anna, rename)).statements).toMatchObject([{ command: 'UPDATE', rowCount: 1 }]);
    expect(await written()).toEqual([]);
  });

  it('stays if it is committed, in the own workspace', async () => {
    const before = await demo.asSuperuser(
      'SELECT name, description FROM project WHERE tenant_id = $1 ORDER BY name LIMIT 1',
      [northwindBikes.id],
    );
    await run(anna, `${rename}; COMMIT`);
    expect(await written()).toEqual([northwindBikes.id]);
    await run(
      anna,
      `UPDATE project SET description = '${before[0]!['description']}' WHERE description = 'mine'; COMMIT`,
    );
    expect(await written()).toEqual([]);
  });
});

describe('one visitor and the next', () => {
  it('leave each other nothing: prepared statements, settings, listeners, locks, cursors', async () => {
    await run(
      anna,
      `COMMIT; PREPARE trap AS SELECT 1; SELECT set_config('app.trap', 'x', false); SET search_path = nowhere; LISTEN trap;
       SELECT pg_advisory_lock(99); SET rls.current_tenant = '${northwindBikes.id}'; SET statement_timeout = 0`,
    );
    const { statements } = await run(
      samira,
      `SELECT (SELECT count(*) FROM pg_prepared_statements), current_setting('app.trap', true), current_setting('search_path'),
              (SELECT count(*) FROM pg_listening_channels()), pg_try_advisory_lock(99), current_setting('rls.current_tenant') = '${harborClinic.id}',
              current_setting('statement_timeout')`,
    );

    expect(statements[0]!.rows).toEqual([['0', null, 'public', '0', 't', 't', '3s']]);
  });

  it('nor defaults of their login, nor another password', async () => {
    await run(
      anna,
      "COMMIT; ALTER ROLE CURRENT_USER SET search_path = nowhere; ALTER ROLE CURRENT_USER SET default_transaction_read_only = on; ALTER ROLE CURRENT_USER SET local_preload_libraries = 'nothing'; ALTER ROLE CURRENT_USER PASSWORD 'mine'",
    );
    const { statements } = await run(
      samira,
      'SHOW search_path; SHOW default_transaction_read_only; SHOW track_activities',
    );
    const role = await demo.asSuperuser("SELECT rolconfig FROM pg_roles WHERE rolname = 'demo_console'");

    expect(statements.map(({ rows }) => rows[0])).toEqual([['public'], ['off'], ['off']]);
    expect(role).toEqual([{ rolconfig: ['track_activities=off', 'temp_file_limit=64MB'] }]);
  });

  it('nor a login without its privileges', async () => {
    const { error } = await run(anna, 'COMMIT; DROP OWNED BY CURRENT_USER CASCADE');
    expect(error).toMatchObject({ code: '42501', message: 'the console keeps its privileges' });
    expect((await run(samira, 'SELECT count(*) FROM task')).error).toBeNull();
  });

  it('do not see each other’s statements, nor those of the application', async () => {
    const secret = 'nobody else may read this';
    const [, seen] = await Promise.all([
      run(anna, `SELECT '${secret}', pg_sleep(0.5)`),
      run(
        samira,
        'SELECT pg_sleep(0.2); SELECT usename, query FROM pg_stat_activity WHERE pid <> pg_backend_pid()',
      ),
    ]);

    const sessions = seen.statements[1]!.rows;
    expect(sessions.map(([user]) => user)).toContain('demo_console');
    expect(JSON.stringify(seen)).not.toContain(secret);
    expect(new Set(sessions.map(([, query]) => query))).toEqual(new Set(['<insufficient privilege>', '']));
  });

  it('run at the same time, many of them, and each sees its own workspace only', async () => {
    const sql = `SELECT ${SET('rls.current_tenant', harborClinic.id)}; SELECT tenant_id, title FROM task; COMMIT; SELECT tenant_id FROM project`;
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, index) => tenants[index % 2]!).map(async ({ workspace, caller }) => {
        const { returned, error } = await run(caller(), sql);
        const rows = workspace.projects.flatMap(({ tasks }) => tasks).length + workspace.projects.length;
        return { error, foreign: returned.foreign, all: returned.own === rows };
      }),
    );

    expect(answers).toEqual(answers.map(() => ({ error: null, foreign: 0, all: true })));
  });
});

describe('what a run may cost', () => {
  const consoleBackends = () =>
    demo.asSuperuser("SELECT pid FROM pg_stat_activity WHERE usename = 'demo_console'");
  /** The pool may have opened one more connection than it needed, which it closes when nobody has used it for 10 s. */
  const IDLE_SECONDS = 15;

  it.each([
    ['sleeps, with its timeout switched off', 'SET statement_timeout = 0; SELECT pg_sleep(60)'],
    [
      'catches what cancels it',
      'DO $$ BEGIN LOOP BEGIN PERFORM pg_sleep(60); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END $$',
    ],
  ])('a text that %s ends all the same, with its backend', async (_, sql) => {
    const { error, durationMs } = await run(anna, sql);

    expect(error).toMatchObject({
      code: null,
      message: expect.stringContaining(`${LIMITS.seconds} seconds`),
    });
    expect(durationMs).toBeLessThan(LIMITS.seconds * 1000 + 1000);
    await eventually(async () => expect(await consoleBackends()).toEqual([]), IDLE_SECONDS);
  });

  it('a statement that takes long is cancelled by PostgreSQL', async () => {
    expect((await run(anna, 'SELECT pg_sleep(60)')).error).toMatchObject({ code: '57014' });
  });

  it.each([
    ['one value', "SELECT repeat('x', 5000000)"],
    ['many rows', 'SELECT generate_series(1, 10000000)'],
    ['notices without end', "DO $$ BEGIN LOOP RAISE NOTICE '%', repeat('x', 100); END LOOP; END $$"],
  ])('an answer that grows without bounds is cut off: %s', async (_, sql) => {
    expect((await run(anna, sql)).error).toMatchObject({ message: expect.stringContaining('500 kB') });
    await eventually(async () => expect(await consoleBackends()).toEqual([]), IDLE_SECONDS);
  });

  it('long answers are shortened, and say so', async () => {
    const sql = `SELECT repeat('x', 1000), generate_series(1, 100); ${'SELECT 1; '.repeat(40)}`;
    const { statements, moreStatements } = await run(anna, sql);

    expect(statements).toHaveLength(LIMITS.statements);
    expect(moreStatements).toBe(41 - LIMITS.statements);
    expect(statements[0]).toMatchObject({ rowCount: 100, shortened: true });
    expect(statements[0]!.rows).toHaveLength(LIMITS.rows);
    expect(statements[0]!.rows[0]![0]).toHaveLength(LIMITS.valueCharacters + 1);
  });

  it('who ends the own session does not end the application', async () => {
    expect((await run(anna, 'SELECT pg_terminate_backend(pg_backend_pid())')).error).toMatchObject({
      code: '57P01',
    });
    expect((await run(anna, 'SELECT 1')).error).toBeNull();
  });

  it.each([
    ['COPY that waits for data', 'COPY project (name) FROM STDIN', null],
    ['nothing but comments', '-- nothing\n/* at all */;;', undefined],
    ['half a string', "SELECT 'x", '42601'],
    ['half a comment', '/* x', '42601'],
    ['half a dollar quote', 'DO $x$ BEGIN', '42601'],
  ])('%s is answered', async (_, sql, code) => {
    expect((await run(anna, sql)).error?.code).toBe(code);
  });

  it('while the console is busy the rest of the demo is not, and the next visitor is told', async () => {
    const long = 'SET statement_timeout = 0; SELECT pg_sleep(60)';
    const busy = Array.from({ length: 6 }, () => anna.request('POST', '/api/console', { sql: long }));
    const tasks = await samira.request('GET', '/api/tasks');
    const statuses = (await Promise.all(busy)).map(({ status }) => status).sort((a, b) => a - b);

    expect(tasks.status).toBe(200);
    expect(statuses).toEqual([200, 200, 200, 200, 503, 503]);
    expect((await run(samira, 'SELECT 1')).error).toBeNull();
  });
});

describe('who may run what', () => {
  it.each<[string, unknown]>([
    ['no text', {}],
    ['an empty text', { sql: ' ' }],
    ['a text that is too long', { sql: 'x'.repeat(LIMITS.characters + 1) }],
    ['a list', { sql: ['SELECT 1'] }],
    ['NUL', { sql: 'SELECT 1\0' }],
    ['half a surrogate pair', { sql: "SELECT '\ud800'" }],
    ['a tenant of its choice', { sql: 'SELECT 1', workspaceId: harborClinic.id }],
  ])('%s is refused with 400', async (_, body) => {
    expect((await anna.request('POST', '/api/console', body)).status).toBe(400);
  });

  it('nobody who is not signed in', async () => {
    const stranger = new Caller(demo.url);
    expect((await stranger.request('POST', '/api/console', { sql: 'SELECT 1' })).status).toBe(401);
    expect((await stranger.request('GET', '/api/console')).status).toBe(401);
  });
});

async function offered(caller: Caller): Promise<ConsoleAttack[]> {
  return (await caller.call<{ attacks: ConsoleAttack[] }>('GET', '/api/console')).attacks;
}

/** Everything that a superuser is shown by the text: answers, or the error. Nothing of it stays. */
async function asSuperuser(sql: string): Promise<string> {
  const client = new pg.Client({ connectionString: databaseUrl(demo.serverUrl, demo.database).toString() });
  await client.connect();
  try {
    return JSON.stringify(await client.query(`BEGIN; ${sql}`));
  } catch (error) {
    return (error as Error).message;
  } finally {
    await client.end();
  }
}

/** The content of every table, as a superuser sees it. */
async function checksums(): Promise<Record<string, string>> {
  const sums: Record<string, string> = {};
  for (const table of TABLES) {
    const [row] = await demo.asSuperuser<{ sum: string }>(
      `SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) AS sum FROM ${table} AS t`,
    );
    sums[table] = row!.sum;
  }
  return sums;
}
