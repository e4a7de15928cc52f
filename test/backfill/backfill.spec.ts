import { PassThrough } from 'node:stream';
import { DataSource } from 'typeorm';
import {
  Backfill,
  backfillProgressTable,
  type BackfillDefinition,
} from '../../libs/rls-tenants/src/backfill/index.js';
import { isolateDataSource } from '../../libs/rls-tenants/src/connection/index.js';
import { tenantContext } from '../../libs/rls-tenants/src/context/tenant-context.js';
import {
  NoTenantContextError,
  RlsConfigurationError,
  RlsTenantsError,
} from '../../libs/rls-tenants/src/errors.js';
import type { ProtectedDatabase } from '../support/protected-database.js';
import {
  Article,
  backfillOf,
  createArticleDatabase,
  FILL_SLUGS,
  fillArticles,
  hits,
  memoryLogger,
  tenant,
} from './support/articles.js';

let db: ProtectedDatabase;

beforeAll(async () => {
  db = await createArticleDatabase();
});
afterAll(() => db.drop());

describe('a backfill', () => {
  beforeEach(() => fillArticles(db, 4, 25));

  it('changes each row of each tenant once, as the app role', async () => {
    const backfill = await backfillOf(db, [FILL_SLUGS]);
    const totals = await backfill.run('fill-slugs');
    expect(totals).toMatchObject({ tenants: 4, rowsDone: 100, rowsSkipped: 0 });
    expect(totals.batches).toBeGreaterThanOrEqual(12);
    expect(await hits(db)).toEqual({ 1: 100 });
    expect(await db.asSuperuser('SELECT slug FROM article WHERE id = 1')).toEqual([{ slug: 'title 1!' }]);
  });

  it('touches only its tenant, though the definition has no WHERE', async () => {
    const backfill = await backfillOf(db, [FILL_SLUGS]);
    await backfill.runTenant('fill-slugs', tenant(2));
    expect(
      await db.asSuperuser(
        'SELECT tenant_id AS tenant, count(*)::int AS rows FROM article WHERE hits > 0 GROUP BY 1',
      ),
    ).toEqual([{ tenant: tenant(2), rows: 25 }]);
    expect(await hits(db)).toEqual({ 0: 75, 1: 25 });
  });

  it('reads only its tenant in sub-selects and in each()', async () => {
    const counted = {
      ...FILL_SLUGS,
      name: 'counted',
      parameters: [],
      set: { hits: '(SELECT count(*) FROM article)' },
    };
    const seen = new Set<number>();
    const each: BackfillDefinition = {
      name: 'each',
      table: 'article',
      each: async (_, manager) => void seen.add(await manager.count(Article)),
    };
    const backfill = await backfillOf(db, [counted, each]);
    await backfill.run('counted');
    await backfill.run('each');
    expect(await hits(db)).toEqual({ 25: 100 });
    expect([...seen]).toEqual([25]);
  });

  it('does not run again once it is finished', async () => {
    const backfill = await backfillOf(db, [FILL_SLUGS]);
    await backfill.run('fill-slugs');
    expect(await backfill.run('fill-slugs')).toMatchObject({ rowsDone: 0 });
    expect(await hits(db)).toEqual({ 1: 100 });
    expect(await backfill.progress('fill-slugs')).toEqual({
      tenants: 4,
      tenantsDone: 4,
      rowsDone: 100,
      rowsSkipped: 0,
    });
  });

  it('changes only the rows that `where` names', async () => {
    const some = { ...FILL_SLUGS, where: `title <> 'Title 3' AND slug IS NULL` };
    await (await backfillOf(db, [some])).run('fill-slugs');
    expect(await hits(db)).toEqual({ 0: 4, 1: 96 });
  });

  it('takes the tenants it is given, and no others', async () => {
    async function* given() {
      yield tenant(1);
      yield tenant(3).toUpperCase();
    }
    await (await backfillOf(db, [{ ...FILL_SLUGS, tenants: given }])).run('fill-slugs');
    expect(
      await db.asSuperuser('SELECT DISTINCT tenant_id AS id FROM article WHERE hits = 1 ORDER BY 1'),
    ).toEqual([{ id: tenant(1) }, { id: tenant(3) }]);
  });

  it('logs totals at start and end, and nothing per batch', async () => {
    const logger = memoryLogger();
    await (await backfillOf(db, [FILL_SLUGS], { logger })).run('fill-slugs');
    expect(logger.lines).toEqual([
      'log Backfill "fill-slugs" of table "article": 4 tenants, about 100 rows.',
      'log Backfill "fill-slugs": 4 tenants finished, 100 rows changed, 0 skipped.',
    ]);
  });

  it.each([
    [true, /fill-slugs .*4\/4 tenants, 100 rows/],
    [false, /^$/],
  ])('draws a bar on a terminal only (terminal: %s)', async (isTTY, expected) => {
    const output = Object.assign(new PassThrough(), { isTTY, columns: 200 }) as unknown as NodeJS.WriteStream;
    const written: string[] = [];
    output.on('data', (chunk: Buffer) => written.push(chunk.toString()));
    await (await backfillOf(db, [FILL_SLUGS], { logger: memoryLogger(), output })).run('fill-slugs');
    expect(written.join('')).toMatch(expected);
  });

  it('stops between two batches when its signal says so, and goes on later', async () => {
    const stop = new AbortController();
    let batches = 0;
    const stopping = {
      ...FILL_SLUGS,
      mayProceed: () => (++batches === 5 && stop.abort(new Error('enough')), true),
    };
    const backfill = await backfillOf(db, [stopping]);
    await expect(backfill.run('fill-slugs', { signal: stop.signal })).rejects.toThrow('enough');
    const { rowsDone } = await backfill.progress('fill-slugs');
    expect(rowsDone).toBeLessThanOrEqual(40);
    expect(await backfill.run('fill-slugs')).toMatchObject({ rowsDone: 100 - rowsDone });
    expect(await hits(db)).toEqual({ 1: 100 });
  });

  it('pauses between batches, and while it may not proceed', async () => {
    let asked = 0;
    const slow = {
      ...FILL_SLUGS,
      tenants: [tenant(1)],
      pauseMs: 60,
      mayProceed: () => Promise.resolve(++asked !== 1),
    };
    const backfill = await backfillOf(db, [slow]);
    const start = performance.now();
    await backfill.run('fill-slugs');
    expect(performance.now() - start).toBeGreaterThan(1000 + 2 * 60);
  });

  it('shares the tenants among its workers and among several runs', async () => {
    const runs = [await backfillOf(db, [FILL_SLUGS]), await backfillOf(db, [FILL_SLUGS])];
    const totals = await Promise.all(runs.map((backfill) => backfill.run('fill-slugs', { workers: 2 })));
    expect(await hits(db)).toEqual({ 1: 100 });
    expect(totals.reduce((sum, { rowsDone }) => sum + rowsDone, 0)).toBe(100);
  });
});

