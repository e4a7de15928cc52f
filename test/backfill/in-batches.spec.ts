import { In, Like, type DataSource, type Repository } from 'typeorm';
import {
  createInBatches,
  deleteInBatches,
  updateInBatches,
} from '../../libs/rls-tenants/src/backfill/index.js';
import { tenantContext } from '../../libs/rls-tenants/src/context/index.js';
import { NoTenantContextError, RlsTenantsError } from '../../libs/rls-tenants/src/errors.js';
import type { ProtectedDatabase } from '../support/protected-database.js';
import { Article, createArticleDatabase, fillArticles, tenant } from './support/articles.js';

let db: ProtectedDatabase;
let dataSource: DataSource;
let articles: Repository<Article>;

beforeAll(async () => {
  db = await createArticleDatabase();
  dataSource = await db.isolated();
  articles = dataSource.getRepository(Article);
  await db.asSuperuser('CREATE UNIQUE INDEX ON article (tenant_id, slug)');
});
afterAll(() => db.drop());
beforeEach(() => fillArticles(db, 2, 25));

const inTenant = <T>(work: () => Promise<T>) => tenantContext(tenant(1), work);

/** Rows of each tenant, as superuser, and the transactions that wrote them. */
const stored = () =>
  db.asSuperuser(
    `SELECT right(tenant_id::text, 1) AS tenant, count(*)::int AS rows, count(DISTINCT xmin::text)::int AS transactions
     FROM article GROUP BY 1 ORDER BY 1`,
  );

/** Runs `work` with a trigger that swallows the command. */
async function swallowing(command: string, work: () => Promise<void>): Promise<void> {
  await db.asSuperuser(
    `CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
     CREATE TRIGGER swallow BEFORE ${command} ON article FOR EACH ROW EXECUTE FUNCTION swallow()`,
  );
  try {
    await work();
  } finally {
    await db.asSuperuser('DROP TRIGGER swallow ON article; DROP FUNCTION swallow()');
  }
}

describe('createInBatches', () => {
  function* titles(count: number) {
    for (let n = 1; n <= count; n += 1) yield { title: `New ${n}` };
  }

  it("inserts the current tenant's rows, one transaction per batch", async () => {
    await db.asSuperuser('TRUNCATE article');
    expect(await inTenant(() => createInBatches(articles, titles(25), { batchSize: 10 }))).toBe(25);
    expect(await stored()).toEqual([{ tenant: '1', rows: 25, transactions: 3 }]);
  });

  it('takes 500 at a time', async () => {
    await db.asSuperuser('TRUNCATE article');
    await inTenant(() => createInBatches(articles, titles(1001)));
    expect(await stored()).toEqual([{ tenant: '1', rows: 1001, transactions: 3 }]);
  });

  it('keeps earlier batches when a later one fails', async () => {
    const rows = Array.from({ length: 15 }, (_, n) => ({ title: 'New', slug: `s${n % 14}` }));
    await expect(inTenant(() => createInBatches(articles, rows, { batchSize: 10 }))).rejects.toThrow(
      'duplicate',
    );
    expect(await stored()).toMatchObject([{ rows: 35 }, { rows: 25 }]);
  });

  it('leaves rows alone that exist, where conflicts are ignored, and counts the others', async () => {
    const rows = (...slugs: string[]) => slugs.map((slug) => ({ title: 'New', slug }));
    await tenantContext(tenant(2), () => createInBatches(articles, rows('a', 'b', 'c', 'd')));
    await inTenant(() => createInBatches(articles, rows('a', 'b')));
    expect(
      await inTenant(() => createInBatches(articles, rows('a', 'b', 'c', 'd'), { ignoreConflicts: true })),
    ).toBe(2);
    expect(
      await inTenant(() => createInBatches(articles, rows('a', 'b', 'c', 'd'), { ignoreConflicts: true })),
    ).toBe(0);
    expect(await stored()).toMatchObject([{ rows: 29 }, { rows: 29 }]);
  });
});

describe('updateInBatches', () => {
  it('updates the named fields, one transaction per batch', async () => {
    const rows = await inTenant(() => articles.find());
    for (const row of rows) Object.assign(row, { slug: `s${row.id}`, title: 'not this' });
    expect(await inTenant(() => updateInBatches(articles, rows, ['slug'], { batchSize: 10 }))).toBe(25);
    expect(await stored()).toEqual([
      { tenant: '1', rows: 25, transactions: 3 },
      { tenant: '2', rows: 25, transactions: 1 },
    ]);
    expect(
      await db.asSuperuser(`SELECT id FROM article WHERE slug <> 's' || id OR title = 'not this'`),
    ).toEqual([]);
  });

  it("does not touch another tenant's rows", async () => {
    const rows = await tenantContext(tenant(2), () => articles.find());
    for (const row of rows) row.slug = 'stolen';
    expect(await inTenant(() => updateInBatches(articles, rows, ['slug']))).toBe(0);
    expect(await db.asSuperuser(`SELECT FROM article WHERE slug = 'stolen'`)).toEqual([]);
  });

  it('refuses an entity without a primary key', async () => {
    await expect(inTenant(() => updateInBatches(articles, [new Article()], ['slug']))).rejects.toThrow(
      'no primary key',
    );
  });
});

describe('deleteInBatches', () => {
  it("deletes the current tenant's rows that match, and no others", async () => {
    const where = { title: Like('Title 1%') };
    expect(await inTenant(() => deleteInBatches(articles, where, { batchSize: 4 }))).toBe(11);
    expect(await stored()).toMatchObject([{ rows: 14 }, { rows: 25 }]);
    expect(await inTenant(() => deleteInBatches(articles, where))).toBe(0);
  });

  it('deletes all of them where their number is a multiple of the batch', async () => {
    expect(await inTenant(() => deleteInBatches(articles, {}, { batchSize: 5 }))).toBe(25);
  });

  it('fails where rows cannot be deleted, instead of looking for ever', async () => {
    await swallowing('DELETE', async () => {
      await expect(inTenant(() => deleteInBatches(articles, {}, { batchSize: 5 }))).rejects.toThrow(
        'None of 5 matching rows of table "article" could be deleted',
      );
    });
    expect(await stored()).toMatchObject([{ rows: 25 }, { rows: 25 }]);
  });
});

describe.each<[string, (repository: Repository<Article>) => Promise<number>]>([
  ['createInBatches', (repository) => createInBatches(repository, [{ title: 'New' }])],
  ['updateInBatches', (repository) => updateInBatches(repository, [{ id: 1 } as Article], ['slug'])],
  ['deleteInBatches', (repository) => deleteInBatches(repository, { id: In([1]) })],
])('%s', (_, work) => {
  it('needs a tenant', async () => {
    await expect(work(articles)).rejects.toThrow(NoTenantContextError);
  });

  it('refuses to be part of a transaction', async () => {
    const within = inTenant(() => dataSource.transaction((manager) => work(manager.getRepository(Article))));
    await expect(within).rejects.toThrow(RlsTenantsError);
    expect(await stored()).toMatchObject([{ rows: 25 }, { rows: 25 }]);
  });
});
