import type { DataSource } from 'typeorm';
import { unscoped } from '../../libs/rls-tenants/src/index.js';
import { tenantContext } from '../../libs/rls-tenants/src/context/tenant-context.js';
import { NoTenantContextError } from '../../libs/rls-tenants/src/errors.js';
import { A, B } from '../support/notes.js';
import { createProtectedDatabase, type ProtectedDatabase } from '../support/protected-database.js';
import { createSealedDatabase } from '../support/sealed-database.js';
import { Book, fillLibraries, LIBRARY, Shelf } from './support/library.js';
import { scansOf, StatementLog } from './support/plans.js';

describe.each([
  ['plain', createProtectedDatabase],
  ['sealed', createSealedDatabase],
] as const)('unscoped, %s', (_form, createDatabase) => {
  let db: ProtectedDatabase;
  let ds: DataSource;
  const log = new StatementLog();

  beforeAll(async () => {
    db = await createDatabase(LIBRARY);
    ds = await db.isolated({}, { logger: log, logging: ['query'] });
    await fillLibraries(ds);
  });
  afterAll(() => db.drop());

  const titles = (books: Book[]) => books.map(({ title }) => title).sort();
  const ALL = ['a1', 'a2', 'a3', 'a4'];
  const manager = () => ds.manager;

  it.each<[string, () => Promise<unknown>, unknown]>([
    ['find', async () => titles(await manager().find(Book)), ALL],
    ['count', () => manager().count(Book), 4],
    [
      'a query builder',
      async () => titles(await ds.createQueryBuilder(Book, 'b').where('b.id > 0').getMany()),
      ALL,
    ],
    [
      'pages of a join',
      async () => (await manager().findAndCount(Book, { relations: { shelf: true }, take: 1 }))[1],
      4,
    ],
    [
      'a lazy relation',
      async () => (await (await manager().findOneByOrFail(Book, { title: 'a2' })).lazyPrequel)?.title,
      'a1',
    ],
    [
      "relationLoadStrategy: 'query'",
      async () =>
        (await manager().find(Shelf, { relations: { books: true }, relationLoadStrategy: 'query' })).map(
          ({ books }) => books.length,
        ),
      [2, 1],
    ],
    ['an update', async () => (await manager().update(Book, { loans: 0 }, { loans: 0 })).affected, 4],
    ['a delete', async () => (await manager().delete(Book, { title: 'b1' })).affected, 0],
  ])('leaves the literal out of %s, and the policy still holds', async (_name, operation, expected) => {
    const run = async (fn: () => Promise<unknown>) => {
      let result: unknown;
      const statements = await log.during(() =>
        tenantContext(A, async () => {
          result = await fn();
        }),
      );
      expect(result).toEqual(expected);
      expect(statements.length).toBeGreaterThan(0);
      return { statements, scans: await scansOf(ds, A, statements) };
    };
    const without = await run(() => unscoped(operation));
    expect(without.scans.scoped).toEqual([]);
    expect(without.scans.unscoped.length).toBeGreaterThan(0);
    expect(without.statements.map(({ sql }) => sql).join('\n')).not.toContain(A);
    expect((await run(operation)).scans.unscoped).toEqual([]); // control
    expect(await db.asSuperuser('SELECT FROM book')).toHaveLength(8);
  });

  it('ends with its function, and does not reach what runs beside it', async () => {
    const literal = `= '${A}'`;
    const statements = await log.during(() =>
      tenantContext(A, async () => {
        await Promise.all([
          unscoped(async () => {
            await new Promise(setImmediate);
            await manager().find(Book);
          }),
          manager().find(Shelf),
        ]);
        await expect(unscoped(() => Promise.reject(new Error('no')))).rejects.toThrow('no');
        await manager().count(Book);
      }),
    );
    const texts = statements.map(({ sql }) => sql);
    expect(texts).toHaveLength(3);
    expect(texts.find((sql) => sql.includes('FROM "shelf"'))).toContain(literal);
    expect(texts.find((sql) => sql.includes('FROM "book"'))).not.toContain(literal);
    expect(texts.find((sql) => sql.includes('COUNT'))).toContain(literal);
  });

  it('changes nothing about the tenant context', async () => {
    expect(() => unscoped(() => 'sync')).not.toThrow();
    expect(unscoped(() => 'sync')).toBe('sync');
    await expect(unscoped(() => manager().find(Book))).rejects.toThrow(NoTenantContextError);
    const [a, b] = await unscoped(() =>
      Promise.all([
        tenantContext(A, () => manager().find(Book)),
        tenantContext(B, () => manager().find(Book)),
      ]),
    );
    expect(titles(a)).toEqual(ALL);
    expect(titles(b)).toEqual(['b1', 'b2', 'b3', 'b4']);
  });
});
