import { JwtService } from '@nestjs/jwt';
import pg from 'pg';
import { createHmac, randomUUID } from 'node:crypto';
import { DataSource } from 'typeorm';
import { migrationRoleOptions, prepareDatabase } from '../../apps/demo/src/database/prepare-database.js';
import { DEMO_ROLES, loginUrl } from '../../apps/demo/src/database/roles.js';
import { harborClinic } from '../../apps/demo/src/database/seed/harbor-clinic.js';
import { northwindBikes } from '../../apps/demo/src/database/seed/northwind-bikes.js';
import { LAB_QUERIES } from '../../apps/demo/src/lab/lab-queries.js';
import type { LabResult } from '../../apps/demo/src/lab/lab-result.js';
import { Caller, dropDemoDatabase, startDemo, type TestDemo } from './support/demo.js';

interface Row {
  id: string;
  tenantId: string;
}

interface TaskRow extends Row {
  title: string;
  status: string;
  dueDate: string | null;
  project: Row;
  assignee: Row | null;
  tags: Row[];
}

const SECRET = randomUUID() + randomUUID();
const TABLES = ['app_user', 'project', 'tag', 'task', 'task_tag', 'workspace'];

let demo: TestDemo;
let anna: Caller;
let samira: Caller;
const tenants = [
  { workspace: northwindBikes, other: harborClinic, caller: () => anna },
  { workspace: harborClinic, other: northwindBikes, caller: () => samira },
];

beforeAll(async () => {
  process.env.JWT_SECRET = SECRET;
  demo = await startDemo();
  anna = await Caller.signIn(demo.url, 'anna@northwind.example');
  samira = await Caller.signIn(demo.url, 'samira@harbor.example');
}, 60_000);

afterAll(async () => {
  delete process.env.JWT_SECRET;
  await demo?.stop();
});

