import type { DataSource, EntityTarget } from 'typeorm';
import { tenantContext } from '../../libs/rls-tenants/src/context/tenant-context.js';
import { A, B } from '../support/notes.js';
import { createProtectedDatabase, type ProtectedDatabase } from '../support/protected-database.js';
import { ClosureSubject, NestedSubject, PathSubject, TREES } from './support/library.js';
import { scansOf, StatementLog } from './support/plans.js';

interface Subject {
  id: number;
  name: string;
  parent: Subject | null;
  children: Subject[];
}

// The last: what TypeORM changes in a tree by SQL of its own, which is not scoped.
describe.each<[string, EntityTarget<Subject>, string[], string[]]>([
  [
    'closure table',
    ClosureSubject,
    ['closure_subject', 'closure_subject_closure'],
    ['closure_subject_closure'],
  ],
  ['materialized path', PathSubject, ['path_subject'], []],
  ['nested set', NestedSubject, ['nested_subject'], ['nested_subject']],
])('auto-scope of a tree: %s', (_kind, entity, tables, changedByItsOwnSql) => {
  let db: ProtectedDatabase;
  let ds: DataSource;
  const log = new StatementLog();
  const trees = () => ds.getTreeRepository(entity);

  beforeAll(async () => {
    db = await createProtectedDatabase(TREES);
    ds = await db.isolated({}, { logger: log, logging: ['query'] });
    for (const [tenantId, letter] of [
      [A, 'a'],
      [B, 'b'],
    ] as const) {
      await tenantContext(tenantId, async () => {
        const root = await trees().save({ name: `${letter} arts` });
        const music = await trees().save({ name: `${letter} music`, parent: root });
        await trees().save({ name: `${letter} jazz`, parent: music });
        await trees().save({ name: `${letter} film`, parent: root });
      });
    }
  });
  afterAll(() => db.drop());

  const names = (subjects: Subject[]) => subjects.map(({ name }) => name).sort();
  const find = (name: string) => trees().findOneByOrFail({ name });
  interface Tree {
    [name: string]: Tree;
  }
  const treeOf = ({ children }: Subject): Tree =>
    Object.fromEntries((children ?? []).map((child) => [child.name, treeOf(child)]));

  it('the rows that must stay hidden exist', async () => {
    const [{ n }] = (await db.asSuperuser<{ n: number }>(
      `SELECT count(*)::int AS n FROM ${tables[0]} WHERE tenant_id = '${B}'`,
    )) as [{ n: number }];
    expect(n).toBe(4);
  });

  it.each<[string, () => Promise<unknown>, unknown, string[]]>([
    ['roots', async () => names(await trees().findRoots()), ['a arts'], tables.slice(0, 1)],
    [
      'trees',
      async () => (await trees().findTrees()).map((root) => [root.name, treeOf(root)]),
      [['a arts', { 'a music': { 'a jazz': {} }, 'a film': {} }]],
      tables,
    ],
    [
      'descendants',
      async () => names(await trees().findDescendants(await find('a music'))),
      ['a jazz', 'a music'],
      tables,
    ],
    [
      'the tree of descendants',
      async () => treeOf(await trees().findDescendantsTree(await find('a arts'))),
      { 'a music': { 'a jazz': {} }, 'a film': {} },
      tables,
    ],
    ['their number', async () => trees().countDescendants(await find('a arts')), 4, tables],
    [
      'ancestors',
      async () => names(await trees().findAncestors(await find('a jazz'))),
      ['a arts', 'a jazz', 'a music'],
      tables,
    ],
    [
      'the tree of ancestors',
      async () => (await trees().findAncestorsTree(await find('a jazz'))).parent?.parent?.name,
      'a arts',
      tables,
    ],
    ['the number of ancestors', async () => trees().countAncestors(await find('a jazz')), 3, tables],
  ])('%s', async (_name, operation, expected, scoped) => {
    let result: unknown;
    const statements = await log.during(() =>
      tenantContext(A, async () => {
        result = await operation();
      }),
    );
    expect(result).toEqual(expected);
    expect(await scansOf(ds, A, statements)).toEqual({ scoped, unscoped: [] });
  });

  it('descendants of another tenant’s subject are none', async () => {
    const [other] = await db.asSuperuser<Subject>(`SELECT * FROM ${tables[0]} WHERE name = 'b arts'`);
    const found = await tenantContext(A, () => trees().findDescendants(other!));
    expect(found).toEqual([]);
    expect(await tenantContext(B, () => trees().countDescendants(other!))).toBe(4); // control
  });

  it('a subject is added and removed in its own tenant’s tree, and no other tenant’s changes', async () => {
    const others = () =>
      db.asSuperuser(
        tables
          .map((table) => `SELECT to_jsonb(t) AS row FROM ${table} t WHERE tenant_id = '${B}'`)
          .join(' UNION ALL '),
      );
    const before = await others();
    expect(before.length).toBeGreaterThanOrEqual(4);
    const change = async () => {
      const opera = await trees().save({ name: 'a opera', parent: await find('a music') });
      expect(names(await trees().findDescendants(await find('a music')))).toEqual([
        'a jazz',
        'a music',
        'a opera',
      ]);
      await trees().remove(opera);
      expect(names(await trees().findDescendants(await find('a music')))).toEqual(['a jazz', 'a music']);
    };
    const statements = await log.during(() => tenantContext(A, change));
    expect(await others()).toEqual(before);
    expect((await scansOf(ds, A, statements)).unscoped).toEqual(changedByItsOwnSql);
  });
});
