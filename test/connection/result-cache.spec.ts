import type { DataSource } from 'typeorm';
import { adminContext, tenantContext } from '../../libs/rls-tenants/src/context/tenant-context.js';
import { A, B, Note, NOTES } from '../support/notes.js';
import { createProtectedDatabase, type ProtectedDatabase } from '../support/protected-database.js';
import { createSealedDatabase } from '../support/sealed-database.js';

describe.each([
  ['plain', createProtectedDatabase],
  ['sealed', createSealedDatabase],
] as const)('TypeORM’s query result cache, %s', (_form, createDatabase) => {
  let db: ProtectedDatabase;
  let ds: DataSource;

  beforeAll(async () => {
    db = await createDatabase(NOTES);
    await db.asSuperuser(`INSERT INTO note (tenant_id, body) VALUES ('${A}', 'a'), ('${B}', 'b')`);
    await db.as(
      'migrator',
      `CREATE TABLE "query-result-cache" (id serial PRIMARY KEY, identifier varchar, time bigint NOT NULL, duration integer NOT NULL, query text NOT NULL, result text NOT NULL);
      GRANT ALL ON "query-result-cache" TO ${db.roles.app}, ${db.roles.admin};
      GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO ${db.roles.app}, ${db.roles.admin}`,
    );
    // Without auto-scope the SQL of two tenants is the same text: only the key can tell them apart.
    ds = await db.isolated(
      { autoScope: false, onMissingTenant: 'empty' },
      { cache: { type: 'database', duration: 60_000 } },
    );
  });
  afterAll(() => db.drop());

  const bodies = (notes: Note[]) => notes.map(({ body }) => body).sort();

  it.each([
    ['keyed by the query', true],
    ['keyed by an identifier', { id: 'notes', milliseconds: 60_000 }],
  ])('%s serves each context its own rows, twice', async (_name, cache) => {
    const find = async () => bodies(await ds.getRepository(Note).find({ cache }));
    for (let round = 0; round < 2; round++) {
      expect(await tenantContext(A, find)).toEqual(['a']);
      expect(await tenantContext(B, find)).toEqual(['b']);
      expect(await adminContext('control', find)).toEqual(['a', 'b']);
      expect(await find()).toEqual([]);
    }
  });

  it('really caches, and removes by identifier in its own context', async () => {
    const find = async () =>
      bodies(await ds.getRepository(Note).find({ cache: { id: 'stale', milliseconds: 60_000 } }));
    await tenantContext(A, async () => {
      expect(await find()).toEqual(['a']);
      await db.asSuperuser(`UPDATE note SET body = 'a2' WHERE tenant_id = '${A}'`);
      expect(await find()).toEqual(['a']);
      await ds.queryResultCache!.remove(['stale']);
      expect(await find()).toEqual(['a2']);
    });
  });
});
