import type { DataSource } from 'typeorm';
import { adminContext, tenantContext, withoutTenant } from '../../libs/rls-tenants/src/context/index.js';
import type { SealOptions } from '../../libs/rls-tenants/src/connection/index.js';
import { A, B, NOTES } from '../support/notes.js';
import { hasPgBouncer, startPgBouncer, type PgBouncer } from '../support/pgbouncer.js';
import { createSealedDatabase, type SealedDatabase } from '../support/sealed-database.js';
import type { PostgresOptions } from '../support/protected-database.js';

// Whether seals are for one backend, directly, through PgBouncer, and over the pools of a master and its replicas.

let db: SealedDatabase;
let bouncer: PgBouncer | undefined;

beforeAll(async () => {
  db = await createSealedDatabase(NOTES);
  await db.asSuperuser(`INSERT INTO note (tenant_id, body) VALUES ('${A}', 'of A'), ('${B}', 'of B')`);
  if (hasPgBouncer() || process.env.CI) bouncer = await startPgBouncer(db);
});
afterAll(async () => {
  await bouncer?.stop();
  await db.drop();
});

// CI installs PgBouncer. Elsewhere a machine may lack it, and the run then reports the suite as skipped.
const itThroughPgBouncer = hasPgBouncer() || process.env.CI ? it : it.skip;

const open = (backend: SealOptions['backend'], overrides: Partial<PostgresOptions> = {}) =>
  db.isolated(
    { onMissingTenant: 'empty', seal: { keys: [db.key], ...(backend && { backend }) } },
    { poolSize: 1, ...overrides },
  );

interface Sent {
  /** The backend that the seal is for. */
  bound: string;
  pid: string;
  bodies: string[] | null;
}

const SENT = `SELECT split_part(current_setting('rls.seal'), '.', 4) AS bound, pg_backend_pid()::text AS pid,
                     (SELECT array_agg(body) FROM note) AS bodies
              FROM pg_sleep(0.005)`; // so long that others are under way meanwhile

/** A tenant's statement, and what was carried in front of it. */
async function send(dataSource: DataSource, tenantId = A): Promise<Sent> {
  const [sent] = await tenantContext(tenantId, () => dataSource.query<[Sent]>(SENT));
  return sent;
}

/** Many statements at a time, of two tenants; whose rows each of them got. */
async function sendMany(dataSource: DataSource): Promise<Sent[]> {
  const all = await Promise.all(Array.from({ length: 60 }, (_, n) => send(dataSource, n % 2 ? B : A)));
  expect(all.map(({ bodies }) => bodies)).toEqual(all.map((_, n) => [n % 2 ? 'of B' : 'of A']));
  return all;
}

describe('on connections that have a backend each', () => {
  it("'detect' binds from the second statement on", async () => {
    const dataSource = await open('detect');
    const [first, ...others] = [await send(dataSource), await send(dataSource), await send(dataSource, B)];
    expect(first).toMatchObject({ bound: '0', bodies: ['of A'] });
    expect(others.map(({ bound }) => bound)).toEqual(others.map(({ pid }) => pid));
  });

  it("'detect' is the default, and finds out in a transaction, a stream or nobody's statement too", async () => {
    const ways: ((dataSource: DataSource) => Promise<unknown>)[] = [
      (dataSource) =>
        tenantContext(A, () => dataSource.transaction((manager) => manager.query('SELECT $1', [1]))),
      (dataSource) => tenantContext(A, () => dataSource.query('SELECT 1')),
      (dataSource) => withoutTenant(() => dataSource.query('SELECT 1')),
    ];
    for (const way of ways) {
      const dataSource = await open(undefined);
      await way(dataSource);
      const { bound, pid } = await send(dataSource);
      expect(bound).toBe(pid);
    }
  });

  it("'bound' binds from the first statement on", async () => {
    const { bound, pid, bodies } = await send(await open('bound'));
    expect({ bound, bodies }).toEqual({ bound: pid, bodies: ['of A'] });
  });

  it("'unbound' never binds", async () => {
    const dataSource = await open('unbound');
    for (let n = 0; n < 3; n += 1)
      expect(await send(dataSource)).toMatchObject({ bound: '0', bodies: ['of A'] });
  });

  it.each(['detect', 'bound', 'unbound'] as const)(
    '%s keeps two tenants apart on several connections',
    async (backend) => {
      const all = await sendMany(await open(backend, { poolSize: 3 }));
      expect(new Set(all.map(({ pid }) => pid)).size).toBe(3);
      const bound = all.filter((sent) => sent.bound === sent.pid).length;
      expect(bound).toBe({ detect: all.length - 3, bound: all.length, unbound: 0 }[backend]);
    },
  );

  it('a connection that replaces a lost one is bound to its own backend', async () => {
    const dataSource = await open('detect');
    await send(dataSource);
    const { pid } = await send(dataSource);
    await db.asSuperuser('SELECT pg_terminate_backend($1)', [Number(pid)]);
    await send(dataSource).catch(() => undefined);
    await send(dataSource);
    const after = await send(dataSource);
    expect(after.pid).not.toBe(pid);
    expect(after.bound).toBe(after.pid);
  });
});

