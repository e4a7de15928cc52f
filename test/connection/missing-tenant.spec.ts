import type { DataSource } from 'typeorm';
import Cursor from 'pg-cursor';
import type pg from 'pg';
import { tenantContext, withoutTenant } from '../../libs/rls-tenants/src/context/tenant-context.js';
import { InvalidTenantIdError, NoTenantContextError } from '../../libs/rls-tenants/src/errors.js';
import { A, Country, Note, Notebook, NOTES } from '../support/notes.js';
import { createProtectedDatabase, type ProtectedDatabase } from '../support/protected-database.js';
import { startWire, type Wire } from '../support/wire.js';

describe('a statement without a tenant', () => {
  let db: ProtectedDatabase;
  let wire: Wire;
  let strict: DataSource;
  let lenient: DataSource;

  beforeAll(async () => {
    db = await createProtectedDatabase(NOTES);
    const { hostname, port } = new URL(db.url());
    wire = await startWire({ host: hostname, port: Number(port) });
    const proxied = { url: wire.url(db.url('app')) };
    strict = await db.isolated({}, proxied);
    lenient = await db.isolated({ onMissingTenant: 'empty' }, proxied);
    await db.asSuperuser(`INSERT INTO note (tenant_id, body) VALUES ('${A}', 'a')`);
  });
  afterAll(async () => {
    await db.drop();
    await wire.close();
  });

  const statements: [string, (ds: DataSource) => Promise<unknown>][] = [
    ['repository.find', (ds) => ds.getRepository(Note).find()],
    ['repository.save', (ds) => ds.getRepository(Note).save({ body: 'nobody’s' })],
    ['repository.insert', (ds) => ds.getRepository(Note).insert({ body: 'nobody’s' })],
    ['repository.update', (ds) => ds.getRepository(Note).update({ id: 1 }, { body: 'x' })],
    ['repository.delete', (ds) => ds.getRepository(Note).delete({ id: 1 })],
    ['repository.count', (ds) => ds.getRepository(Note).count()],
    ['repository.exists', (ds) => ds.getRepository(Note).exists()],
    ['query builder', (ds) => ds.createQueryBuilder(Note, 'n').getMany()],
    ['a join from another table', (ds) => ds.query('SELECT * FROM country LEFT JOIN note ON true')],
    ['a join table', (ds) => ds.query('SELECT * FROM note_tags_tag')],
    ['a sub-query', (ds) => ds.query('SELECT (SELECT count(*) FROM note)')],
    ['a CTE', (ds) => ds.query('WITH n AS (DELETE FROM note RETURNING *) SELECT * FROM n')],
    ['a schema-qualified name', (ds) => ds.query('SELECT * FROM public.note')],
    ['a quoted name', (ds) => ds.query('SELECT * FROM "note"')],
    ['a name in other case', (ds) => ds.query('SELECT * FROM NOTE')],
    ['an escaped name', (ds) => ds.query('SELECT * FROM U&"n\\006fte"')],
    ['TABLE', (ds) => ds.query('TABLE note')],
    ['COPY', (ds) => ds.query('COPY note TO STDOUT')],
    ['EXPLAIN', (ds) => ds.query('EXPLAIN SELECT * FROM note')],
    ['the second of two statements', (ds) => ds.query('SELECT 1; SELECT * FROM note')],
    ['a stream', async (ds) => ds.createQueryRunner().stream('SELECT * FROM note')],
    ['pool.query', (ds) => (ds.driver as unknown as { master: pg.Pool }).master.query('SELECT * FROM note')],
    [
      'pool.query with a callback',
      (ds) =>
        new Promise((resolve, reject) => {
          (ds.driver as unknown as { master: pg.Pool }).master.query('SELECT * FROM note', (error, result) =>
            error ? reject(error) : resolve(result),
          );
        }),
    ],
    [
      'a cursor',
      async (ds) => {
        const client = await (ds.driver as unknown as { master: pg.Pool }).master.connect();
        try {
          client.query(new Cursor('SELECT * FROM note'));
        } finally {
          client.release();
        }
      },
    ],
    [
      'withoutTenant inside a tenant',
      (ds) => tenantContext(A, () => withoutTenant(() => ds.getRepository(Notebook).find())),
    ],
  ];

  it.each(statements)('%s is refused and nothing of it is sent', async (_name, statement) => {
    wire.reset();
    await expect(statement(strict)).rejects.toThrow(NoTenantContextError);
    // save() opens its transaction first and rolls it back; the statement itself is never written.
    const sent = await db.asSuperuser('SELECT count(*)::int AS notes FROM note');
    expect(sent).toEqual([{ notes: 1 }]);
    expect(wire.sent().filter((type) => type === 'P' || type === 'B')).toEqual([]);
  });

  it('is refused without asking the pool for a connection', async () => {
    const exhausted = await db.isolated({}, { poolSize: 1 });
    const runner = exhausted.createQueryRunner();
    await runner.connect(); // the only connection
    await expect(exhausted.query('SELECT * FROM note')).rejects.toThrow(NoTenantContextError);
    await runner.release();
  });

  it('says which table, and what to do', async () => {
    const error = await strict.query('SELECT * FROM note').catch((reason: NoTenantContextError) => reason);
    expect(error).toMatchObject({
      name: 'NoTenantContextError',
      message: expect.stringContaining('"note"'),
      hint: expect.stringContaining('tenantContext'),
    });
  });

  it.each([
    ['a global table', 'SELECT * FROM country'],
    ['no table', 'SELECT 1'],
    ['the name as text only', "SELECT * FROM information_schema.tables WHERE table_name = 'note'"],
    ['the name in a comment only', 'SELECT 1 /* note */'],
    ['a longer name', 'SELECT * FROM (SELECT 1) AS notes_of_mine'],
  ])('on %s is let through', async (_name, sql) => {
    await expect(strict.query(sql)).resolves.toBeDefined();
    await expect(strict.getRepository(Country).find()).resolves.toEqual([]);
  });

  it("sees no rows with onMissingTenant: 'empty'", async () => {
    expect(await db.asSuperuser('SELECT * FROM note')).toHaveLength(1);
    expect(await lenient.query('SELECT * FROM note')).toEqual([]);
    expect(await lenient.getRepository(Note).find()).toEqual([]);
    expect(await lenient.query('UPDATE note SET body = body')).toEqual([[], 0]);
  });

  it("writes nothing with onMissingTenant: 'empty'", async () => {
    await expect(lenient.query("INSERT INTO note (body) VALUES ('nobody’s')")).rejects.toMatchObject({
      name: 'RlsViolationError',
    });
    await expect(lenient.getRepository(Note).save({ body: 'nobody’s' })).rejects.toThrow(
      NoTenantContextError,
    );
  });

  it('a tenant id of another type is refused before any I/O', async () => {
    await strict.query('SELECT 1');
    for (const tenantId of [42, '42', 'acme', `${A}'; DROP TABLE note --`, `${A} `]) {
      wire.reset();
      const read = async () => tenantContext(tenantId, () => strict.query('SELECT * FROM note'));
      await expect(read()).rejects.toThrow(InvalidTenantIdError);
      expect(wire.sent()).toEqual([]);
    }
  });

  it('a tenant id in capitals is the same tenant', async () => {
    expect(await tenantContext(A.toUpperCase(), () => strict.query('SELECT body FROM note'))).toEqual([
      { body: 'a' },
    ]);
  });
});
