import { tenantContext } from '../../libs/rls-tenants/src/context/index.js';
import {
  createArticleDatabase,
  backfillOf,
  FILL_SLUGS,
  fillArticles,
  hits,
  tenant,
} from '../backfill/support/articles.js';
import { sealDatabase, type SealedDatabase } from '../support/sealed-database.js';

let db: SealedDatabase;

beforeAll(async () => {
  db = await sealDatabase(await createArticleDatabase());
  await fillArticles(db, 4, 25);
});
afterAll(() => db.drop());

it('a backfill changes each row of each tenant once, its tenants listed by the admin data source', async () => {
  const backfill = await backfillOf(db, [FILL_SLUGS]);
  expect(await backfill.run('fill-slugs')).toMatchObject({ tenants: 4, rowsDone: 100 });
  expect(await hits(db)).toEqual({ 1: 100 });
});

it('control: the tables are sealed', async () => {
  const forged = `SELECT set_config('rls.current_tenant', '${tenant(2)}', false); SELECT * FROM article`;
  await expect(db.as('app', forged)).rejects.toThrow('Seal refused');
  const dataSource = await db.isolated();
  const rows = await tenantContext(tenant(2), () => dataSource.query<unknown[]>('SELECT * FROM article'));
  expect(rows).toHaveLength(25);
});