describe('through PgBouncer in transaction pooling mode', () => {
  const pooled = (poolSize: number): Partial<PostgresOptions> => ({ url: bouncer!.url, poolSize });

  itThroughPgBouncer("'detect' and 'unbound' never bind", async () => {
    for (const backend of ['detect', 'unbound'] as const) {
      const all = await sendMany(await open(backend, pooled(6)));
      expect(new Set(all.map(({ bound }) => bound))).toEqual(new Set(['0']));
      expect(new Set(all.map(({ pid }) => pid)).size).toBeGreaterThan(1); // several backends indeed
    }
  });

  itThroughPgBouncer("'bound' is refused, and says what to do", async () => {
    const dataSource = await open('bound', pooled(1));
    await expect(send(dataSource)).rejects.toMatchObject({
      name: 'RlsViolationError',
      message: expect.stringMatching(/^Seal refused: it is bound to backend -?\d+, and this is backend \d+/),
      hint: expect.stringContaining("'unbound'"),
    });
  });
});

// Both pools lead to one server here; what is for the standby's own is in its data directory: keys, functions, policies.
describe('over the pools of a master and a replica', () => {
  const pools = (): Partial<PostgresOptions> => {
    const of = (pool: string) => ({ url: `${db.url('app')}?application_name=${pool}` });
    return { replication: { master: of('master'), slaves: [of('slave')] }, poolSize: 2 };
  };
  const read = async (dataSource: DataSource, mode: 'master' | 'slave') => {
    const queryRunner = dataSource.createQueryRunner(mode);
    try {
      const [row] = (await queryRunner.query(
        SENT.replace('SELECT', "SELECT current_setting('application_name') AS pool,"),
      )) as [Sent & { pool: string }];
      return row;
    } finally {
      await queryRunner.release();
    }
  };

  it.each(['master', 'slave'] as const)(
    'that of the %s carries seals, bound to its own backends',
    async (pool) => {
      const dataSource = await open('detect', pools());
      for (const tenantId of [A, B, A, B]) {
        const expected = { pool, bodies: [tenantId === A ? 'of A' : 'of B'] };
        expect(await tenantContext(tenantId, () => read(dataSource, pool))).toMatchObject(expected);
      }
      const { bound, pid } = await tenantContext(A, () => read(dataSource, pool));
      expect(bound).toBe(pid);
      expect(await withoutTenant(() => read(dataSource, pool))).toMatchObject({ bodies: null });
    },
  );

  it('admin contexts get a connection of their own data source', async () => {
    const dataSource = await open('detect', pools());
    const bodies = await adminContext('control', () =>
      dataSource.query<{ body: string }[]>('SELECT body, session_user AS login FROM note ORDER BY body'),
    );
    expect(bodies).toEqual([
      { body: 'of A', login: db.adminLogin },
      { body: 'of B', login: db.adminLogin },
    ]);
  });
});