describe('each()', () => {
  beforeEach(() => fillArticles(db, 2, 25));

  const each: BackfillDefinition = {
    name: 'each',
    table: 'article',
    columns: ['id', 'title'],
    batchSize: 10,
    each: async (row, manager) => {
      await manager.increment(Article, { id: row['id'] as number }, 'hits', 1);
      if (row['title'] === 'Title 7') throw new Error('cannot read it');
      if (row['title'] === 'Title 8') await manager.query('SELECT 1 / 0');
    },
  };

  it('undoes, logs and counts the rows that it fails on, and changes the others', async () => {
    const logger = memoryLogger();
    const totals = await (await backfillOf(db, [each], { logger })).run('each');
    expect(totals).toMatchObject({ rowsDone: 46, rowsSkipped: 4 });
    expect(await hits(db)).toEqual({ 0: 4, 1: 46 });
    expect(logger.lines.filter((line) => line.startsWith('warn'))).toEqual([
      `warn Backfill "each" skipped row (13) of tenant ${tenant(1)}: Error: cannot read it`,
      expect.stringContaining(`skipped row (15) of tenant ${tenant(1)}: QueryFailedError: division by zero`),
      expect.stringContaining('skipped row (14)'),
      expect.stringContaining('skipped row (16)'),
      'warn Backfill "each": 2 tenants finished, 46 rows changed, 4 skipped.',
    ]);
  });

  it('gets only the columns it asks for', async () => {
    const seen = new Set<string>();
    const reading = { ...each, each: async (row: object) => void seen.add(Object.keys(row).join()) };
    await (await backfillOf(db, [reading])).run('each');
    expect([...seen]).toEqual(['id,title']);
  });
});