describe.each(tenants)('$workspace.name', ({ workspace, other, caller }) => {
  const idsInDatabase = async (table: string, tenantId = workspace.id) => {
    const rows = await demo.asSuperuser<{ id: string }>(`SELECT id FROM ${table} WHERE tenant_id = $1`, [
      tenantId,
    ]);
    return rows.map(({ id }) => id).sort();
  };

  it.each([
    ['tasks', 'task'],
    ['projects', 'project'],
    ['tags', 'tag'],
    ['users', 'app_user'],
  ])('GET /api/%s gives all of its own rows and none of anybody else', async (path, table) => {
    const rows = await caller().call<Row[]>('GET', `/api/${path}`);
    const [all] = await demo.asSuperuser<{ count: string }>(`SELECT count(*) FROM ${table}`);

    expect(rows.map(({ id }) => id).sort()).toEqual(await idsInDatabase(table));
    expect(new Set(rows.map(({ tenantId }) => tenantId))).toEqual(new Set([workspace.id]));
    // The control: there is more in the table to be seen.
    expect(await idsInDatabase(table, other.id)).not.toHaveLength(0);
    expect(Number(all!.count)).toBeGreaterThan(rows.length);
  });

  it('lists tasks with a project, an assignee and tags of its own', async () => {
    const tasks = await caller().call<TaskRow[]>('GET', '/api/tasks');
    const related = tasks.flatMap(({ project, assignee, tags }) => [
      project,
      ...(assignee ? [assignee] : []),
      ...tags,
    ]);

    expect(related.length).toBeGreaterThan(tasks.length);
    expect(related.filter(({ tenantId }) => tenantId !== workspace.id)).toEqual([]);
  });

  it('filters its tasks by status', async () => {
    const done = await caller().call<TaskRow[]>('GET', '/api/tasks?status=done');
    const expected = workspace.projects
      .flatMap(({ tasks }) => tasks)
      .filter(({ status }) => status === 'done');

    expect(done.map(({ title }) => title).sort()).toEqual(expected.map(({ title }) => title).sort());
  });

  it('is told who it is, without the password hash', async () => {
    const { body, text } = await caller().request('GET', '/api/me');

    expect(body).toMatchObject({
      email: workspace.users[0]!.email,
      workspace: { id: workspace.id, name: workspace.name },
    });
    expect(text).not.toContain('scrypt');
  });

  it('never gets a password hash with its members', async () => {
    expect((await caller().request('GET', '/api/users')).text).not.toMatch(/password|scrypt/i);
  });

  it('adds, changes and deletes a task, which is its own without saying so', async () => {
    const [project] = await caller().call<Row[]>('GET', '/api/projects');
    const tags = await caller().call<Row[]>('GET', '/api/tags');
    const [user] = await caller().call<Row[]>('GET', '/api/users');
    const tenantOf = async (id: string) =>
      (await demo.asSuperuser('SELECT tenant_id FROM task WHERE id = $1', [id]))[0];

    const created = await caller().call<TaskRow>('POST', '/api/tasks', {
      title: ' <b>Try it</b> ',
      projectId: project!.id,
      assigneeId: user!.id,
      dueDate: '2030-02-28',
      tagIds: [tags[0]!.id, tags[1]!.id],
    });
    expect(created).toMatchObject({
      title: '<b>Try it</b>',
      status: 'todo',
      dueDate: '2030-02-28',
      tenantId: workspace.id,
    });
    expect(created.tags).toHaveLength(2);
    expect(await tenantOf(created.id)).toEqual({ tenant_id: workspace.id });

    const changed = await caller().call<TaskRow>('PATCH', `/api/tasks/${created.id}`, {
      status: 'done',
      assigneeId: null,
      dueDate: null,
      tagIds: [tags[1]!.id],
    });
    expect(changed).toMatchObject({
      status: 'done',
      assignee: null,
      dueDate: null,
      tags: [{ id: tags[1]!.id }],
    });

    expect((await caller().request('DELETE', `/api/tasks/${created.id}`)).status).toBe(204);
    expect(await tenantOf(created.id)).toBeUndefined();
    expect((await caller().request('DELETE', `/api/tasks/${created.id}`)).status).toBe(404);
  });

  it("finds no other tenant's task by its id, to read, change or delete", async () => {
    const [id] = await idsInDatabase('task', other.id);
    const read = () => demo.asSuperuser('SELECT * FROM task WHERE id = $1', [id]);
    const before = await read();

    for (const [method, body] of [['GET'], ['PATCH', { title: 'mine' }], ['DELETE']] as const) {
      expect((await caller().request(method, `/api/tasks/${id}`, body)).status).toBe(404);
    }
    expect(before).toHaveLength(1);
    expect(await read()).toEqual(before);
  });

  it("cannot put a task into another tenant's project, on its members or under its tags", async () => {
    const [ownProject] = await idsInDatabase('project');
    const [project] = await idsInDatabase('project', other.id);
    const [assignee] = await idsInDatabase('app_user', other.id);
    const [tag] = await idsInDatabase('tag', other.id);
    const [ownTask] = await idsInDatabase('task');
    const before = await checksums();

    for (const changes of [{ projectId: project }, { assigneeId: assignee }, { tagIds: [tag] }]) {
      const created = await caller().request('POST', '/api/tasks', {
        title: 'x',
        projectId: ownProject,
        ...changes,
      });
      expect(created.status).toBe(400);
      expect((await caller().request('PATCH', `/api/tasks/${ownTask}`, changes)).status).toBe(400);
    }
    expect(await checksums()).toEqual(before);
  });

  it('may use the name of a tag that others have, but not its own again', async () => {
    const [tag] = await demo.asSuperuser<{ name: string }>(
      'SELECT name FROM tag WHERE tenant_id = $1 AND name NOT IN (SELECT name FROM tag WHERE tenant_id = $2)',
      [other.id, workspace.id],
    );

    expect((await caller().request('POST', '/api/tags', tag)).status).toBe(201);
    expect((await caller().request('POST', '/api/tags', tag)).status).toBe(409);
    await demo.asSuperuser('DELETE FROM tag WHERE tenant_id = $1 AND name = $2', [workspace.id, tag!.name]);
  });

  it('starts a project of its own', async () => {
    const created = await caller().call<Row>('POST', '/api/projects', { name: 'Experiments' });
    const [row] = await demo.asSuperuser('SELECT tenant_id FROM project WHERE id = $1', [created.id]);

    expect(row).toEqual({ tenant_id: workspace.id });
    expect((await caller().request('POST', '/api/projects', { name: 'Experiments' })).status).toBe(409);
    await demo.asSuperuser('DELETE FROM project WHERE id = $1', [created.id]);
  });
});

