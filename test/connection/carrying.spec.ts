import pg from 'pg';
import Cursor from 'pg-cursor';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import { text as readAll } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import type { DataSource } from 'typeorm';
import {
  adminContext,
  tenantContext,
  withoutTenant,
} from '../../libs/rls-tenants/src/context/tenant-context.js';
import { A, B, Note, Notebook, NOTES, Tag } from '../support/notes.js';
import { createProtectedDatabase, type ProtectedDatabase } from '../support/protected-database.js';
import { TELL_AT_COMMIT, WAIT_FOR_COMMIT } from '../support/tell-at-commit.js';

/** The pool below a data source, as an application may use it directly. */
function poolOf(dataSource: DataSource): pg.Pool {
  return (dataSource.driver as unknown as { master: pg.Pool }).master;
}

const bodies = (rows: { body: string }[]) => rows.map(({ body }) => body).sort();

describe('every statement carries its caller’s tenant', () => {
  let db: ProtectedDatabase;
  let ds: DataSource;
  /** The same, where a statement without a tenant is sent and sees nothing. */
  let lenient: DataSource;
  let single: DataSource;

  beforeAll(async () => {
    db = await createProtectedDatabase(NOTES);
    [ds, lenient, single] = await Promise.all([
      db.isolated(),
      db.isolated({ onMissingTenant: 'empty' }),
      db.isolated({ onMissingTenant: 'empty' }, { poolSize: 1 }),
    ]);
    for (const [tenantId, name] of [
      [A, 'a'],
      [B, 'b'],
    ] as const) {
      await tenantContext(tenantId, async () => {
        const tags = [Object.assign(new Tag(), { name: `${name}-tag` })];
        const notes = [1, 2].map((n) => Object.assign(new Note(), { body: `${name}${n}`, tags }));
        await ds.getRepository(Notebook).save({ title: `${name}-book`, notes });
      });
    }
  });
  afterAll(() => db.drop());

  it('control: the other tenant’s rows exist', async () => {
    expect(bodies(await db.asSuperuser('SELECT body FROM note'))).toEqual(['a1', 'a2', 'b1', 'b2']);
    expect(bodies(await adminContext('control', () => ds.query('SELECT body FROM note')))).toEqual([
      'a1',
      'a2',
      'b1',
      'b2',
    ]);
  });

  const reads: [string, () => Promise<{ body: string }[]>][] = [
    ['repository.find', () => ds.getRepository(Note).find()],
    ['raw SQL', () => ds.query('SELECT body FROM note')],
    ['raw SQL with parameters', () => ds.query('SELECT body FROM note WHERE id > $1', [0])],
    [
      'raw SQL that names every tenant',
      () => ds.query('SELECT body FROM note WHERE tenant_id = ANY ($1)', [[A, B]]),
    ],
    [
      'the last result of a multi-statement text',
      async () => {
        const results = await poolOf(ds).query('SELECT 1; SELECT body FROM note');
        return (results as unknown as pg.QueryResult<{ body: string }>[]).at(-1)!.rows;
      },
    ],
    [
      'query builder with joins',
      () =>
        ds
          .createQueryBuilder(Note, 'note')
          .leftJoinAndSelect('note.tags', 'tag')
          .innerJoinAndSelect('note.notebook', 'book')
          .getMany(),
    ],
    [
      'relations',
      async () =>
        (await ds.getRepository(Notebook).find({ relations: { notes: true } })).flatMap(({ notes }) => notes),
    ],
    [
      'relations loaded by queries of their own',
      async () =>
        (
          await ds.getRepository(Notebook).find({ relations: { notes: true }, relationLoadStrategy: 'query' })
        ).flatMap(({ notes }) => notes),
    ],
    ['a sub-query', () => ds.query('SELECT body FROM note WHERE id IN (SELECT id FROM note)')],
    ['a CTE', () => ds.query('WITH every AS (SELECT * FROM note) SELECT body FROM every')],
    [
      'a stream',
      async () => {
        const runner = ds.createQueryRunner();
        try {
          return (await (await runner.stream('SELECT body FROM note')).toArray()) as { body: string }[];
        } finally {
          await runner.release();
        }
      },
    ],
    [
      'a query builder’s stream',
      async () => {
        const runner = ds.createQueryRunner();
        try {
          const stream = await ds
            .createQueryBuilder(Note, 'note', runner)
            .select('note.body', 'body')
            .stream();
          return (await stream.toArray()) as { body: string }[];
        } finally {
          await runner.release();
        }
      },
    ],
    [
      'a cursor',
      async () => {
        const client = await poolOf(ds).connect();
        const cursor = client.query(new Cursor<{ body: string }>('SELECT body FROM note'));
        try {
          return [...(await cursor.read(1)), ...(await cursor.read(10))];
        } finally {
          await cursor.close();
          client.release();
        }
      },
    ],
    [
      'COPY … TO STDOUT',
      async () => {
        const client = await poolOf(ds).connect();
        try {
          const copied = await readAll(client.query(copyTo('COPY note (body) TO STDOUT')));
          return copied
            .trim()
            .split('\n')
            .map((body) => ({ body }));
        } finally {
          client.release();
        }
      },
    ],
    [
      'COPY (query) TO STDOUT in a transaction',
      async () => {
        const client = await poolOf(ds).connect();
        try {
          await client.query('BEGIN');
          const copied = await readAll(client.query(copyTo('COPY (SELECT body FROM note) TO STDOUT')));
          await client.query('COMMIT');
          return copied
            .trim()
            .split('\n')
            .map((body) => ({ body }));
        } finally {
          client.release();
        }
      },
    ],
    ['pool.query', async () => (await poolOf(ds).query('SELECT body FROM note')).rows],
    [
      'pool.query with a callback',
      () =>
        new Promise((resolve, reject) => {
          poolOf(ds).query('SELECT body FROM note', [], (error, result) =>
            error ? reject(error) : resolve(result.rows),
          );
        }),
    ],
    [
      'a query config in array row mode',
      async () =>
        (await poolOf(ds).query<[string]>({ text: 'SELECT body FROM note', rowMode: 'array' })).rows.map(
          ([body]) => ({ body }),
        ),
    ],
    ['a transaction', () => ds.transaction((manager) => manager.find(Note))],
    ['a serializable transaction', () => ds.transaction('SERIALIZABLE', (manager) => manager.find(Note))],
    ['a nested transaction', () => ds.transaction((outer) => outer.transaction((inner) => inner.find(Note)))],
    [
      'EXPLAIN ANALYZE and then a read',
      async () => {
        await ds.query('EXPLAIN ANALYZE SELECT * FROM note');
        return ds.query('SELECT body FROM note');
      },
    ],
  ];

  it.each(reads)('%s sees the rows of its tenant and no others', async (_name, read) => {
    const [a, b] = await Promise.all([tenantContext(A, read), tenantContext(B, read)]);
    expect([bodies(a), bodies(b)]).toEqual([
      ['a1', 'a2'],
      ['b1', 'b2'],
    ]);
  });

  it('a lazy relation is loaded for whoever awaits it', async () => {
    const note = await tenantContext(A, async () => {
      const repository = ds.getRepository(Note);
      const [first] = await repository.find({ relations: { notebook: true } });
      await repository.update(first!.id, { archive: first!.notebook } as never);
      return repository.findOneByOrFail({ id: first!.id });
    });
    expect(await tenantContext(B, () => note.archive)).toBeNull();
    const again = await tenantContext(A, () => ds.getRepository(Note).findOneByOrFail({ id: note.id }));
    expect(await tenantContext(A, () => again.archive)).toMatchObject({ title: 'a-book' });
  });

  it('writes reach the rows of the tenant and no others', async () => {
    const changed = await tenantContext(A, async () => [
      await ds.query("UPDATE note SET body = body || '!' WHERE true"),
      await ds.query("UPDATE note SET body = rtrim(body, '!')"),
      await ds
        .createQueryBuilder()
        .update(Note)
        .set({ body: () => 'body' })
        .where('id > 0')
        .execute(),
      await ds.getRepository(Note).delete({ body: 'b1' }),
    ]);
    expect(
      changed.map((result: unknown) =>
        Array.isArray(result) ? result[1] : (result as { affected: number }).affected,
      ),
    ).toEqual([2, 2, 2, 0]);
    expect(bodies(await db.asSuperuser('SELECT body FROM note'))).toEqual(['a1', 'a2', 'b1', 'b2']);
  });

  it('a row of another tenant can be neither inserted nor taken', async () => {
    const insert = tenantContext(A, () =>
      ds.query(`INSERT INTO note (tenant_id, body) VALUES ('${B}', 'planted')`),
    );
    await expect(insert).rejects.toMatchObject({ name: 'RlsViolationError', code: '42501' });
    const move = tenantContext(A, () => ds.query(`UPDATE note SET tenant_id = '${B}'`));
    await expect(move).rejects.toMatchObject({ name: 'RlsViolationError', code: '42501' });
    expect(bodies(await db.asSuperuser('SELECT body FROM note'))).toEqual(['a1', 'a2', 'b1', 'b2']);
  });

  describe('the setting ends with the statement', () => {
    const setting =
      "SELECT coalesce(current_setting('rls.current_tenant', true), '') AS tenant, current_user AS role";

    it.each([
      ['a simple statement', 'SELECT 1', undefined],
      ['a parameterised statement', 'SELECT $1::int', [1]],
      ['a simple statement that fails', 'SELECT 1/0', undefined],
      ['a parameterised statement that fails', 'SELECT 1/$1::int', [0]],
      ['a syntax error', 'SELEC', undefined],
      ['a parameterised syntax error', 'SELEC $1', [1]],
      ['a multi-statement text that fails half-way', 'SELECT 1; SELECT 1/0; SELECT 2', undefined],
    ])('%s leaves nothing for the next statement on its connection', async (_name, sql, parameters) => {
      for (const inContext of [
        <T>(fn: () => T) => tenantContext(A, fn),
        <T>(fn: () => T) => adminContext('probe', fn),
      ]) {
        await inContext(() => single.query(sql, parameters as unknown[]).catch(() => undefined));
        expect(await single.query(setting)).toEqual([{ tenant: '', role: db.roles.app }]);
        expect(await single.query('SELECT * FROM note')).toEqual([]);
      }
    });

    it('a stream abandoned half-way leaves nothing', async () => {
      const runner = single.createQueryRunner();
      const stream = await tenantContext(A, () =>
        runner.stream('SELECT * FROM note, generate_series(1, 10000)'),
      );
      for await (const _row of stream) break; // destroys the stream
      expect(await runner.query(setting)).toEqual([{ tenant: '', role: db.roles.app }]);
      await runner.release();
      expect(await tenantContext(B, () => single.query('SELECT DISTINCT tenant_id FROM note'))).toEqual([
        { tenant_id: B },
      ]);
    });
  });

  describe('transactions', () => {
    it('contexts nested in one transaction each see their own rows', async () => {
      await tenantContext(A, () =>
        ds.transaction(async (manager) => {
          const seen = async () => bodies(await manager.query('SELECT body FROM note'));
          expect(await seen()).toEqual(['a1', 'a2']);
          expect(await tenantContext(B, seen)).toEqual(['b1', 'b2']);
          expect(await adminContext('nested', seen)).toHaveLength(4);
          expect(await seen()).toEqual(['a1', 'a2']);
          expect(await tenantContext(B, seen)).toEqual(['b1', 'b2']);
        }),
      );
    });

    it('after an admin statement the role is the login’s own again', async () => {
      const role = 'SELECT current_user AS role';
      await lenient.transaction(async (manager) => {
        const roleIn = async () => (await manager.query<[{ role: string }]>(role))[0].role;
        expect(await adminContext('probe', roleIn)).toBe(db.roles.admin);
        expect(await tenantContext(A, roleIn)).toBe(db.roles.app);
        expect(await adminContext('probe', roleIn)).toBe(db.roles.admin);
        expect(await withoutTenant(roleIn)).toBe(db.roles.app);
        expect(await manager.query('SELECT * FROM note')).toEqual([]);
      });
    });

    it('a transaction opened by an admin’s multi-statement text does not stay the admin’s', async () => {
      const client = await poolOf(lenient).connect();
      await adminContext('opens', () => client.query('BEGIN; SELECT count(*) FROM note'));
      expect((await client.query('SELECT * FROM note')).rows).toEqual([]);
      expect(bodies((await tenantContext(A, () => client.query('SELECT * FROM note'))).rows)).toEqual([
        'a1',
        'a2',
      ]);
      await client.query('ROLLBACK');
      client.release();
    });

    it('ROLLBACK TO SAVEPOINT does not bring an earlier tenant back', async () => {
      const client = await poolOf(lenient).connect();
      const seen = async () => bodies((await client.query('SELECT body FROM note')).rows);
      await client.query('BEGIN');
      expect(await tenantContext(A, seen)).toEqual(['a1', 'a2']);
      await client.query('SAVEPOINT s');
      expect(await tenantContext(B, seen)).toEqual(['b1', 'b2']);
      await client.query('ROLLBACK TO SAVEPOINT s');
      expect(await tenantContext(B, seen)).toEqual(['b1', 'b2']);
      expect(await seen()).toEqual([]);
      await client.query('ROLLBACK');
      client.release();
    });

    describe('a text that goes back to a savepoint of another tenant’s', () => {
      let client: pg.PoolClient;
      beforeEach(async () => {
        client = await poolOf(lenient).connect();
        await client.query('BEGIN');
        await tenantContext(B, () => client.query('SELECT'));
        await client.query('SAVEPOINT s');
        await tenantContext(A, () => client.query('SELECT'));
      });
      afterEach(async () => {
        await client.query('ROLLBACK');
        client.release();
      });

      const BODIES = 'SELECT body FROM note';
      const abort = () => tenantContext(A, () => client.query('SELECT 1/0')).catch(() => undefined);
      const seen = async (text: string, run = <T>(fn: () => T) => tenantContext(A, fn)) =>
        (
          (await run(() => client.query(text))) as unknown as { command: string; rows: { body: string }[] }[]
        ).map(({ command, rows }) => [command, ...bodies(rows)]);

      it('shows that tenant to whoever reads it without the library', async () => {
        const raw = new pg.Client({ connectionString: db.url('app') });
        await raw.connect();
        await raw.query(`BEGIN; SELECT set_config('rls.current_tenant', '${B}', true); SAVEPOINT s`);
        await raw.query(`SELECT set_config('rls.current_tenant', '${A}', true)`);
        const results = await raw.query(`ROLLBACK TO s; ${BODIES}`);
        expect(bodies((results as unknown as pg.QueryResult[])[1]!.rows)).toEqual(['b1', 'b2']);
        await raw.end();
      });

      it.each(['ROLLBACK TO s', 'rollback to savepoint s', '/* ; */ ROLLBACK /* */ TO s'])(
        '%s: what follows is the caller’s',
        async (rollback) => {
          expect(await seen(`${rollback}; ${BODIES}`)).toEqual([['ROLLBACK'], ['SELECT', 'a1', 'a2']]);
          expect(await seen(`${BODIES}; ${rollback}; ${BODIES};`)).toEqual([
            ['SELECT', 'a1', 'a2'],
            ['ROLLBACK'],
            ['SELECT', 'a1', 'a2'],
          ]);
          expect(await seen(`${rollback}; ${BODIES}`, withoutTenant)).toEqual([['ROLLBACK'], ['SELECT']]);
        },
      );

      it('behind an error too, where nothing can be carried in front', async () => {
        await abort();
        expect(await seen(`ROLLBACK TO s; ${BODIES}`)).toEqual([['ROLLBACK'], ['SELECT', 'a1', 'a2']]);
        await abort();
        expect(await seen(`ROLLBACK TO s; ${BODIES}`, withoutTenant)).toEqual([['ROLLBACK'], ['SELECT']]);
        await abort();
        await tenantContext(A, () => client.query('ROLLBACK TO s'));
        expect(bodies((await tenantContext(A, () => client.query(BODIES))).rows)).toEqual(['a1', 'a2']);
      });

      it('an error tells where in the text it is', async () => {
        const failing = seen(`ROLLBACK TO s; ${BODIES}; SELECT nowhere`);
        await expect(failing).rejects.toMatchObject({ code: '42703', position: '46' });
      });

      it('is refused where the statement goes as it is', async () => {
        const text = `ROLLBACK TO s; COPY note TO STDOUT`;
        for (const statement of [copyTo(text), new pg.Query(text), new Cursor(text)])
          expect(() => tenantContext(A, () => client.query(statement as pg.Submittable))).toThrow(
            /several statements.*savepoint/,
          );
        await abort();
        expect(() => tenantContext(A, () => client.query(copyTo(text)))).toThrow(/several statements/);
      });
    });

    describe('what PostgreSQL runs at COMMIT', () => {
      let client: pg.PoolClient;
      let told: string[];
      const listen = ({ message }: { message?: string | undefined }) => told.push(message!);

      beforeAll(() => db.as('migrator', TELL_AT_COMMIT));
      beforeEach(async () => {
        client = await poolOf(single).connect();
        told = [];
        client.on('notice', listen);
      });
      afterEach(() => {
        client.off('notice', listen);
        client.release();
      });

      const of = (tenantId: string, text: string) => tenantContext(tenantId, () => client.query(text));

      it('runs for the tenant of a transaction that is one tenant’s, in each transaction of a connection', async () => {
        for (const tenantId of [A, B, A]) {
          await client.query('BEGIN');
          await of(tenantId, WAIT_FOR_COMMIT);
          await client.query('COMMIT');
        }
        expect(told).toEqual([A, B, A]);
      });

      it('runs for nobody if the transaction was several tenants’', async () => {
        for (const end of ['COMMIT', 'END TRANSACTION;', '/* done */ COMMIT']) {
          await client.query('BEGIN');
          await of(A, WAIT_FOR_COMMIT);
          await of(B, 'SELECT');
          await of(B, end);
        }
        expect(told).toEqual(['', '', '']);
      });

      it('so that a cursor WITH HOLD shows who declared it none of the last tenant’s rows', async () => {
        await client.query('BEGIN');
        await of(A, 'DECLARE held CURSOR WITH HOLD FOR SELECT body FROM note');
        await of(B, 'SELECT');
        await client.query('COMMIT');
        expect((await of(A, 'FETCH ALL FROM held')).rows).toEqual([]);
        await client.query('CLOSE held');
      });
    });

    it('a statement for nobody does not inherit the previous statement’s tenant', async () => {
      await tenantContext(A, () =>
        lenient.transaction(async (manager) => {
          expect(await manager.query('SELECT * FROM note')).toHaveLength(2);
          expect(await withoutTenant(() => manager.query('SELECT * FROM note'))).toEqual([]);
          expect(await withoutTenant(() => manager.query('SELECT * FROM note WHERE id > $1', [0]))).toEqual(
            [],
          );
        }),
      );
    });

    it('an aborted transaction reports its own error and rolls back', async () => {
      const failing = tenantContext(A, () =>
        ds.transaction(async (manager) => {
          await manager.query("INSERT INTO note (body) VALUES ('lost')");
          await manager.query('SELECT 1/0').catch(() => undefined);
          return manager.query('SELECT * FROM note');
        }),
      );
      await expect(failing).rejects.toMatchObject({ driverError: { code: '25P02' } });
      expect(await db.asSuperuser("SELECT * FROM note WHERE body = 'lost'")).toEqual([]);
    });

    it('nothing goes in front of what ends an aborted transaction, however it is written', async () => {
      const client = await poolOf(ds).connect();
      await tenantContext(A, async () => {
        await client.query('/* opened by hand */ BEGIN');
        await client.query('SELECT 1/0').catch(() => undefined);
        await client.query('/* closed by hand */ ROLLBACK'); // a query in front of it would fail, and mask it
        expect(bodies((await client.query('SELECT body FROM note')).rows)).toEqual(['a1', 'a2']);
      });
      client.release();
    });

    it('a failing savepoint leaves the outer transaction its tenant', async () => {
      await tenantContext(A, () =>
        ds.transaction(async (outer) => {
          const inner = outer.transaction((manager) => tenantContext(B, () => manager.query('SELECT 1/0')));
          await expect(inner).rejects.toMatchObject({ driverError: { code: '22012' } });
          expect(bodies(await outer.find(Note))).toEqual(['a1', 'a2']);
        }),
      );
    });

    it('after a stream in a transaction the rest of it keeps its tenant', async () => {
      await tenantContext(A, () =>
        ds.transaction(async (manager) => {
          const stream = await manager.queryRunner!.stream('SELECT body FROM note');
          expect(bodies((await stream.toArray()) as { body: string }[])).toEqual(['a1', 'a2']);
          expect(bodies(await manager.find(Note))).toEqual(['a1', 'a2']);
        }),
      );
    });

    it('statements issued together in one transaction keep their own contexts', async () => {
      await ds.transaction(async (manager) => {
        const rows = await Promise.all(
          Array.from({ length: 40 }, (_, n) =>
            tenantContext(n % 2 ? A : B, () =>
              manager.query('SELECT tenant_id FROM note WHERE id > $1', [0]),
            ),
          ),
        );
        for (const [n, seen] of rows.entries())
          expect(seen).toEqual(Array(2).fill({ tenant_id: n % 2 ? A : B }));
      });
    });
  });

  describe('a busy pool', () => {
    it('gives a waiting caller a connection in its own context', async () => {
      const pool = poolOf(single);
      const seen = (tenantId: string) =>
        new Promise<string[]>((resolve, reject) => {
          tenantContext(tenantId, () =>
            pool.connect((error, client, release) => {
              if (error || !client) return reject(error);
              // The callback itself must run in the caller's context: this is what a query in it will carry.
              client.query('SELECT DISTINCT tenant_id FROM note', (failure, result) => {
                release();
                if (failure) reject(failure);
                else resolve(result.rows.map((row: { tenant_id: string }) => row.tenant_id));
              });
            }),
          );
        });
      const order = Array.from({ length: 50 }, (_, n) => (n % 3 ? A : B));
      expect(await Promise.all(order.map(seen))).toEqual(order.map((tenantId) => [tenantId]));
    });
  });

  describe('prepared statements', () => {
    it('one that is reused serves each tenant its own rows', async () => {
      const client = await poolOf(ds).connect();
      const seen = async () =>
        bodies(
          (await client.query({ name: 'bodies', text: 'SELECT body FROM note WHERE id > $1', values: [0] }))
            .rows,
        );
      for (const [tenantId, expected] of [
        [A, ['a1', 'a2']],
        [B, ['b1', 'b2']],
        [A, ['a1', 'a2']],
      ] as const) {
        for (let n = 0; n < 7; n++) expect(await tenantContext(tenantId, seen)).toEqual(expected); // past the generic plan
      }
      client.release();
    });

    it('one that fails to parse fails the same way the next time', async () => {
      const client = await poolOf(ds).connect();
      const broken = () =>
        client.query({ name: 'broken', text: 'SELECT nothing FROM note WHERE id > $1', values: [0] });
      for (let n = 0; n < 3; n++)
        await expect(tenantContext(A, broken)).rejects.toMatchObject({ code: '42703' });
      client.release();
    });
  });

  it('an error’s position is that of the statement as it was written', async () => {
    const plain = await db.plain();
    const sql = 'SELECT id, nothing FROM note';
    const position = async (query: Promise<unknown>) =>
      (await query.then(
        () => undefined,
        (error: { driverError: { position: string } }) => error.driverError.position,
      )) as string;
    const expected = await position(plain.query(sql));
    expect(expected).toBe(String(sql.indexOf('nothing') + 1));
    expect(await position(tenantContext(A, () => ds.query(sql)))).toBe(expected);
    expect(await position(tenantContext(A, () => ds.query(`${sql} WHERE id > $1`, [0])))).toBe(expected);
  });

  it('COPY … FROM STDIN works in a tenant context', async () => {
    const client = await poolOf(ds).connect();
    await tenantContext(A, async () => {
      await client.query('BEGIN');
      await client.query('CREATE TEMP TABLE upload (body text) ON COMMIT DROP');
      await pipeline(['x\n', 'y\n'], client.query(copyFrom('COPY upload FROM STDIN')));
      await client.query('INSERT INTO note (body) SELECT body FROM upload');
      expect((await client.query("SELECT tenant_id FROM note WHERE body IN ('x', 'y')")).rows).toEqual([
        { tenant_id: A },
        { tenant_id: A },
      ]);
      await client.query('ROLLBACK');
    });
    client.release();
  });

  it('a connection killed in the middle fails its statement and nothing else', async () => {
    const killed = tenantContext(A, () => single.query('SELECT pg_terminate_backend(pg_backend_pid())'));
    await expect(killed).rejects.toThrow();
    // PostgreSQL's last words arrive before the socket closes; node-postgres takes the client out when it does.
    await new Promise((done) => setTimeout(done, 100));
    expect(bodies(await tenantContext(B, () => single.query('SELECT body FROM note')))).toEqual(['b1', 'b2']);
  });

  it('a pipelining client carries too', async () => {
    const pipelined = await db.isolated(
      { onMissingTenant: 'empty' },
      { poolSize: 1, extra: { pipeline: true } },
    );
    const client = await poolOf(pipelined).connect();
    await client.query('BEGIN');
    const seen = await Promise.all(
      Array.from({ length: 60 }, (_, n) => {
        const read = () =>
          client.query(
            n % 2
              ? 'SELECT tenant_id FROM note'
              : { text: 'SELECT tenant_id FROM note WHERE id > $1', values: [0] },
          );
        return n % 3 === 2 ? read() : tenantContext(n % 3 ? A : B, read);
      }),
    );
    await client.query('COMMIT');
    client.release();
    for (const [n, { rows }] of seen.entries()) {
      expect(rows).toEqual(n % 3 === 2 ? [] : Array(2).fill({ tenant_id: n % 3 ? A : B }));
    }
  });

  it('two data sources share one tenant context', async () => {
    const second = await db.isolated();
    await tenantContext(B, async () => {
      expect(bodies(await ds.getRepository(Note).find())).toEqual(['b1', 'b2']);
      expect(bodies(await second.getRepository(Note).find())).toEqual(['b1', 'b2']);
    });
  });

  it('replication slaves carry as the master does', async () => {
    const credentials = { url: db.url('app') };
    const replicated = await db.isolated(
      {},
      { replication: { master: credentials, slaves: [credentials, credentials] } },
    );
    for (const mode of ['slave', 'master'] as const) {
      const runner = replicated.createQueryRunner(mode);
      expect(bodies(await tenantContext(A, () => runner.query('SELECT body FROM note')))).toEqual([
        'a1',
        'a2',
      ]);
      await runner.release();
    }
    expect(bodies(await tenantContext(B, () => replicated.getRepository(Note).find()))).toEqual(['b1', 'b2']);
  });
});