describe('set', () => {
  beforeEach(() => fillArticles(db, 2, 25));

  const failing: BackfillDefinition = {
    name: 'failing',
    table: 'article',
    set: {
      hits: `hits + 1 / (CASE WHEN title IN ('Title 1', 'Title 7', 'Title 8') THEN 0 ELSE $1::int END)`,
    },
    parameters: [1],
    batchSize: 10,
  };

  it('leaves, logs and counts the rows whose values fail it, and changes the others', async () => {
    const logger = memoryLogger();
    const backfill = await backfillOf(db, [failing], { logger });
    expect(await backfill.run('failing')).toMatchObject({ rowsDone: 44, rowsSkipped: 6 });
    expect(await hits(db)).toEqual({ 0: 6, 1: 44 });
    expect(logger.lines.filter((line) => line.startsWith('warn'))).toEqual([
      ...[1, 13, 15].map((id) => expect.stringContaining(`skipped row (${id}) of tenant ${tenant(1)}`)),
      ...[2, 14, 16].map((id) => expect.stringContaining(`skipped row (${id}) of tenant ${tenant(2)}`)),
      'warn Backfill "failing": 2 tenants finished, 44 rows changed, 6 skipped.',
    ]);
    expect(await backfill.progress('failing')).toMatchObject({ rowsDone: 44, rowsSkipped: 6 });
  });

  it('skips rows that a constraint or a trigger refuses', async () => {
    await db.asSuperuser(`ALTER TABLE article ADD CONSTRAINT few CHECK (id <> 5 OR hits = 0)`);
    const backfill = await backfillOf(db, [FILL_SLUGS]);
    try {
      expect(await backfill.run('fill-slugs')).toMatchObject({ rowsDone: 49, rowsSkipped: 1 });
    } finally {
      await db.asSuperuser('ALTER TABLE article DROP CONSTRAINT few');
    }
  });

  it.each([
    ['words', { set: { hits: 'hits + nothing' }, parameters: [] }, 'column "nothing" does not exist'],
    ['parameters', { parameters: ['one'] }, 'invalid input syntax for type integer'],
    ['condition', { where: 'hits / hits = 1' }, 'division by zero'],
  ])('fails at once, and skips nothing, where this is wrong: its %s', async (_, change, message) => {
    const logger = memoryLogger();
    const backfill = await backfillOf(db, [{ ...failing, ...change }], { logger });
    await expect(backfill.run('failing')).rejects.toThrow(message);
    expect(logger.lines.join()).not.toContain('skipped row');
    expect(await hits(db)).toEqual({ 0: 50 });
  });
});

