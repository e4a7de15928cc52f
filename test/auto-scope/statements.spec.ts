import { In, IsNull, Not, type DataSource, type EntityManager } from 'typeorm';
import { adminContext, tenantContext } from '../../libs/rls-tenants/src/context/tenant-context.js';
import { A, B } from '../support/notes.js';
import { createProtectedDatabase, type ProtectedDatabase } from '../support/protected-database.js';
import { Author, Book, fillLibraries, LIBRARY, Shelf, Student } from './support/library.js';
import { scansOf, StatementLog } from './support/plans.js';

describe('auto-scope of statements', () => {
  let db: ProtectedDatabase;
  let ds: DataSource;
  const log = new StatementLog();

  beforeAll(async () => {
    db = await createProtectedDatabase(LIBRARY);
    ds = await db.isolated({}, { logger: log, logging: ['query'] });
    await fillLibraries(ds);
  });
  afterAll(() => db.drop());

  it('the rows that must stay hidden exist', async () => {
    const rows = await db.asSuperuser<{ title: string }>('SELECT title FROM book ORDER BY title');
    expect(rows.map(({ title }) => title)).toEqual(['a1', 'a2', 'a3', 'a4', 'b1', 'b2', 'b3', 'b4']);
  });

  const titles = (books: { title: string }[]) => books.map(({ title }) => title).sort();
  const ALL = ['a1', 'a2', 'a3', 'a4'];

  it.each<[string, (manager: EntityManager) => Promise<unknown>, unknown, string[]]>([
    ['find', async (m) => titles(await m.find(Book)), ALL, ['book']],
    [
      'find by a column, whose value is another tenant’s too',
      async (m) => titles(await m.findBy(Book, { title: In(['a1', 'b1']) })),
      ['a1'],
      ['book'],
    ],
    [
      'find by alternatives',
      async (m) =>
        titles(await m.findBy(Book, [{ title: 'a1' }, { title: 'b1' }, { loans: 0, shelf: IsNull() }])),
      ['a1', 'a4'],
      ['book'],
    ],
    ['find with withDeleted', async (m) => titles(await m.find(Book, { withDeleted: true })), ALL, ['book']],
    [
      'find of some columns',
      async (m) => titles(await m.find(Book, { select: { title: true } })),
      ALL,
      ['book'],
    ],
    [
      'findAndCount of a page',
      async (m) => (await m.findAndCount(Book, { skip: 1, take: 2 }))[1],
      4,
      ['book'],
    ],
    [
      'findOne by a column',
      async (m) => (await m.findOneBy(Book, { title: 'b1' }))?.title,
      undefined,
      ['book'],
    ],
    ['count', (m) => m.count(Book), 4, ['book']],
    ['exists', (m) => m.existsBy(Book, { title: 'b1' }), false, ['book']],
    ['sum', (m) => m.sum(Book, 'loans'), 0, ['book']],
    ['maximum', (m) => m.maximum(Book, 'id'), expect.any(Number), ['book']],
    [
      'a select by query builder',
      async (m) =>
        titles(await m.createQueryBuilder(Book, 'b').where('b.title > :t OR 1 = 1', { t: '' }).getMany()),
      ALL,
      ['book'],
    ],
    [
      'a select of groups',
      (m) =>
        m
          .createQueryBuilder(Book, 'b')
          .select('left(b.title, 1)', 'letter')
          .addSelect('COUNT(*)::int', 'n')
          .groupBy('left(b.title, 1)')
          .having('COUNT(*) > 1')
          .getRawMany(),
      [{ letter: 'a', n: 4 }],
      ['book'],
    ],
    [
      'getCount of a query builder',
      (m) => m.createQueryBuilder(Book, 'b').where('b.id > 0').getCount(),
      4,
      ['book'],
    ],
    [
      'a select from two tables',
      (m) =>
        m
          .createQueryBuilder(Book, 'b')
          .addFrom(Shelf, 's')
          .select('b.title', 'title')
          .addSelect('s.name', 'shelf')
          .where("b.title LIKE '%1'")
          .orderBy('s.name')
          .getRawMany(),
      [
        { title: 'a1', shelf: 'a high' },
        { title: 'a1', shelf: 'a low' },
      ],
      ['book', 'shelf'],
    ],
    [
      'a select by the name of the table',
      async (m) =>
        (await m.createQueryBuilder().select('b.title', 'title').from('book', 'b').getRawMany()).length,
      4,
      ['book'],
    ],
    [
      'a sub-query in WHERE',
      async (m) =>
        titles(
          await m
            .createQueryBuilder(Book, 'b')
            .where((qb) => {
              const shelves = qb.subQuery().select('s.id').from(Shelf, 's').where('s.name LIKE :name');
              return `b.shelfId IN ${shelves.getQuery()}`;
            })
            .setParameter('name', '%high')
            .getMany(),
        ),
      ['a1', 'a2'],
      ['book', 'shelf'],
    ],
    [
      'a sub-query in FROM',
      (m) =>
        m
          .createQueryBuilder()
          .select('COUNT(*)::int', 'n')
          .from(
            (qb) => qb.select('b.title', 'title').from(Book, 'b').where('b.shelfId IS NOT NULL'),
            'shelved',
          )
          .getRawOne(),
      { n: 3 },
      ['book'],
    ],
    [
      'a sub-query in SELECT',
      (m) =>
        m
          .createQueryBuilder(Shelf, 's')
          .select('s.name', 'name')
          .addSelect((qb) => qb.select('COUNT(*)::int').from(Book, 'b').where('b.shelfId = s.id'), 'n')
          .orderBy('s.name')
          .getRawMany(),
      [
        { name: 'a high', n: 2 },
        { name: 'a low', n: 1 },
      ],
      ['book', 'shelf'],
    ],
    [
      'EXISTS',
      async (m) =>
        (
          await m
            .createQueryBuilder(Shelf, 's')
            .whereExists(m.createQueryBuilder(Book, 'b').where("b.shelfId = s.id AND b.title LIKE '%3'"))
            .getMany()
        ).map(({ name }) => name),
      ['a low'],
      ['book', 'shelf'],
    ],
    [
      'a condition on a relation',
      async (m) => titles(await m.find(Book, { where: { shelf: { name: Not('a low') } } })),
      ['a1', 'a2'],
      ['book', 'shelf'],
    ],
    [
      'a common table expression',
      (m) =>
        m
          .createQueryBuilder()
          .addCommonTableExpression(m.createQueryBuilder(Book, 'b').select('b.title', 'title'), 'listed')
          .select('COUNT(*)::int', 'n')
          .from('listed', 'l')
          .getRawOne(),
      { n: 4 },
      ['book'],
    ],
    [
      'the children of a table that classes share',
      async (m) => (await m.find(Student)).map(({ name, school }) => [name, school]),
      [['a Ann', 'high']],
      ['reader'],
    ],
  ])('a read has the tenant as a literal: %s', async (_name, operation, expected, scoped) => {
    let result: unknown;
    const statements = await log.during(() =>
      tenantContext(A, async () => {
        result = await operation(ds.manager);
      }),
    );
    expect(result).toEqual(expected);
    expect(await scansOf(ds, A, statements)).toEqual({ scoped, unscoped: [] });
  });

  it.each<[string, (manager: EntityManager) => Promise<unknown>, string[]]>([
    ['update', (m) => m.update(Book, { loans: 0 }, { loans: 9 }), ['book']],
    ['increment', (m) => m.increment(Book, { title: Not('') }, 'loans', 1), ['book']],
    [
      'an update by query builder without WHERE',
      (m) => m.createQueryBuilder().update(Book).set({ loans: 9 }).execute(),
      ['book'],
    ],
    [
      'an update with a sub-query',
      (m) =>
        m
          .createQueryBuilder()
          .update(Book)
          .set({ loans: 9 })
          .where(`"shelfId" IN (${m.createQueryBuilder(Shelf, 's').select('s.id').getQuery()})`)
          .execute(),
      ['book', 'shelf'],
    ],
    ['delete', (m) => m.delete(Author, { name: Not('') }), ['author']],
    [
      'a delete by query builder without WHERE',
      (m) => m.createQueryBuilder().delete().from(Author).execute(),
      ['author'],
    ],
    ['softDelete', (m) => m.softDelete(Book, { loans: 0 }), ['book']],
    [
      'restore',
      async (m) => {
        await m.softDelete(Book, { loans: 0 });
        await m.restore(Book, { title: 'a1' });
      },
      ['book'],
    ],
    [
      'a soft delete by query builder without WHERE',
      (m) => m.createQueryBuilder().softDelete().from(Shelf).execute(),
      ['shelf'],
    ],
    [
      'a restore by query builder',
      async (m) => {
        await m.softDelete(Shelf, { name: 'a low' });
        await m.softDelete(Shelf, { name: 'a high' });
        await m.createQueryBuilder().restore().from(Shelf).where("name = 'a high'").execute();
      },
      ['shelf'],
    ],
    [
      'save of a loaded entity',
      async (m) => {
        const book = await m.findOneByOrFail(Book, { title: 'a1' });
        await m.save(Object.assign(book, { loans: 9 }));
      },
      ['book'],
    ],
    [
      'remove of loaded entities',
      async (m) => m.remove(await m.find(Author)),
      ['author', 'book', 'book_authors_author', 'translation'],
    ],
    ['softRemove of loaded entities', async (m) => m.softRemove(await m.find(Shelf)), ['shelf']],
  ])(
    'a write has the tenant as a literal, and reaches no other tenant’s rows: %s',
    async (_name, operation, scoped) => {
      const runner = ds.createQueryRunner();
      const { manager } = runner;
      const rows = (tenantId: string) =>
        adminContext('control', () =>
          manager.query<unknown[]>(
            ['book', 'shelf', 'author']
              .map((table) => `SELECT to_jsonb(t) FROM ${table} t WHERE tenant_id = '${tenantId}'`)
              .join(' UNION ALL '),
          ),
        );
      await runner.startTransaction();
      try {
        await adminContext('without links every author can be deleted', async () => {
          await manager.query('DELETE FROM book_authors_author');
          await manager.query('DELETE FROM translation');
        });
        const before = { a: await rows(A), b: await rows(B) };
        const statements = await log.during(() => tenantContext(A, () => operation(manager)));
        expect(await scansOf(ds, A, statements)).toEqual({ scoped, unscoped: [] });
        expect(before.b).toHaveLength(4 + 2 + 2);
        expect(await rows(B)).toEqual(before.b);
        expect(await rows(A)).not.toEqual(before.a);
      } finally {
        await runner.rollbackTransaction();
        await runner.release();
      }
    },
  );

  it('an insert is stamped with the tenant', async () => {
    const statements = await log.during(() =>
      tenantContext(A, async () => {
        const saved = await ds.manager.save(Author, { name: 'a saved' });
        const { generatedMaps } = await ds
          .createQueryBuilder()
          .insert()
          .into(Author)
          .values([{ name: 'a one' }, { name: 'a two' }])
          .execute();
        expect(saved.tenantId).toBe(A);
        await ds.manager.insert(Author, { name: 'a inserted' });
        await ds.manager.upsert(Author, { id: generatedMaps[0]!.id as number, name: 'a upserted' }, ['id']);
      }),
    );
    const inserts = statements.filter(({ sql }) => sql.startsWith('INSERT'));
    expect(inserts).toHaveLength(4);
    for (const { sql, parameters } of inserts) {
      expect(sql).toContain('"tenant_id"');
      expect(parameters).toContain(A);
    }
    const rows = await db.asSuperuser<{ tenant_id: string }>(
      `SELECT DISTINCT tenant_id FROM author WHERE name LIKE 'a %'`,
    );
    expect(rows).toEqual([{ tenant_id: A }]);
    await tenantContext(A, () =>
      ds.manager.delete(Author, { name: In(['a saved', 'a upserted', 'a two', 'a inserted']) }),
    );
  });

  it('a query builder scopes for whom it runs, a text for whom it was made', async () => {
    const builder = tenantContext(A, () => ds.createQueryBuilder(Book, 'b'));
    expect(titles(await tenantContext(B, () => builder.getMany()))).toEqual(['b1', 'b2', 'b3', 'b4']);

    const text = tenantContext(A, () => builder.select('b.title', 'title').getQuery());
    expect(await tenantContext(A, () => ds.query(text))).toHaveLength(4);
    expect(await tenantContext(B, () => ds.query(text))).toEqual([]);
  });
});
