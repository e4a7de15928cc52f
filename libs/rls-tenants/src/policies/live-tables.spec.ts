import { RlsConfigurationError } from '../errors.js';
import {
  addNullableColumnSql,
  attachPartitionSql,
  buildIndexSql,
  countOrphansSql,
  duplicateKeysSql,
  partitionBoundSql,
  partitionIndexName,
  renamePolicySql,
  restoreDefaultSql,
  restorePolicySql,
} from './index.js';

const note = { schema: 'acme', name: 'my.note' };

describe('indexes of tables in use', () => {
  it('are written in every form', () => {
    expect(
      buildIndexSql(note, 'ix', { columns: ['a', { expression: 'lower(b) DESC' }] }, 'concurrently'),
    ).toBe('CREATE INDEX CONCURRENTLY "ix" ON "acme"."my.note" USING "btree" ("a", lower(b) DESC)');
    expect(
      buildIndexSql(note, 'ix', { columns: ['a'], unique: true, where: 'b', method: 'gin' }, 'only'),
    ).toBe('CREATE UNIQUE INDEX "ix" ON ONLY "acme"."my.note" USING "gin" ("a") WHERE b');
    expect(() => buildIndexSql(note, 'ix', { columns: [] }, 'plain')).toThrow(RlsConfigurationError);
  });

  it('of partitions have names of their own that PostgreSQL need not cut', () => {
    expect(partitionIndexName('ix', 'note_1')).toBe('note_1_ix');
    const names = ['a', 'b'].map((end) => partitionIndexName('index', `${'p'.repeat(62)}${end}`));
    expect(new Set(names).size).toBe(2);
    for (const name of names) expect(Buffer.byteLength(name)).toBeLessThanOrEqual(63);
  });

  it('take rows with a NULL for distinct', () => {
    expect(duplicateKeysSql(note, ['a'], 'b')).toBe(
      `SELECT concat_ws(', ', quote_literal("a"::text)) AS "key", count(*)::text AS "rows" FROM "acme"."my.note" ` +
        'WHERE "a" IS NOT NULL AND (b) GROUP BY "a" HAVING count(*) > 1 LIMIT 5',
    );
  });
});

describe('partition bounds', () => {
  it.each([
    [
      { from: ['2026-01-01', 1], to: ["o'clock", 2] },
      `FOR VALUES FROM ('2026-01-01', '1') TO ('o''clock', '2')`,
    ],
    [{ in: ['a'] }, `FOR VALUES IN ('a')`],
    [{ modulus: 4, remainder: 3 }, 'FOR VALUES WITH (MODULUS 4, REMAINDER 3)'],
  ])('%j', (bound, sql) => {
    expect(partitionBoundSql(bound)).toBe(sql);
    expect(attachPartitionSql('note', 'note_1', bound)).toBe(
      `ALTER TABLE "note" ATTACH PARTITION "note_1" ${sql}`,
    );
  });

  it.each([{ in: [] }, { from: [], to: [1] }, { modulus: 1.5, remainder: 0 }, { modulus: 2, remainder: -1 }])(
    'refuses %j',
    (bound) => {
      expect(() => partitionBoundSql(bound)).toThrow(RlsConfigurationError);
    },
  );
});

describe('columns and foreign keys of tables in use', () => {
  it('gets a default apart from the column, so that no row is rewritten', () => {
    const column = { table: 'note', column: 'uid', type: 'uuid' };
    expect(addNullableColumnSql(column)).toEqual(['ALTER TABLE "note" ADD COLUMN "uid" uuid']);
    expect(addNullableColumnSql({ ...column, default: 'gen_random_uuid()' })).toEqual([
      'ALTER TABLE "note" ADD COLUMN "uid" uuid',
      'ALTER TABLE "note" ALTER COLUMN "uid" SET DEFAULT gen_random_uuid()',
    ]);
  });

  it('counts what references nothing, as MATCH SIMPLE sees it', () => {
    const sql = countOrphansSql('task', 'project', [
      { column: 'tenant_id', referencedColumn: 'tenant_id' },
      { column: 'project_id', referencedColumn: 'id' },
    ]);
    expect(sql).toBe(
      'SELECT count(*)::text AS "orphans" FROM "task" AS "child" WHERE "child"."tenant_id" IS NOT NULL AND ' +
        '"child"."project_id" IS NOT NULL AND NOT EXISTS (SELECT FROM "project" AS "parent" ' +
        'WHERE "parent"."tenant_id" = "child"."tenant_id" AND "parent"."id" = "child"."project_id")',
    );
  });
});

describe('policies of another shape', () => {
  it('get another name and back', () => {
    expect(renamePolicySql('acme.note', 'mine', 'no"te')).toBe(
      'ALTER POLICY "mine" ON "acme"."note" RENAME TO "no""te"',
    );
  });

  it('are restored in one statement, with USING for WITH CHECK where that is not stated', () => {
    expect(restorePolicySql('note', 'p', { using: 'a' })).toBe(
      'ALTER POLICY "p" ON "note" USING (a) WITH CHECK (a)',
    );
    expect(restorePolicySql('note', 'p', { using: 'a', withCheck: 'b' })).toBe(
      'ALTER POLICY "p" ON "note" USING (a) WITH CHECK (b)',
    );
  });

  it('give the tenant column its default back, or none', () => {
    expect(restoreDefaultSql('note', 'tenant_id', 'f()')).toBe(
      'ALTER TABLE "note" ALTER COLUMN "tenant_id" SET DEFAULT f()',
    );
    expect(restoreDefaultSql('note', 'tenant_id', undefined)).toBe(
      'ALTER TABLE "note" ALTER COLUMN "tenant_id" DROP DEFAULT',
    );
  });
});