describe('locks', () => {
  beforeEach(() => fillArticles(db, 2, 25));

  it('are waited for briefly, and tried again until they are free', async () => {
    const holder = (await db.plain({ url: db.url('superuser') })).createQueryRunner();
    await holder.startTransaction();
    await holder.query('UPDATE article SET title = title WHERE id = 1');
    const backfill = await backfillOf(db, [{ ...FILL_SLUGS, lockTimeoutMs: 20 }]);
    const run = backfill.run('fill-slugs');
    await new Promise((wait) => setTimeout(wait, 300));
    expect(await hits(db)).toEqual({ 0: 50 });
    await holder.commitTransaction();
    await holder.release();
    expect((await run).longestBatchMs).toBeLessThan(300);
    expect(await hits(db)).toEqual({ 1: 50 });
  });

  it('are waited for, and what was committed meanwhile is what the batch changes', async () => {
    const holder = (await db.plain({ url: db.url('superuser') })).createQueryRunner();
    await holder.startTransaction();
    await holder.query(`UPDATE article SET title = 'Renamed' WHERE id = 1`);
    await holder.query(`UPDATE article SET title = 'Left out' WHERE id = 3`);
    await holder.query('DELETE FROM article WHERE id = 5');
    const backfill = await backfillOf(db, [{ ...FILL_SLUGS, where: `title <> 'Left out'` }]);
    const run = backfill.run('fill-slugs');
    await new Promise((wait) => setTimeout(wait, 200));
    await holder.commitTransaction();
    await holder.release();
    expect(await run).toMatchObject({ rowsDone: 48 });
    expect(await db.asSuperuser('SELECT id, slug FROM article WHERE id IN (1, 3, 5) ORDER BY id')).toEqual([
      { id: 1, slug: 'renamed!' },
      { id: 3, slug: null },
    ]);
    expect(await hits(db)).toEqual({ 0: 1, 1: 48 });
  });

  it('wait for the disk at the end of a tenant only', async () => {
    await db.asSuperuser(
      `CREATE TABLE committed (n serial, tenant_id uuid, synchronous text);
       CREATE FUNCTION note_commit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
       BEGIN
         INSERT INTO committed (tenant_id, synchronous) VALUES (NEW.tenant_id, current_setting('synchronous_commit'));
         RETURN NULL;
       END $$;
       CREATE CONSTRAINT TRIGGER note_commit AFTER UPDATE ON rls_backfill_progress
       DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_commit()`,
    );
    try {
      // As a server has it by default; that of the tests waits for no disk at all.
      const extra = { options: '-c synchronous_commit=on' };
      const dataSource = await db.isolated({}, { poolSize: 1, extra });
      await new Backfill(dataSource, [FILL_SLUGS], { logger: memoryLogger() }).run('fill-slugs');
      const commits = await db.asSuperuser<{ settings: string[] }>(
        'SELECT array_agg(synchronous ORDER BY n) AS settings FROM committed GROUP BY tenant_id',
      );
      expect(commits).toHaveLength(2);
      for (const { settings } of commits) {
        expect(settings.length).toBeGreaterThanOrEqual(3);
        expect(settings.pop()).toBe('on');
        expect(new Set(settings)).toEqual(new Set(['off']));
      }
      const after = () => dataSource.query(`SELECT current_setting('synchronous_commit') AS after`);
      expect(await tenantContext(tenant(1), after)).toEqual([{ after: 'on' }]);
    } finally {
      await db.asSuperuser(
        'DROP TRIGGER note_commit ON rls_backfill_progress; DROP FUNCTION note_commit; DROP TABLE committed',
      );
    }
  });

  it('of a batch let other transactions refer to its rows', async () => {
    await db.asSuperuser('CREATE TABLE remark (article_id int REFERENCES article (id))');
    const definition: BackfillDefinition = {
      name: 'referred',
      table: 'article',
      each: async (row) => void (await db.asSuperuser('INSERT INTO remark VALUES ($1)', [row['id']])),
    };
    const totals = await (await backfillOf(db, [definition])).run('referred');
    expect(totals).toMatchObject({ rowsDone: 50, rowsSkipped: 0 });
    await db.asSuperuser('DROP TABLE remark');
  });
});