describe.each(tenants)('the query lab as $workspace.name', ({ workspace, other, caller }) => {
  // What a superuser counts: the tenant's share, and everything.
  const [links, tasks] = ['task_tag', 'task'].map((table) => ({
    share: `SELECT count(*)::int AS count FROM ${table} WHERE tenant_id = '${workspace.id}'`,
    all: `SELECT count(*)::int AS count FROM ${table}`,
  })) as [{ share: string; all: string }, { share: string; all: string }];
  const nothingOf = { share: 'SELECT 0 AS count', all: `${tasks.all} WHERE tenant_id = '${other.id}'` };
  const controls: Record<string, { share: string; all: string }> = {
    join: links,
    tenants: { share: 'SELECT 1 AS count', all: 'SELECT count(*)::int AS count FROM workspace' },
    'other-tenant': nothingOf,
  };
  const count = async (sql: string) => (await demo.asSuperuser<{ count: number }>(sql))[0]!.count;

  it.each(LAB_QUERIES.filter(({ kind }) => kind !== 'refused'))(
    '$id reaches its own rows and no others, and changes nothing',
    async ({ id, kind }) => {
      const before = await checksums();
      const { body, text } = await caller().request('POST', `/api/lab/${id}`);
      const { visible, total, rows, error, affected } = body as LabResult;
      const { share, all } = controls[id] ?? tasks;

      expect({ visible, total, error }).toEqual({
        visible: await count(share),
        total: await count(all),
        error: null,
      });
      expect(total).toBeGreaterThan(visible);
      expect(rows.filter((row) => row.tenant_id !== undefined && row.tenant_id !== workspace.id)).toEqual([]);
      expect(affected).toBe(kind === 'write' ? await count(tasks.share) : null);
      for (const { title } of other.projects.flatMap((project) => project.tasks))
        expect(text).not.toContain(title);
      expect(await checksums()).toEqual(before);
    },
  );

  it('refuses to insert into another tenant, with the error of PostgreSQL', async () => {
    const before = await checksums();
    const result = await caller().call<LabResult>('POST', '/api/lab/insert-other');

    expect(result.parameters[0]).toBe(other.id);
    expect(result.error).toMatchObject({
      code: '42501',
      message: expect.stringContaining('row-level security'),
    });
    expect(await checksums()).toEqual(before);
  });

  it.each(['all-tasks', 'count', 'injection', 'update-all', 'delete-all'])(
    '%s: the plan has the policy as an index condition',
    async (id) => {
      const { plan } = await caller().call<LabResult>('POST', `/api/lab/${id}`);

      expect(plan.join('\n')).toMatch(/Index Cond: \(tenant_id = /);
      expect(plan.join('\n')).toMatch(/actual time/);
    },
  );

  it('runs nothing but the listed statements', async () => {
    for (const id of [
      'SELECT 1',
      '__proto__',
      'constructor',
      '%00',
      '../tasks',
      'all-tasks; DROP TABLE task',
    ]) {
      expect((await caller().request('POST', `/api/lab/${encodeURIComponent(id)}`)).status).toBe(404);
    }
  });
});

describe('signing in', () => {
  it.each([
    ['anna@northwind.example', 'wrong'],
    ['nobody@northwind.example', 'demo'],
    ["' OR 1=1 --", 'demo'],
    ['anna@northwind.example', "' OR '1'='1"],
  ])('%s with password %s is refused with 401', async (email, password) => {
    const { status, body } = await new Caller(demo.url).request('POST', '/api/auth/login', {
      email,
      password,
    });

    expect({ status, body }).toEqual({
      status: 401,
      body: expect.objectContaining({ message: expect.any(String) }),
    });
  });

  it('takes the address in any case', async () => {
    await expect(Caller.signIn(demo.url, 'Anna@Northwind.Example')).resolves.toBeInstanceOf(Caller);
  });

  it('lists the demo accounts without anything secret', async () => {
    const { text } = await new Caller(demo.url).request('GET', '/api/auth/demo-accounts');

    expect(text).toContain('elena@harbor.example');
    expect(text).not.toMatch(/scrypt|passwordHash/);
  });
});

describe('tokens', () => {
  const claims = { sub: randomUUID(), name: 'Mallory', email: 'm@example.com', workspaceId: harborClinic.id };
  const issuer = 'nestjs-rls-tenants-demo';
  const sign = (options: object, payload: object = claims, secret = SECRET) =>
    new JwtService({ secret }).sign(payload, { issuer, ...options });
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const { workspaceId: _, ...noWorkspace } = claims;

  const refused: [string, () => string | undefined][] = [
    ['no token', () => undefined],
    ['an empty token', () => 'Bearer '],
    ['another scheme', () => `Basic ${Buffer.from('anna:demo').toString('base64')}`],
    ['garbage', () => 'Bearer abc.def.ghi'],
    [
      'a token without a signature',
      () => `Bearer ${encode({ alg: 'none', typ: 'JWT' })}.${encode({ ...claims, iss: issuer })}.`,
    ],
    ['a token signed with another secret', () => `Bearer ${sign({}, claims, 'x'.repeat(40))}`],
    ['a token signed with another algorithm', () => `Bearer ${sign({ algorithm: 'HS512' })}`],
    ['a token of another issuer', () => `Bearer ${sign({ issuer: 'somebody' })}`],
    ['an expired token', () => `Bearer ${sign({ expiresIn: -1 })}`],
    ['a token without a workspace', () => `Bearer ${sign({}, noWorkspace)}`],
    [
      'a token whose workspace is an object',
      () => `Bearer ${sign({}, { ...claims, workspaceId: { $ne: '' } })}`,
    ],
    ['a token whose payload was replaced', () => tampered()],
  ];

  it.each(refused)('%s is refused with 401 everywhere', async (_, authorization) => {
    const stranger = new Caller(demo.url, authorization());
    for (const [method, path] of [
      ['GET', '/api/me'],
      ['GET', '/api/users'],
      ['GET', '/api/tasks'],
      ['GET', '/api/projects'],
      ['GET', '/api/tags'],
      ['GET', '/api/lab'],
      ['POST', '/api/lab/all-tasks'],
      ['DELETE', `/api/tasks/${randomUUID()}`],
    ] as const) {
      expect((await stranger.request(method, path)).status).toBe(401);
    }
  });

  it('a properly signed token gets its own tenant and nothing else', async () => {
    const member = new Caller(demo.url, `Bearer ${sign({ expiresIn: 60 })}`);

    const tenantIds = (await member.call<Row[]>('GET', '/api/tasks')).map(({ tenantId }) => tenantId);
    expect(new Set(tenantIds)).toEqual(new Set([harborClinic.id]));
  });

  it.each([
    "' OR 1=1 --",
    'undefined',
    `${harborClinic.id} `,
    `{${harborClinic.id}}`,
    '*',
    '%',
    '0',
    harborClinic.id.slice(1),
  ])('the tenant id %j, though properly signed, is refused with 400', async (workspaceId) => {
    const caller = new Caller(demo.url, `Bearer ${sign({}, { ...claims, workspaceId })}`);

    expect((await caller.request('GET', '/api/tasks')).status).toBe(400);
  });

  it('a tenant in a header, in the query or in the body changes nothing', async () => {
    const { status } = await anna.request('GET', `/api/tasks?tenantId=${harborClinic.id}`);
    const token = sign({}, { ...claims, workspaceId: northwindBikes.id });
    const response = await fetch(`${demo.url}/api/tasks`, {
      headers: { authorization: `Bearer ${token}`, 'x-tenant-id': harborClinic.id },
    });

    expect(status).toBe(400);
    expect(new Set(((await response.json()) as Row[]).map(({ tenantId }) => tenantId))).toEqual(
      new Set([northwindBikes.id]),
    );
  });

  function tampered(): string {
    const [header, , signature] = sign({}).split('.');
    const forged = `${header}.${encode({ ...claims, iss: issuer, workspaceId: northwindBikes.id })}`;
    // Even with the right form: the old signature, and one made with an empty key.
    expect(createHmac('sha256', '').update(forged).digest('base64url')).not.toBe(signature);
    return `Bearer ${forged}.${signature}`;
  }
});

describe('hostile input', () => {
  const projectId = randomUUID();
  const task = { title: 'x', projectId };

  it.each<[string, unknown]>([
    ['a tenant of its choice', { ...task, tenantId: harborClinic.id }],
    ['a tenant column', { ...task, tenant_id: harborClinic.id }],
    ['an id of its choice', { ...task, id: randomUUID() }],
    ['a nested project', { title: 'x', project: { id: projectId, name: 'y' } }],
    ['no title', { projectId }],
    ['an empty title', { ...task, title: ' \n ' }],
    ['a number for a title', { ...task, title: 1 }],
    ['an object for a title', { ...task, title: { length: 1 } }],
    ['NUL in the title', { ...task, title: 'a\0b' }],
    ['half a surrogate pair in the title', { ...task, title: 'a\ud800b' }],
    ['a title that is too long', { ...task, title: 'x'.repeat(201) }],
    ['a project that is no uuid', { title: 'x', projectId: "1' OR '1'='1" }],
    ['a list for a project', { title: 'x', projectId: [projectId] }],
    ['an unknown status', { ...task, status: "done'; DROP TABLE task; --" }],
    ['an inherited status', { ...task, status: 'constructor' }],
    ['a day that does not exist', { ...task, dueDate: '2030-02-30' }],
    ['a day in the year 0', { ...task, dueDate: '0000-01-01' }],
    ['infinity for a day', { ...task, dueDate: 'infinity' }],
    ['tags that are no list', { ...task, tagIds: { 0: projectId, length: 1 } }],
    ['too many tags', { ...task, tagIds: Array.from({ length: 11 }, () => randomUUID()) }],
    ['a list', [task]],
    ['null', 'null'],
    ['a string', '"x"'],
    ['broken JSON', '{"title":'],
    ['a prototype', '{"__proto__":{"title":"x"},"constructor":{"prototype":{"title":"x"}}}'],
  ])('POST /api/tasks with %s is refused with 400', async (_, body) => {
    expect((await anna.request('POST', '/api/tasks', body)).status).toBe(400);
  });

  it.each([
    'status=open',
    'status=todo&status=done',
    'status[]=todo',
    'status[$ne]=todo',
    'projectId=1',
    'where=1',
    'status=',
  ])('GET /api/tasks?%s is refused with 400', async (query) => {
    expect((await anna.request('GET', `/api/tasks?${query}`)).status).toBe(400);
  });

  it.each(['1', 'undefined', '%27%20OR%201=1', '%00', `${northwindBikes.id}x`, `{${northwindBikes.id}}`])(
    'a task with the id %s is refused with 400',
    async (id) => {
      for (const method of ['GET', 'DELETE']) {
        expect((await anna.request(method, `/api/tasks/${id}`)).status).toBe(400);
      }
    },
  );

  it.each<[string, unknown]>([
    ['no password', { email: 'anna@northwind.example' }],
    ['a password that is an object', { email: 'anna@northwind.example', password: { $ne: '' } }],
    ['a list of addresses', { email: ['anna@northwind.example'], password: 'demo' }],
    ['NUL in the address', { email: 'anna@northwind.example\0', password: 'demo' }],
    [
      'a tenant of its choice',
      { email: 'anna@northwind.example', password: 'demo', workspaceId: harborClinic.id },
    ],
  ])('signing in with %s is refused with 400', async (_, body) => {
    expect((await new Caller(demo.url).request('POST', '/api/auth/login', body)).status).toBe(400);
  });
});

describe('at the same time', () => {
  it('both tenants hammer every endpoint, and each answer holds its own rows only', async () => {
    const requests: [string, string][] = [
      ['GET', '/api/tasks'],
      ['GET', '/api/tasks?status=todo'],
      ['GET', '/api/projects'],
      ['GET', '/api/tags'],
      ['GET', '/api/users'],
      ['GET', '/api/me'],
      ...LAB_QUERIES.filter(({ parameters }) => parameters.length === 0).map(({ id }): [string, string] => [
        'POST',
        `/api/lab/${id}`,
      ]),
    ];
    const rounds = Array.from({ length: 12 }, () => requests).flat();
    const answers = await Promise.all(
      rounds.flatMap(([method, path]) =>
        tenants.map(async ({ workspace, other, caller }) => {
          const { status, text } = await caller().request(method, path);
          return { path, status, leaks: text.includes(other.id), own: text.includes(workspace.id) };
        }),
      ),
    );

    expect(answers).toHaveLength(rounds.length * 2);
    expect(answers.filter(({ status, leaks }) => leaks || status >= 300)).toEqual([]);
    expect(answers.filter(({ path, own }) => path === '/api/tasks' && !own)).toEqual([]);
  });
});

describe('the page and the documentation', () => {
  it('are served with a policy that allows no foreign and no inline script', async () => {
    for (const path of ['/', '/app.js', '/api/docs']) {
      const response = await fetch(demo.url + path);
      const policy = response.headers.get('content-security-policy');

      expect(response.status).toBe(200);
      expect(policy).toMatch(/default-src 'none'.*script-src 'self';/);
      expect(response.headers.get('x-content-type-options')).toBe('nosniff');
    }
  });

  it('describe each operation and the form of its input', async () => {
    const { paths } = await new Caller(demo.url).call<{ paths: Record<string, Record<string, object>> }>(
      'GET',
      '/api/docs-json',
    );

    expect(Object.keys(paths)).toEqual(
      expect.arrayContaining(['/api/tasks', '/api/tasks/{id}', '/api/lab/{queryId}', '/api/me']),
    );
    expect(JSON.stringify(paths['/api/tasks']!.post)).toContain('"required":["title","projectId"]');
  });
});

describe('the database', () => {
  it('is as the entities describe it: migration:generate finds no difference', async () => {
    const dataSource = await new DataSource(migrationRoleOptions(demo.serverUrl, demo.database)).initialize();
    const { upQueries } = await dataSource.driver.createSchemaBuilder().log();
    await dataSource.destroy();

    expect(upQueries.map(({ query }) => query)).toEqual([]);
  });

  it('is prepared once, however often and by however many at the same time', async () => {
    const before = await checksums();
    await Promise.all([1, 2, 3].map(() => prepareDatabase(demo.serverUrl, demo.database)));

    expect(await checksums()).toEqual(before);
  });

  it('keeps the workspaces themselves by grants: a request can neither rename nor delete one', async () => {
    const app = new pg.Client({
      connectionString: loginUrl(demo.serverUrl, demo.database, DEMO_ROLES.appRole),
    });
    await app.connect();

    await prepareDatabase(demo.serverUrl, demo.database);
    for (const sql of [
      "UPDATE workspace SET name = 'mine'",
      'DELETE FROM workspace',
      'TRUNCATE workspace CASCADE',
    ]) {
      await expect(app.query(sql)).rejects.toMatchObject({ code: '42501' });
    }
    await app.end();
  });

  it('has migrations that can be taken back without a trace', async () => {
    const database = `rls_demo_${randomUUID().slice(0, 8)}`;
    await prepareDatabase(demo.serverUrl, database);
    const dataSource = await new DataSource(migrationRoleOptions(demo.serverUrl, database)).initialize();
    for (const _ of dataSource.migrations) await dataSource.undoLastMigration();
    const left = await dataSource.query<{ name: string }[]>(
      "SELECT relname AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v', 'S') UNION ALL SELECT typname FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typtype = 'e'",
    );
    await dataSource.destroy();
    await dropDemoDatabase(demo.serverUrl, database);

    expect(left.map(({ name }) => name).filter((name) => !name.startsWith('migrations'))).toEqual([]);
  });
});

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
