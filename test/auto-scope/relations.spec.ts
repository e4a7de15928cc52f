import type { DataSource, EntityManager } from 'typeorm';
import { tenantContext } from '../../libs/rls-tenants/src/context/tenant-context.js';
import { A } from '../support/notes.js';
import { createProtectedDatabase, type ProtectedDatabase } from '../support/protected-database.js';
import { createSealedDatabase } from '../support/sealed-database.js';
import { Author, Book, fillLibraries, Language, LIBRARY, Shelf } from './support/library.js';
import { scansOf, StatementLog, type Scans } from './support/plans.js';

describe.each([
  ['plain', createProtectedDatabase],
  ['sealed', createSealedDatabase],
] as const)('auto-scope of relations, %s', (_form, createDatabase) => {
  let db: ProtectedDatabase;
  let ds: DataSource;
  const log = new StatementLog();

  beforeAll(async () => {
    db = await createDatabase(LIBRARY);
    ds = await db.isolated({}, { logger: log, logging: ['query'] });
    await fillLibraries(ds);
  });
  afterAll(() => db.drop());

  const names = (rows: { name: string }[]) => rows.map(({ name }) => name).sort();
  const books = (rows: Book[], of: (book: Book) => unknown) =>
    Object.fromEntries(rows.map((book) => [book.title, of(book)]));
  const SHELVES = { a1: 'a high', a2: 'a high', a3: 'a low', a4: undefined };
  const AUTHORS = { a1: ['a Eco', 'a Woolf'], a2: ['a Woolf'], a3: [], a4: [] };
  const find = (m: EntityManager, title: string) => m.findOneByOrFail(Book, { title });

  it('the rows that must stay hidden exist', async () => {
    const [counts] = await db.asSuperuser(
      `SELECT (SELECT count(*)::int FROM book) AS books, (SELECT count(*)::int FROM shelf) AS shelves,
         (SELECT count(*)::int FROM author) AS authors, (SELECT count(*)::int FROM book_authors_author) AS links`,
    );
    expect(counts).toEqual({ books: 8, shelves: 4, authors: 4, links: 6 });
  });

  it.each<[string, (m: EntityManager) => Promise<unknown>, unknown, Partial<Scans>]>([
    [
      'an inner join',
      async (m) =>
        books(
          await m.createQueryBuilder(Book, 'b').innerJoinAndSelect('b.shelf', 's').getMany(),
          ({ shelf }) => shelf!.name,
        ),
      { a1: 'a high', a2: 'a high', a3: 'a low' },
      { scoped: ['book', 'shelf'] },
    ],
    [
      'a left join, which keeps the rows without a match',
      async (m) => books(await m.find(Book, { relations: { shelf: true } }), ({ shelf }) => shelf?.name),
      SHELVES,
      { scoped: ['book', 'shelf'] },
    ],
    [
      'a left join with a condition of alternatives',
      async (m) =>
        books(
          await m
            .createQueryBuilder(Book, 'b')
            .leftJoinAndSelect('b.shelf', 's', 's.name = :one OR s.name = :two', {
              one: 'a low',
              two: 'b low',
            })
            .getMany(),
          ({ shelf }) => shelf?.name,
        ),
      { a1: undefined, a2: undefined, a3: 'a low', a4: undefined },
      { scoped: ['book', 'shelf'] },
    ],
    [
      'a left join from the side of many',
      async (m) =>
        Object.fromEntries(
          (await m.find(Shelf, { relations: { books: true } })).map((shelf) => [
            shelf.name,
            shelf.books.length,
          ]),
        ),
      { 'a high': 2, 'a low': 1 },
      { scoped: ['book', 'shelf'] },
    ],
    [
      'a left join to the other side of one-to-one',
      async (m) => books(await m.find(Book, { relations: { blurb: true } }), ({ blurb }) => blurb?.text),
      { a1: 'a good', a2: undefined, a3: undefined, a4: undefined },
      { scoped: ['blurb', 'book'] },
    ],
    [
      'a left join to a global table',
      async (m) =>
        books(await m.find(Book, { relations: { language: true } }), ({ language }) => language?.code),
      { a1: 'en', a2: undefined, a3: undefined, a4: undefined },
      { scoped: ['book'] },
    ],
    [
      'a left join from a global table',
      (m) =>
        m
          .createQueryBuilder(Language, 'l')
          .leftJoin(Book, 'b', 'b.languageId = l.id')
          .select('l.code', 'code')
          .addSelect('b.title', 'title')
          .getRawMany(),
      [{ code: 'en', title: 'a1' }],
      { scoped: ['book'] },
    ],
    [
      'joins of joins',
      async (m) =>
        (
          await m.find(Shelf, {
            relations: { books: { blurb: true } },
            order: { name: 'ASC', books: { title: 'ASC' } },
          })
        ).map((shelf) => [shelf.name, ...shelf.books.map(({ title, blurb }) => [title, blurb?.text])]),
      [
        ['a high', ['a1', 'a good'], ['a2', undefined]],
        ['a low', ['a3', undefined]],
      ],
      { scoped: ['blurb', 'book', 'shelf'] },
    ],
    [
      'an inner join of an entity, with a condition',
      (m) =>
        m
          .createQueryBuilder(Book, 'b')
          .innerJoin(Shelf, 's', 's.id = b.shelfId OR s.name = :none', { none: 'none' })
          .getCount(),
      3,
      { scoped: ['book', 'shelf'] },
    ],
    [
      'a left join mapped to a property',
      async (m) =>
        books(
          await m
            .createQueryBuilder(Book, 'b')
            .leftJoinAndMapOne('b.place', Shelf, 's', 's.id = b.shelfId')
            .getMany(),
          (book) => (book as Book & { place?: Shelf }).place?.name,
        ),
      SHELVES,
      { scoped: ['book', 'shelf'] },
    ],
    [
      'a join of a sub-query, which leaves the tenant column out',
      (m) =>
        m
          .createQueryBuilder(Book, 'b')
          .leftJoin(
            (qb) => qb.select('s.id', 'id').addSelect('s.name', 'name').from(Shelf, 's'),
            'place',
            'place.id = b.shelfId',
          )
          .select('b.title', 'title')
          .addSelect('place.name', 'shelf')
          .orderBy('b.title')
          .getRawMany(),
      Object.entries(SHELVES).map(([title, shelf]) => ({ title, shelf: shelf ?? null })),
      { scoped: ['book', 'shelf'] },
    ],
    [
      'a join of a sub-query in the place of an entity',
      async (m) =>
        books(
          await m
            .createQueryBuilder(Book, 'b')
            .leftJoinAndMapOne(
              'b.place',
              (qb) => qb.select('*').from(Shelf, 's'),
              'place',
              'place.id = b.shelfId',
              undefined,
              Shelf,
            )
            .getMany(),
          (book) => (book as Book & { place?: Shelf }).place?.name,
        ),
      SHELVES,
      { scoped: ['book', 'shelf'] },
    ],
    [
      'an inner join through a join table',
      async (m) =>
        books(
          await m.createQueryBuilder(Book, 'b').innerJoinAndSelect('b.authors', 'a').getMany(),
          ({ authors }) => names(authors),
        ),
      { a1: ['a Eco', 'a Woolf'], a2: ['a Woolf'] },
      { scoped: ['author', 'book', 'book_authors_author'] },
    ],
    [
      'an inner join through a join table from its other side',
      (m) =>
        m.createQueryBuilder(Author, 'a').innerJoin('a.books', 'b').where("b.title LIKE '%2'").getCount(),
      1,
      { scoped: ['author', 'book', 'book_authors_author'] },
    ],
    [
      'a left join through a join table, whose own scan TypeORM takes no condition for',
      async (m) =>
        books(await m.find(Book, { relations: { authors: true } }), ({ authors }) => names(authors)),
      AUTHORS,
      { scoped: ['author', 'book'], unscoped: ['book_authors_author'] },
    ],
    [
      'a condition on a relation of many',
      async (m) => books(await m.findBy(Book, { authors: { name: 'a Eco' } }), ({ title }) => title),
      { a1: 'a1' },
      { scoped: ['author', 'book', 'book_authors_author'] },
    ],
    [
      'the number of a relation’s rows',
      async (m) =>
        books(
          await m.createQueryBuilder(Book, 'b').loadRelationIdAndMap('b.authorIds', 'b.authors').getMany(),
          (book) => (book as Book & { authorIds: number[] }).authorIds.length,
        ),
      { a1: 2, a2: 1, a3: 0, a4: 0 },
      { scoped: ['author', 'book', 'book_authors_author'] },
    ],
    [
      'relation ids of find',
      async (m) =>
        books(
          await m.find(Book, { loadRelationIds: { relations: ['authors'] } }),
          ({ authors }) => authors.length,
        ),
      { a1: 2, a2: 1, a3: 0, a4: 0 },
      { scoped: ['author', 'book', 'book_authors_author'] },
    ],
    [
      'pages of a join',
      async (m) => {
        const [page, count] = await m.findAndCount(Book, {
          relations: { shelf: true },
          order: { title: 'DESC' },
          skip: 0,
          take: 2,
        });
        return [count, books(page, ({ shelf }) => shelf?.name)];
      },
      [4, { a4: undefined, a3: 'a low' }],
      { scoped: ['book', 'shelf'] },
    ],
    [
      'pages of a join through a join table',
      async (m) => {
        const page = await m
          .createQueryBuilder(Book, 'b')
          .innerJoinAndSelect('b.authors', 'a')
          .orderBy('b.title')
          .take(1)
          .getManyAndCount();
        return [page[1], books(page[0], ({ authors }) => names(authors))];
      },
      [2, { a1: ['a Eco', 'a Woolf'] }],
      { scoped: ['author', 'book', 'book_authors_author'] },
    ],
    [
      'findOne by the primary key with relations',
      async (m) => {
        const { id } = await find(m, 'a1');
        return (await m.findOne(Book, { where: { id }, relations: { shelf: true } }))?.shelf?.name;
      },
      'a high',
      { scoped: ['book', 'shelf'] },
    ],
    [
      "relationLoadStrategy: 'query', many-to-one",
      async (m) =>
        books(
          await m.find(Book, { relations: { shelf: true }, relationLoadStrategy: 'query' }),
          ({ shelf }) => shelf?.name,
        ),
      SHELVES,
      { scoped: ['book', 'shelf'] },
    ],
    [
      "relationLoadStrategy: 'query', one-to-many",
      async (m) =>
        Object.fromEntries(
          (await m.find(Shelf, { relations: { books: true }, relationLoadStrategy: 'query' })).map(
            (shelf) => [shelf.name, shelf.books.length],
          ),
        ),
      { 'a high': 2, 'a low': 1 },
      { scoped: ['book', 'shelf'] },
    ],
    [
      "relationLoadStrategy: 'query', many-to-many",
      async (m) =>
        books(
          await m.find(Book, { relations: { authors: true }, relationLoadStrategy: 'query' }),
          ({ authors }) => names(authors),
        ),
      AUTHORS,
      { scoped: ['author', 'book', 'book_authors_author'] },
    ],
    [
      "relationLoadStrategy: 'query', many-to-many from its other side",
      async (m) =>
        (
          await m.find(Author, {
            relations: { books: true },
            relationLoadStrategy: 'query',
            order: { name: 'ASC' },
          })
        ).map((author) => author.books.length),
      [1, 2],
      { scoped: ['author', 'book', 'book_authors_author'] },
    ],
    [
      'a lazy relation, many-to-one',
      async (m) => (await (await find(m, 'a2')).lazyPrequel)?.title,
      'a1',
      { scoped: ['book'] },
    ],
    [
      'a lazy relation, one-to-many',
      async (m) => (await (await find(m, 'a1')).lazySequels).map(({ title }) => title),
      ['a2'],
      { scoped: ['book'] },
    ],
    [
      'a lazy relation, many-to-many',
      async (m) => names(await (await find(m, 'a2')).lazyTranslators),
      ['a Eco'],
      { scoped: ['author', 'book', 'translation'] },
    ],
    [
      'a lazy relation, many-to-many from its other side',
      async (m) =>
        (await (await m.findOneByOrFail(Author, { name: 'a Eco' })).lazyTranslations).map(
          ({ title }) => title,
        ),
      ['a2'],
      { scoped: ['author', 'book', 'translation'] },
    ],
    [
      'loadMany of a relation query builder',
      async (m) =>
        names(
          await m
            .createQueryBuilder()
            .relation(Book, 'authors')
            .of(await find(m, 'a1'))
            .loadMany<Author>(),
        ),
      ['a Eco', 'a Woolf'],
      { scoped: ['author', 'book', 'book_authors_author'] },
    ],
  ])('%s', async (_name, operation, expected, scans) => {
    let result: unknown;
    const statements = await log.during(() =>
      tenantContext(A, async () => {
        result = await operation(ds.manager);
      }),
    );
    expect(result).toEqual(expected);
    expect(await scansOf(ds, A, statements)).toEqual({ unscoped: [], ...scans });
  });
});