it('a tenant on its own is logged at start and end', async () => {
  await fillArticles(db, 2, 25);
  const logger = memoryLogger();
  await (await backfillOf(db, [FILL_SLUGS], { logger })).runTenant('fill-slugs', tenant(1));
  expect(logger.lines).toEqual([
    `log Backfill "fill-slugs" of table "article": tenant ${tenant(1)}.`,
    `log Backfill "fill-slugs": tenant ${tenant(1)} finished, 25 rows changed, 0 skipped.`,
  ]);
});

describe('a backfill is refused', () => {
  beforeEach(() => fillArticles(db, 2, 5));

  it('where rows have no tenant, which it names', async () => {
    await db.asSuperuser(
      'ALTER TABLE article ALTER tenant_id DROP NOT NULL; UPDATE article SET tenant_id = NULL WHERE id = 4',
    );
    try {
      await expect((await backfillOf(db, [FILL_SLUGS])).run('fill-slugs')).rejects.toThrow(
        'rows of table "article" have no tenant; the first have id (4)',
      );
      expect(await hits(db)).toEqual({ 0: 10 });
    } finally {
      await db.asSuperuser(
        'DELETE FROM article WHERE id = 4; ALTER TABLE article ALTER tenant_id SET NOT NULL',
      );
    }
  });

  it('where a batch finds rows that it cannot change, instead of going on for ever', async () => {
    await db.asSuperuser(
      `CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
       CREATE TRIGGER swallow BEFORE UPDATE ON article FOR EACH ROW EXECUTE FUNCTION swallow()`,
    );
    try {
      await expect((await backfillOf(db, [FILL_SLUGS])).run('fill-slugs')).rejects.toThrow(RlsTenantsError);
    } finally {
      await db.asSuperuser('DROP TRIGGER swallow ON article; DROP FUNCTION swallow()');
    }
  });

  it.each(['migrator', 'superuser'] as const)('as %s, who sees every tenant', async (role) => {
    const dataSource = await isolateDataSource(await db.plain({ url: db.url(role) }), {
      tenantIdType: 'uuid',
      adminRole: db.roles.admin,
    });
    const backfill = new Backfill(dataSource, [FILL_SLUGS], { logger: memoryLogger() });
    await expect(backfill.runTenant('fill-slugs', tenant(1))).rejects.toThrow("sees every tenant's rows");
    expect(await hits(db)).toEqual({ 0: 10 });
  });

  it.each<[string, Partial<BackfillDefinition>, string]>([
    ['that table does not exist', { table: 'nowhere' }, 'does not exist'],
    ['the tenant column does not exist', { tenantColumn: 'owner' }, 'no column "owner"'],
    ['it changes the primary key', { set: { id: 'id + 1000' }, parameters: [] }, 'by which rows are found'],
    ['it changes the tenant', { set: { tenant_id: '$1::uuid' } }, 'by which rows are found'],
  ])('where %s', async (_, change, message) => {
    const backfill = await backfillOf(db, [{ ...FILL_SLUGS, ...change } as BackfillDefinition]);
    await expect(backfill.runTenant('fill-slugs', tenant(1))).rejects.toThrow(message);
  });

  it('for a tenant id of another type, and for an unknown name', async () => {
    const backfill = await backfillOf(db, [FILL_SLUGS]);
    await expect(backfill.runTenant('fill-slugs', "1' OR true")).rejects.toThrow('Invalid tenant id');
    await expect(backfill.runTenant('other', tenant(1))).rejects.toThrow('There is no backfill "other"');
  });

  it('for a tenant that is none of its own', async () => {
    const some = { ...FILL_SLUGS, name: 'some', tenants: () => [tenant(1)] };
    const backfill = await backfillOf(db, [FILL_SLUGS, some]);
    await expect(backfill.runTenant('some', tenant(2))).rejects.toThrow('is not among the tenants');
    await expect(backfill.runTenant('fill-slugs', tenant(3))).rejects.toThrow(
      'has no rows in table "article"',
    );
    expect(await db.asSuperuser('SELECT * FROM rls_backfill_progress')).toEqual([]);
    expect(await hits(db)).toEqual({ 0: 10 });
  });

  it('on a data source that is not isolated', async () => {
    const plain = await db.plain();
    expect(() => new Backfill(plain, [FILL_SLUGS])).toThrow(RlsConfigurationError);
  });

  it.each<Partial<Record<keyof BackfillDefinition, unknown>>>([
    { name: '' },
    { set: {} },
    { set: undefined },
    { each: () => Promise.resolve() },
    { batchSize: 0 },
    { pauseMs: -1 },
    { lockTimeoutMs: 0.5 },
    { table: 'a.b.c' },
  ])('if its definition could not run: %p', async (change) => {
    const dataSource = await db.isolated();
    const definition = { ...FILL_SLUGS, ...change } as BackfillDefinition;
    expect(() => new Backfill(dataSource, [definition])).toThrow(RlsConfigurationError);
  });

  it('if it shares its name', async () => {
    const dataSource = await db.isolated();
    expect(() => new Backfill(dataSource, [FILL_SLUGS, FILL_SLUGS])).toThrow('same name');
  });
});

