import { once } from 'node:events';
import { pipeline } from 'node:stream/promises';
import { from as copyFrom } from 'pg-copy-streams';
import Cursor from 'pg-cursor';
import type pg from 'pg';
import type { DataSource } from 'typeorm';
import { Isolation } from '../../libs/rls-tenants/src/connection/isolation.js';
import {
  adminContext,
  InvalidTenantIdError,
  NoTenantContextError,
  RlsViolationError,
  tenantContext,
  withoutTenant,
  type StatementRefusedEvent,
  type ViolationEvent,
} from '../../libs/rls-tenants/src/index.js';
import { A, B, Note, NOTES } from '../support/notes.js';
import { createProtectedDatabase, type ProtectedDatabase } from '../support/protected-database.js';
import { publishedBy } from './support/events.js';

const REFUSED = 'rls-tenants:statement-refused';
const VIOLATION = 'rls-tenants:violation';
const STEAL = `INSERT INTO note (tenant_id, body) VALUES ('${B}', 'stolen')`;

describe('What becomes of statements', () => {
  let db: ProtectedDatabase;
  let dataSource: DataSource;
  let lenient: DataSource;

  beforeAll(async () => {
    db = await createProtectedDatabase(NOTES);
    dataSource = await db.isolated();
    lenient = await db.isolated({ onMissingTenant: 'empty' });
    await db.asSuperuser(`INSERT INTO note (tenant_id, body) VALUES ('${A}', 'a'), ('${B}', 'b')`);
    await db.asSuperuser(
      `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN RAISE insufficient_privilege USING MESSAGE = 'too late'; END $$;
       CREATE CONSTRAINT TRIGGER late AFTER INSERT ON note DEFERRABLE INITIALLY DEFERRED
         FOR EACH ROW WHEN (NEW.body = 'deferred') EXECUTE FUNCTION refuse()`,
    );
  });
  afterAll(() => db.drop());

  const pool = () => (dataSource.driver as unknown as { master: pg.Pool }).master;
  const withClient = async (work: (client: pg.PoolClient) => Promise<unknown>) => {
    const client = await pool().connect();
    try {
      await work(client);
    } finally {
      client.release();
    }
  };
  const stolen = () => db.asSuperuser("SELECT FROM note WHERE body IN ('stolen', 'deferred')");

  /** What `work` added to the numbers; an error of it is its answer, too. */
  async function counted(work: () => unknown, source = dataSource) {
    const read = () => structuredClone(Isolation.get(source)!.counts);
    const before = read();
    const error: unknown = await Promise.resolve()
      .then(work)
      .then(
        () => undefined,
        (reason: unknown) => reason,
      );
    const after = read();
    const added = (name: keyof typeof after) => ({
      tenant: after[name].tenant - before[name].tenant,
      admin: after[name].admin - before[name].admin,
      nobody: after[name].nobody - before[name].nobody,
    });
    return { error, carried: added('carried'), refused: added('refused'), violations: added('violations') };
  }
  const NONE = { tenant: 0, admin: 0, nobody: 0 };

  describe('carried', () => {
    it('is each statement once, by kind', async () => {
      const { carried, refused, violations } = await counted(async () => {
        await tenantContext(A, () => dataSource.query('SELECT 1'));
        await tenantContext(B, () => dataSource.query('SELECT $1::int', [1]));
        await tenantContext(A, () => dataSource.getRepository(Note).find());
        await adminContext('counting', () => dataSource.getRepository(Note).find());
      });
      expect({ carried, refused, violations }).toEqual({
        carried: { tenant: 3, admin: 1, nobody: 0 },
        refused: NONE,
        violations: NONE,
      });
    });

    it('is not what goes alone: transaction control, and nobody outside of a transaction', async () => {
      const transaction = await counted(() =>
        tenantContext(A, () => dataSource.transaction((manager) => manager.query('SELECT 1'))),
      );
      expect(transaction.carried).toEqual({ ...NONE, tenant: 1 });
      expect((await counted(() => dataSource.query('SELECT 1'))).carried).toEqual(NONE);
      const inside = await counted(() =>
        dataSource.transaction((manager) => manager.query('SELECT * FROM country')),
      );
      expect(inside.carried).toEqual({ ...NONE, nobody: 1 });
    });

    it('is a cursor, a stream and a COPY once, however much they read', async () => {
      const { carried, error } = await counted(() =>
        tenantContext(A, async () => {
          await withClient(async (client) => {
            const cursor = client.query(new Cursor('SELECT generate_series(1, 10)'));
            for (let rows = 1; rows > 0;) rows = (await cursor.read(3)).length;
            await pipeline(['x\n'], client.query(copyFrom('COPY country (name) FROM STDIN')));
          });
          const runner = dataSource.createQueryRunner();
          await once((await runner.stream('SELECT * FROM note')).resume(), 'end');
          await runner.release();
        }),
      );
      expect(error).toBeUndefined();
      expect(carried).toEqual({ ...NONE, tenant: 3 });
    });
  });

  describe('refused', () => {
    const refusals: [string, 'nobody' | 'tenant' | 'admin', () => unknown][] = [
      ['a find', 'nobody', () => dataSource.getRepository(Note).find()],
      ['a save', 'nobody', () => dataSource.getRepository(Note).save({ body: 'nobody’s' })],
      ['an insert', 'nobody', () => dataSource.getRepository(Note).insert({ body: 'nobody’s' })],
      ['raw SQL', 'nobody', () => dataSource.query('SELECT * FROM note')],
      ['pool.query', 'nobody', () => pool().query('SELECT * FROM note')],
      ['a stream', 'nobody', () => dataSource.createQueryRunner().stream('SELECT * FROM note')],
      [
        'a cursor',
        'nobody',
        () => withClient(async (client) => client.query(new Cursor('SELECT * FROM note'))),
      ],
      [
        'nobody inside of a tenant',
        'nobody',
        () => tenantContext(A, () => withoutTenant(() => dataSource.query('SELECT * FROM note'))),
      ],
      [
        'a row that the admin inserts for no tenant',
        'admin',
        () => adminContext('import', () => dataSource.getRepository(Note).save({ body: 'whose?' })),
      ],
      [
        'raw SQL of no tenant id',
        'tenant',
        () => tenantContext('acme', () => dataSource.query('SELECT * FROM note')),
      ],
      [
        'a find of no tenant id',
        'tenant',
        () => tenantContext('acme', () => dataSource.getRepository(Note).find()),
      ],
    ];

    it.each(refusals)('%s is counted and published once, for %s', async (_name, kind, work) => {
      let result: Awaited<ReturnType<typeof counted>> | undefined;
      const { events, published } = await publishedBy<StatementRefusedEvent>(REFUSED, async () => {
        result = await counted(work);
      });
      const { error, carried, refused, violations } = result!;
      expect(error).toBeInstanceOf(kind === 'tenant' ? InvalidTenantIdError : NoTenantContextError);
      expect({ carried, refused, violations }).toEqual({
        carried: NONE,
        refused: { ...NONE, [kind]: 1 },
        violations: NONE,
      });
      expect(events).toEqual([
        { event: 'statement refused', context: expect.objectContaining({ kind }), error },
      ]);
      expect(published[0]?.in).toEqual(events[0]?.context);
    });

    it("is nothing that is sent: with onMissingTenant: 'empty', on other tables, of PostgreSQL's own refusals", async () => {
      const sent = await counted(() => lenient.query('SELECT * FROM note'), lenient);
      expect([sent.error, sent.refused]).toEqual([undefined, NONE]);
      expect((await counted(() => dataSource.query('SELECT * FROM country'))).refused).toEqual(NONE);
      const broken = await counted(() => tenantContext(A, () => dataSource.query('SELECT nonsense')));
      expect(broken.error).toMatchObject({ code: '42703' });
      expect([broken.refused, broken.violations]).toEqual([NONE, NONE]);
    });
  });

  describe('violations', () => {
    const asA = (work: () => unknown) => () => tenantContext(A, work);
    const violations: [string, () => unknown][] = [
      ['raw SQL without parameters', asA(() => dataSource.query(STEAL))],
      [
        'raw SQL with parameters',
        asA(() => dataSource.query('INSERT INTO note (tenant_id, body) VALUES ($1, $2)', [B, 'stolen'])),
      ],
      ['a statement in a transaction', asA(() => dataSource.transaction((manager) => manager.query(STEAL)))],
      ['pool.query', asA(() => pool().query(STEAL))],
      [
        'pool.query with a callback',
        asA(
          () =>
            new Promise((resolve, reject) => {
              pool().query(STEAL, (error, result) => (error ? reject(error) : resolve(result)));
            }),
        ),
      ],
      [
        'a cursor',
        asA(() => withClient((client) => client.query(new Cursor(`${STEAL} RETURNING body`)).read(1))),
      ],
      [
        'a stream',
        asA(async () => {
          const runner = dataSource.createQueryRunner();
          try {
            await once((await runner.stream(`${STEAL} RETURNING body`)).resume(), 'end');
          } finally {
            await runner.release();
          }
        }),
      ],
      [
        'a COPY',
        asA(() =>
          withClient((client) =>
            pipeline(['stolen\n'], client.query(copyFrom('COPY pg_catalog.pg_authid (rolname) FROM STDIN'))),
          ),
        ),
      ],
      ['a privilege that is missing', asA(() => dataSource.query('TRUNCATE country'))],
      [
        'a trigger that refuses at COMMIT',
        asA(() =>
          dataSource.transaction((manager) => manager.query("INSERT INTO note (body) VALUES ('deferred')")),
        ),
      ],
      [
        'an entity that names another tenant, before any I/O',
        asA(() => dataSource.getRepository(Note).save({ body: 'stolen', tenantId: B })),
      ],
      [
        'an update that moves a row, before any I/O',
        asA(() => dataSource.getRepository(Note).update({ body: 'a' }, { tenantId: B })),
      ],
    ];

    it.each(violations)('%s is counted and published once', async (_name, work) => {
      let result: Awaited<ReturnType<typeof counted>> | undefined;
      const { events, published } = await publishedBy<ViolationEvent>(VIOLATION, async () => {
        result = await counted(work);
      });
      const { error, refused, violations } = result!;
      expect(error).toMatchObject({ code: '42501' });
      expect({ refused, violations }).toEqual({ refused: NONE, violations: { ...NONE, tenant: 1 } });
      const context = { kind: 'tenant', tenantId: A };
      expect(published).toEqual([
        { event: { event: 'violation', context, error: expect.any(RlsViolationError) }, in: context },
      ]);
      expect(events[0]?.error.message).toBe((error as Error).message);
      expect(await stolen()).toEqual([]);
    });

    it('of nobody are counted, too, where such a statement is sent', async () => {
      const { error, violations } = await counted(
        () => lenient.query("INSERT INTO note (body) VALUES ('nobody’s')"),
        lenient,
      );
      expect(error).toBeInstanceOf(RlsViolationError);
      expect(violations).toEqual({ ...NONE, nobody: 1 });
    });

    it.each<[string, (source: DataSource) => Promise<unknown>]>([
      ['without parameters', (source) => source.query('SELECT 1')],
      ['with parameters', (source) => source.query('SELECT $1::int', [1])],
      [
        'by a cursor',
        async (source) => {
          const client = await (source.driver as unknown as { master: pg.Pool }).master.connect();
          await client
            .query(new Cursor('SELECT 1'))
            .read(1)
            .finally(() => client.release());
        },
      ],
    ])('are none where the tenant context itself is refused (%s)', async (_name, statement) => {
      const wrongRole = await db.isolated({ adminRole: 'pg_read_all_data' });
      const { error, violations } = await counted(
        () => adminContext('test', () => statement(wrongRole)),
        wrongRole,
      );
      expect(String(error)).toMatch(/refused to carry the tenant context: permission denied/);
      expect(violations).toEqual(NONE);
    });

    it('are each of the tenant whose statement it was, of two tenants at once', async () => {
      const { events } = await publishedBy<ViolationEvent>(VIOLATION, () =>
        Promise.all(
          Array.from({ length: 20 }, (_, index) => {
            const [own, other] = index % 2 ? [A, B] : [B, A];
            return tenantContext(own, () =>
              dataSource.query('INSERT INTO note (tenant_id, body) VALUES ($1, $2)', [other, 'stolen']),
            ).catch(() => undefined);
          }),
        ),
      );
      const owners = events.map(({ context }) =>
        context.kind === 'tenant' ? context.tenantId : context.kind,
      );
      expect(owners.toSorted()).toEqual([...Array(10).fill(A), ...Array(10).fill(B)]);
    });
  });
});
