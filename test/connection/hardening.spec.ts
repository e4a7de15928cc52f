import pg from 'pg';
import Cursor from 'pg-cursor';
import QueryStream from 'pg-query-stream';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import type { DataSource } from 'typeorm';
import {
  adminContext,
  currentTenantContext,
  tenantContext,
  withoutTenant,
} from '../../libs/rls-tenants/src/context/tenant-context.js';
import { isolateDataSource, TenantSubscriber } from '../../libs/rls-tenants/src/connection/index.js';
import { isTransactionControl } from '../../libs/rls-tenants/src/connection/transaction-control.js';
import { NoTenantContextError, RlsConfigurationError } from '../../libs/rls-tenants/src/errors.js';
import { A, B, Note, Notebook, NOTES, Tag } from '../support/notes.js';
import { createProtectedDatabase, type ProtectedDatabase } from '../support/protected-database.js';

const BODIES = 'SELECT body FROM note ORDER BY body';

/** The pool below a data source, as an application may use it directly. */
function poolOf(dataSource: DataSource): pg.Pool {
  return (dataSource.driver as unknown as { master: pg.Pool }).master;
}

const bodies = (rows: { body: string }[]) => rows.map(({ body }) => body);

describe('what applications do to a connection', () => {
  let db: ProtectedDatabase;
  /** One connection, so that what one statement leaves behind meets the next. */
  let ds: DataSource;
  let client: pg.PoolClient;

  beforeAll(async () => {
    db = await createProtectedDatabase(NOTES);
    await db.asSuperuser(`INSERT INTO note (tenant_id, body) VALUES ('${A}', 'a'), ('${B}', 'b')`);
  });
  beforeEach(async () => {
    ds = await db.isolated({ onMissingTenant: 'empty' }, { poolSize: 1 });
    client = await poolOf(ds).connect();
  });
  afterEach(() => client.release());
  afterAll(() => db.drop());

  it('control: both tenants have a row', async () => {
    expect(bodies(await db.asSuperuser(BODIES))).toEqual(['a', 'b']);
  });

  describe('a client that is given back in the middle of a transaction is thrown away', () => {
    it.each(['BEGIN', 'BEGIN; SELECT nonsense'])(
      'after %s: what the next caller writes is kept',
      async (left) => {
        const pool = poolOf(await db.isolated({}, { poolSize: 1 }));
        const backend = async () =>
          (await pool.query('SELECT pg_backend_pid() AS pid')).rows[0].pid as number;
        const before = await tenantContext(A, backend);
        const careless = await pool.connect();
        await tenantContext(A, () => careless.query(left)).catch(() => {});
        careless.release();

        await tenantContext(B, () => pool.query("INSERT INTO note (body) VALUES ('kept')"));

        expect(bodies(await db.asSuperuser("SELECT body FROM note WHERE body = 'kept'"))).toEqual(['kept']);
        expect(await tenantContext(A, backend)).not.toBe(before);
        await db.asSuperuser("DELETE FROM note WHERE body = 'kept'");
      },
    );
  });

  describe('callbacks and listeners act for whoever issued the statement, not for whoever opened the connection', () => {
    let openedByA: pg.PoolClient;
    let seen: (resolve: (rows: string[]) => void, reject: (error: Error) => void) => void;

    beforeEach(async () => {
      const another = await db.isolated({ onMissingTenant: 'empty' }, { poolSize: 2 });
      const initial = await poolOf(another).connect(); // the connection that initialize() opened
      openedByA = await tenantContext(A, () => poolOf(another).connect());
      initial.release();
      seen = (resolve, reject) => void another.query(BODIES).then((rows) => resolve(bodies(rows)), reject);
    });
    afterEach(() => openedByA.release());

    const continuations: [string, (next: () => void) => void][] = [
      ['a callback of client.query', (next) => openedByA.query('SELECT 1', next)],
      ['a callback with values', (next) => openedByA.query('SELECT $1::int', [1], next)],

      ['a callback of BEGIN', (next) => openedByA.query('BEGIN', () => openedByA.query('COMMIT', next))],
      ['a callback of a Query that is a BEGIN', (next) => openedByA.query(new pg.Query('ROLLBACK', next))],
      ['a callback that gets an error', (next) => openedByA.query('SELECT 1/0', next)],
      ['a row listener of a Query', (next) => openedByA.query(new pg.Query('SELECT 1')).on('row', next)],
      ['a callback of a Query', (next) => openedByA.query(new pg.Query('SELECT 1', next))],
      [
        'a callback of a cursor',
        (next) => {
          const cursor = openedByA.query(new Cursor('SELECT 1'));
          cursor.read(2, next);
        },
      ],
      [
        'a listener on COPY … TO STDOUT',
        (next) => openedByA.query(copyTo('COPY (SELECT 1) TO STDOUT')).on('end', next).resume(),
      ],
      [
        'a listener on a failing COPY … TO STDOUT',
        (next) => openedByA.query(copyTo('COPY nothing TO STDOUT')).on('error', next).resume(),
      ],
      [
        'a listener on COPY … FROM STDIN',
        (next) => openedByA.query(copyFrom('COPY country (name) FROM STDIN')).on('finish', next).end(),
      ],
    ];

    it.each(continuations)('%s', async (_name, continuation) => {
      const rows = await tenantContext(
        B,
        () => new Promise<string[]>((resolve, reject) => continuation(() => seen(resolve, reject))),
      );
      expect(rows).toEqual(['b']);
    });

    it('a callback of pool.query, and a listener on a stream', async () => {
      const another = await db.isolated(
        { onMissingTenant: 'empty' },
        { poolSize: 2, extra: { idleTimeoutMillis: 1 } },
      );
      await new Promise((done) => setTimeout(done, 50));
      expect(poolOf(another).totalCount).toBe(0);
      await tenantContext(A, () => another.query('SELECT 1')); // opens it
      const fromCallback = tenantContext(
        B,
        () =>
          new Promise((resolve) => {
            poolOf(another).query('SELECT 1', () => resolve(another.query(BODIES)));
          }),
      );
      expect(await fromCallback).toEqual([{ body: 'b' }]);
      const runner = another.createQueryRunner();
      const fromListener = tenantContext(B, async () => {
        const stream = await runner.stream('SELECT 1');
        return new Promise((resolve) => stream.on('data', () => resolve(another.query(BODIES))));
      });
      expect(await fromListener).toEqual([{ body: 'b' }]);
      await runner.release();
    });

    it('what a connection emits by itself is nobody’s', async () => {
      const notified = new Promise((resolve) => {
        openedByA.once('notification', () => resolve(currentTenantContext().kind));
      });
      await tenantContext(B, () => openedByA.query("LISTEN news; NOTIFY news, 'x'"));
      expect(await notified).toBe('nobody');
    });
  });

  describe('a Query that is submitted again', () => {
    const submit = (query: pg.Query) =>
      new Promise<string[]>((resolve, reject) => {
        const rows: { body: string }[] = [];
        query.removeAllListeners();
        query.on('row', (row) => rows.push(row as { body: string }));
        query.on('end', () => resolve(bodies(rows)));
        query.on('error', reject);
        client.query(query);
      });

    it.each([
      ['simple', { text: BODIES }],
      ['extended', { text: BODIES, queryMode: 'extended' }],
      ['named', { text: BODIES, name: 'bodies' }],
    ])('carries its last caller only (%s)', async (_name, config) => {
      const query = new pg.Query(config as pg.QueryConfig);
      const again = () => submit(query);
      expect(await adminContext('control', again)).toEqual(['a', 'b']);
      expect(await tenantContext(B, again)).toEqual(['b']);
      expect(await withoutTenant(again)).toEqual([]);
      expect(await tenantContext(A, again)).toEqual(['a']);
    });
  });

  describe('a statement reports the same error as without the tenant in front', () => {
    type Outcome = { rows: number } | { code?: string; message: string; position?: string };
    const outcome = (query: Promise<pg.QueryResult>): Promise<Outcome> =>
      query.then(
        ({ rows }) => ({ rows: rows.length }),
        ({ code, message, position }: pg.DatabaseError) => ({ code, message, position }) as Outcome,
      );
    const unsendable = {
      toPostgres() {
        throw new Error('cannot be sent');
      },
    };
    const configs: [string, object][] = [
      ['no text', {}],
      ['an empty text', { text: '' }],
      ['an empty extended text', { text: '', queryMode: 'extended' }],
      ['an empty paged text', { text: '', rows: 1 }],
      ['a comment only', { text: '-- nothing' }],
      ['semicolons only', { text: ';;' }],
      ['a syntax error', { text: 'SELECT 1 FRM note' }],
      ['an unknown column', { text: 'SELECT id, nothing FROM note' }],
      ['an unknown column, named', { text: 'SELECT id, nothing FROM note', name: 'unknown' }],
      ['a syntax error with values', { text: 'SELECT $1 FRM note', values: [1] }],
      ['values that are no array', { text: 'SELECT $1', values: 'x' }],
      ['a value that cannot be sent', { text: 'SELECT $1', values: [unsendable] }],
      ['a value that cannot be sent, named', { text: 'SELECT $1', values: [unsendable], name: 'bad' }],
      ['a value that cannot be sent, paged', { text: 'SELECT $1', values: [unsendable], rows: 1 }],
      ['a NUL in a value', { text: 'SELECT $1::text', values: ['a\0b'] }],
      ['a paged result', { text: 'SELECT generate_series(1, 5)', rows: 2 }],
      ['a binary result', { text: 'SELECT 1', values: [], binary: true }],
    ];

    it.each(configs)('%s', async (_name, config) => {
      const plain = await poolOf(await db.plain({ poolSize: 1 })).connect();
      const expected = [
        await outcome(plain.query(config as never)),
        await outcome(plain.query(config as never)),
      ];
      plain.release();
      const inContext = () => tenantContext(A, () => outcome(client.query(config as never)));
      expect([await inContext(), await inContext()]).toEqual(expected);
      expect(bodies((await tenantContext(B, () => client.query(BODIES))).rows)).toEqual(['b']);
    });

    it('a Query, also when it is prepared by name, and COPY', async () => {
      const errorOf = (submit: (reject: (error: Error) => void) => void) =>
        tenantContext(A, () => new Promise(submit));
      for (let n = 0; n < 3; n++) {
        const named = { name: 'query', text: 'SELECT id, nothing FROM note' };
        expect(await errorOf((reject) => client.query(new pg.Query(named, reject as never)))).toMatchObject({
          code: '42703',
          position: '12',
        });
      }
      expect(await errorOf((reject) => client.query(new pg.Query('SELEC', reject as never)))).toMatchObject({
        position: '1',
      });
      expect(
        await errorOf((reject) => client.query(copyTo('COPI')).on('error', reject).resume()),
      ).toMatchObject({ position: '1' });
      expect(await errorOf((reject) => client.query(copyFrom('COPI')).on('error', reject))).toMatchObject({
        position: '1',
      });
      expect(bodies((await tenantContext(B, () => client.query(BODIES))).rows)).toEqual(['b']);
    });

    it('a callback that is no function', () => {
      expect(() => tenantContext(A, () => client.query('SELECT 1', [], {} as never))).toThrow(
        new TypeError('callback is not a function'),
      );
    });
  });

  describe('a read timeout that strikes before the front is answered', () => {
    const submittable = <T extends pg.Submittable>(query: T) => Object.assign(query, { query_timeout: 30 });
    const timedOut = new Error('Query read timeout');
    const statements: [string, () => Promise<unknown>][] = [
      ['a simple statement', () => client.query({ text: BODIES, query_timeout: 30 } as never)],
      [
        'a statement with values',
        () => client.query({ text: 'SELECT $1', values: [1], query_timeout: 30 } as never),
      ],
      ['a paged statement', () => client.query({ text: BODIES, rows: 1, query_timeout: 30 } as never)],
      ['a named statement', () => client.query({ text: BODIES, name: 'late', query_timeout: 30 } as never)],
      [
        'a Query',
        () =>
          new Promise((_, reject) =>
            client.query(submittable(new pg.Query({ text: BODIES, rows: 1 } as never, reject as never))),
          ),
      ],
      ['a cursor', () => client.query(submittable(new Cursor(BODIES))).read(1)],
    ];

    it.each(statements)('%s leaves the connection in step', async (_name, statement) => {
      const { stream } = (client as unknown as { connection: { stream: NodeJS.ReadableStream } }).connection;
      stream.pause(); // the network stalls
      await expect(tenantContext(A, statement)).rejects.toEqual(timedOut);
      const following = [
        tenantContext(B, () => client.query(BODIES)),
        tenantContext(A, () => client.query(BODIES)),
      ];
      stream.resume();
      const [b, a] = await Promise.all(following);
      expect([bodies(b!.rows), bodies(a!.rows)]).toEqual([['b'], ['a']]);
      expect((await client.query(BODIES)).rows).toEqual([]);
    });
  });

  describe('a data source', () => {
    it('that is destroyed and initialised again is still isolated', async () => {
      const again = await db.isolated();
      await again.destroy();
      await again.initialize();
      const read = (tenantId: string) =>
        tenantContext(tenantId, async () => {
          const runner = again.createQueryRunner();
          const stream = await runner.stream(BODIES);
          const streamed = (await stream.toArray()) as { body: string }[];
          await runner.release();
          return [
            bodies(await again.query(BODIES)),
            bodies(await again.getRepository(Note).find()),
            bodies((await poolOf(again).query(BODIES)).rows),
            bodies(streamed),
          ];
        });
      expect(await Promise.all([read(A), read(B)])).toEqual([Array(4).fill(['a']), Array(4).fill(['b'])]);
      await expect(again.query(BODIES)).rejects.toThrow(NoTenantContextError);
      expect(again.subscribers.filter((each) => each instanceof TenantSubscriber)).toHaveLength(1);
      await tenantContext(A, async () => {
        const saved = await again.getRepository(Note).save({ body: 'stamped' });
        expect(saved.tenantId).toBe(A);
        await again.getRepository(Note).delete({ id: saved.id });
      });
    });

    it('is isolated once, however many ask at the same time', async () => {
      const plain = await db.plain();
      const options = { tenantIdType: 'uuid', adminRole: db.roles.admin } as const;
      const outcomes = await Promise.allSettled([1, 2, 3].map(() => isolateDataSource(plain, options)));
      expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected']);
      expect(bodies(await tenantContext(A, () => plain.query(BODIES)))).toEqual(['a']);
    });

    it('shows nothing to a connection that was taken before it was isolated', async () => {
      const plain = await db.plain({ poolSize: 2 });
      const runner = plain.createQueryRunner();
      await runner.connect();
      await isolateDataSource(plain, {
        tenantIdType: 'uuid',
        adminRole: db.roles.admin,
        onMissingTenant: 'empty',
      });
      const streamed = async () => (await runner.stream(BODIES)).toArray();
      expect(await tenantContext(A, streamed)).toEqual([]); // no subscriber sees a stream
      expect(await tenantContext(A, () => runner.query(BODIES))).toEqual([{ body: 'a' }]);
      expect(await tenantContext(B, streamed)).toEqual([{ body: 'b' }]);
      await runner.release();
    });
  });

  describe('an admin role that does not exist', () => {
    const statements: [string, (on: pg.PoolClient) => Promise<unknown>][] = [
      ['a simple statement', (on) => on.query(BODIES)],
      ['a named statement', (on) => on.query({ text: BODIES, name: 'bodies' })],
      ['a cursor', (on) => on.query(new Cursor(BODIES)).read(1)],
      ['a stream', (on) => on.query(new QueryStream(BODIES)).toArray()],
      [
        'a Query',
        (on) =>
          new Promise((_, reject) =>
            on.query(new pg.Query({ text: BODIES, name: 'bodies' }, reject as never)),
          ),
      ],
      [
        'COPY … TO STDOUT',
        (on) =>
          new Promise((_, reject) => on.query(copyTo('COPY note TO STDOUT')).on('error', reject).resume()),
      ],
      [
        'COPY … FROM STDIN',
        (on) => new Promise((_, reject) => on.query(copyFrom('COPY note FROM STDIN')).on('error', reject)),
      ],
    ];

    it.each(statements)('fails %s with what to do, and nothing after it', async (_name, statement) => {
      const broken = await db.isolated(
        { onMissingTenant: 'empty', adminRole: 'no_such_role' },
        { poolSize: 1 },
      );
      const on = await poolOf(broken).connect();
      for (let n = 0; n < 2; n++) {
        const failure = adminContext('probe', () => statement(on));
        await expect(failure).rejects.toThrow(RlsConfigurationError);
      }
      const named = () => on.query({ text: BODIES, name: 'bodies' });
      expect(bodies((await tenantContext(B, named)).rows)).toEqual(['b']);
      expect((await on.query(BODIES)).rows).toEqual([]);
      on.release();
    });
  });

  describe('what application code leaves on a connection', () => {
    it('an open transaction: the next caller is neither its tenant nor its admin', async () => {
      await tenantContext(A, async () => {
        await client.query('BEGIN');
        await adminContext('probe', () => client.query(BODIES));
      });
      client.release();
      client = await poolOf(ds).connect();
      expect((await client.query(BODIES)).rows).toEqual([]);
      expect(bodies((await tenantContext(B, () => client.query(BODIES))).rows)).toEqual(['b']);
      await client.query('ROLLBACK');
    });

    it('COMMIT AND CHAIN after an admin’s statement: the chained transaction is its callers’', async () => {
      const read = async () => bodies((await client.query(BODIES)).rows);
      await client.query('BEGIN');
      expect(await adminContext('probe', read)).toEqual(['a', 'b']);
      await client.query('COMMIT AND CHAIN');
      expect(await tenantContext(A, read)).toEqual(['a']);
      expect(await read()).toEqual([]);
      await client.query('ROLLBACK');
    });

    it('a tenant setting of its own for the session reaches nobody but what nobody sends', async () => {
      const read = async () => bodies((await client.query(BODIES)).rows);
      await client.query("SELECT set_config('rls.current_tenant', $1, false)", [A]);
      expect(await tenantContext(B, read)).toEqual(['b']);
      expect(await adminContext('probe', read)).toEqual(['a', 'b']);
      await client.query('BEGIN');
      expect(await read()).toEqual([]); // in a transaction nobody carries, too
      await client.query('COMMIT');
      // A single statement of nobody carries nothing, so that maintenance works. The default refuses it.
      expect(await read()).toEqual(['a']);
      const strict = await db.isolated({}, { poolSize: 1 });
      await strict.query("SELECT set_config('rls.current_tenant', $1, false)", [A]);
      await expect(strict.query(BODIES)).rejects.toThrow(NoTenantContextError);
      await client.query('RESET ALL');
    });

    it('a statement prepared in SQL by an admin is executed for its caller', async () => {
      const execute = async () => bodies((await client.query('EXECUTE bodies')).rows);
      await adminContext('probe', () => client.query(`PREPARE bodies AS ${BODIES}`));
      expect(await tenantContext(A, execute)).toEqual(['a']);
      expect(await adminContext('probe', execute)).toEqual(['a', 'b']);
      expect(await tenantContext(B, execute)).toEqual(['b']);
      expect(await execute()).toEqual([]);
      await client.query('DEALLOCATE bodies');
    });
  });

  it('a long run of blanks behind a transaction keyword costs no time', () => {
    const started = performance.now();
    expect(isTransactionControl(`BEGIN${' '.repeat(100_000)}(`)).toBe(false);
    expect(isTransactionControl(`BEGIN${' '.repeat(100_000)}; `)).toBe(true);
    expect(performance.now() - started).toBeLessThan(1000);
  });

  it('a text that commits in its middle sees nothing behind the COMMIT, as tenant or admin', async () => {
    const text = `BEGIN; ${BODIES}; COMMIT; ${BODIES}`;
    const read = async () =>
      ((await client.query(text)) as unknown as pg.QueryResult<{ body: string }>[])
        .filter(({ command }) => command === 'SELECT')
        .map(({ rows }) => bodies(rows));
    expect(await tenantContext(A, read)).toEqual([['a'], []]);
    expect(await adminContext('probe', read)).toEqual([['a', 'b'], []]);
  });

  it('subscribers that query while an entity is inserted see its tenant’s rows', async () => {
    const seen: string[][] = [];
    const nosy = await db.isolated({}, { poolSize: 3 });
    nosy.subscribers.push({
      // The name that TypeORM 0.3 and 1.x have both for the data source.
      beforeInsert: async ({ manager, connection }) => {
        seen.push(bodies(await manager.query(BODIES)), bodies(await connection.query(BODIES)));
      },
    });
    for (const tenantId of [A, B]) {
      await tenantContext(tenantId, () => nosy.getRepository(Tag).save({ name: 'passing' }));
    }
    expect(seen).toEqual([['a'], ['a'], ['b'], ['b']]);
  });

  describe('auto-scoping changes nothing of what is seen', () => {
    let unscoped: DataSource;
    beforeAll(async () => {
      unscoped = await db.isolated({ autoScope: false });
      for (const tenantId of [A, B]) {
        await tenantContext(tenantId, async () => {
          const tags = [Object.assign(new Tag(), { name: 'tag' })];
          const notes = ['x', 'y'].map((body) => Object.assign(new Note(), { body, tags }));
          await unscoped.getRepository(Notebook).save({ title: 'book', notes });
        });
      }
    });
    afterAll(() =>
      db.asSuperuser("DELETE FROM note_tags_tag; DELETE FROM note WHERE body IN ('x', 'y'); DELETE FROM tag"),
    );

    const shapes: [string, (on: DataSource) => Promise<unknown>][] = [
      ['an alias with a quote', (on) => on.createQueryBuilder(Note, 'odd "alias').getCount()],
      ['an alias with a dot', (on) => on.createQueryBuilder(Note, 'a.b').getCount()],
      [
        'a sub-select in FROM',
        (on) =>
          on
            .createQueryBuilder()
            .select('s.body')
            .from((sub) => sub.select('n.body', 'body').from(Note, 'n'), 's')
            .orderBy('body')
            .getRawMany(),
      ],
      [
        'a joined sub-select',
        (on) =>
          on
            .createQueryBuilder(Note, 'n')
            .innerJoin((sub) => sub.select('m.id', 'other').from(Note, 'm'), 's', 's.other = n.id')
            .getCount(),
      ],
      [
        'a join by table name',
        (on) => on.createQueryBuilder(Note, 'n').leftJoin('country', 'c', 'c.id = n.id').getCount(),
      ],
      [
        'a CTE',
        (on) =>
          on
            .createQueryBuilder()
            .addCommonTableExpression(on.createQueryBuilder(Note, 'n').select('n.body', 'body'), 'x')
            .select('x.body')
            .from('x', 'x')
            .orderBy('body')
            .getRawMany(),
      ],
      [
        'EXISTS',
        (on) =>
          on
            .createQueryBuilder(Notebook, 'b')
            .whereExists(on.createQueryBuilder(Note, 'n').where('n.notebook = b.id'))
            .getCount(),
      ],
      [
        'a page of joined entities',
        (on) =>
          on
            .createQueryBuilder(Notebook, 'b')
            .leftJoinAndSelect('b.notes', 'n')
            .leftJoinAndSelect('n.tags', 't')
            .orderBy('n.body')
            .take(1)
            .getManyAndCount()
            .then(([[book], total]) => [book!.notes.map(({ tags }) => tags.length), total]),
      ],
      ['OR', (on) => on.createQueryBuilder(Note, 'n').where('n.id < 0').orWhere('1 = 1').getCount()],
      ['a clone', (on) => on.createQueryBuilder(Note, 'n').clone().getCount()],
      ['several WHEREs', (on) => on.getRepository(Note).countBy([{ body: 'a' }, { body: 'x' }])],
      [
        'a row lock',
        (on) =>
          on.transaction(
            async (manager) =>
              (await manager.createQueryBuilder(Note, 'n').setLock('pessimistic_write').getMany()).length,
          ),
      ],
      [
        'UPDATE … OR',
        async (on) =>
          (await on.createQueryBuilder().update(Tag).set({ name: 'tag' }).where('id < 0 OR 1 = 1').execute())
            .affected,
      ],
      ['increment', async (on) => (await on.getRepository(Note).increment({ body: 'x' }, 'id', 0)).affected],
    ];

    it.each(shapes)('%s', async (_name, shape) => {
      const expected = await tenantContext(A, () => shape(unscoped));
      client.release();
      expect(await tenantContext(A, () => shape(ds))).toEqual(expected);
      client = await poolOf(ds).connect();
      expect(JSON.stringify(expected)).not.toMatch(/^(?:0|\[\])$/); // something is seen
    });

    it('a query text that another tenant’s context wrote sees nothing', async () => {
      const text = tenantContext(A, () => ds.createQueryBuilder(Note, 'n').select('n.id').getQuery());
      const counted = `SELECT count(*)::int AS rows FROM note WHERE id IN (${text})`;
      expect(await tenantContext(A, () => unscoped.query(counted))).toEqual([{ rows: 3 }]);
      expect(await tenantContext(B, () => unscoped.query(counted))).toEqual([{ rows: 0 }]);
    });
  });
});