describe('the progress table', () => {
  it("hides a tenant's progress from other tenants and from nobody", async () => {
    await fillArticles(db, 2, 5);
    await (await backfillOf(db, [FILL_SLUGS])).run('fill-slugs');
    const plain = await db.plain();
    expect(await plain.query('SELECT * FROM rls_backfill_progress')).toEqual([]);
    expect(await db.asSuperuser('SELECT * FROM rls_backfill_progress')).toHaveLength(2);
  });

  it('is dropped by down', async () => {
    const migrator = await new DataSource({ type: 'postgres', url: db.url('migrator') }).initialize();
    const operation = backfillProgressTable({
      tenantIdType: 'uuid',
      appRole: db.roles.app,
      adminRole: db.roles.admin,
    });
    const queryRunner = migrator.createQueryRunner();
    const exists = () => db.asSuperuser(`SELECT to_regclass('rls_backfill_progress') IS NOT NULL AS exists`);
    await operation.down(queryRunner);
    expect(await exists()).toEqual([{ exists: false }]);
    await operation.up(queryRunner);
    expect(await exists()).toEqual([{ exists: true }]);
    await migrator.destroy();
  });
});

describe('composite primary keys', () => {
  it('order the batches, whatever their types', async () => {
    await db.as(
      'migrator',
      `CREATE TABLE line (tenant_id uuid NOT NULL, day date, no text, hits int NOT NULL DEFAULT 0, PRIMARY KEY (no, tenant_id, day));
       ALTER TABLE line ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
       CREATE POLICY line_tenant ON line USING (tenant_id = NULLIF(current_setting('rls.current_tenant', true), '')::uuid);
       CREATE POLICY line_admin ON line TO ${db.roles.admin} USING (true);
       GRANT SELECT, UPDATE ON line TO ${db.roles.app}, ${db.roles.admin}`,
    );
    await db.asSuperuser(
      `INSERT INTO line SELECT ('00000000-0000-4000-8000-' || lpad(t::text, 12, '0'))::uuid, date '2024-02-27' + d, 'n' || n
       FROM generate_series(1, 3) t, generate_series(0, 5) d, generate_series(1, 12) n`,
    );
    const definition = { name: 'lines', table: 'line', set: { hits: 'hits + 1' }, batchSize: 7 };
    const totals = await (await backfillOf(db, [definition])).run('lines');
    expect(totals).toMatchObject({ tenants: 3, rowsDone: 216 });
    expect(await db.asSuperuser('SELECT DISTINCT hits FROM line')).toEqual([{ hits: 1 }]);
  });
});

it('a data source of the app role sees no articles outside a tenant context', async () => {
  const dataSource = await db.isolated();
  await expect(dataSource.query('SELECT * FROM article')).rejects.toThrow(NoTenantContextError);
});
