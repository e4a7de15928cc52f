import type { QueryRunner } from 'typeorm';
import {
  parentIndex,
  partitionedIndex,
  partitionIndexes,
} from '../../libs/rls-tenants/src/migrations/index.js';
import { catalogSnapshot } from '../migrations/catalog-snapshot.js';
import { runMigration } from './support/migration-run.js';
import { A, db, LOCK_TIMEOUT, queryRunner, useSchema } from './support/suite.js';
import { underTraffic } from './support/traffic.js';

/** Two partitions whose names are as long as PostgreSQL takes them, and differ in the last letter only. */
const LONG = 'p'.repeat(62);

useSchema(
  () =>
    `CREATE TABLE finding (tenant_id uuid NOT NULL, day int NOT NULL, kind text) PARTITION BY RANGE (day);
     CREATE TABLE ${LONG}a PARTITION OF finding FOR VALUES FROM (0) TO (10);
     CREATE TABLE finding_2 PARTITION OF finding FOR VALUES FROM (10) TO (30) PARTITION BY RANGE (day);
     CREATE TABLE ${LONG}b PARTITION OF finding_2 FOR VALUES FROM (10) TO (20);
     INSERT INTO finding SELECT '${A}', n % 20, n::text FROM generate_series(1, 1000) AS n;
     GRANT SELECT, INSERT ON finding TO ${db.roles.app}`,
);

const byKind = { table: 'finding', columns: ['tenant_id', 'kind'], name: 'finding_kind' } as const;

/** Each table of the tree with its index, and whether that is valid and part of its parent's. */
const treeIndexes = () =>
  db.asSuperuser<{ table: string; index: string; valid: boolean; attached: boolean }>(
    `SELECT indrelid::regclass::text AS "table", indexrelid::regclass::text AS index, indisvalid AS valid,
       EXISTS (SELECT FROM pg_inherits WHERE inhrelid = indexrelid) AS attached
     FROM pg_index WHERE indrelid IN (SELECT relid FROM pg_partition_tree('finding')) ORDER BY 1`,
  );

const expectComplete = async (partitions: number) => {
  const found = await treeIndexes();
  expect(found).toHaveLength(partitions + 1);
  for (const { table, valid, attached } of found) {
    expect({ table, valid, attached }).toEqual({ table, valid: true, attached: table !== 'finding' });
  }
};

describe('partitionedIndex', () => {
  it('makes one valid index of all levels, with a name for each that PostgreSQL need not cut', async () => {
    await partitionedIndex(byKind).up(queryRunner);
    await expectComplete(3);
    expect(new Set((await treeIndexes()).map(({ index }) => index)).size).toBe(4);
  });

  it('includes partitions that appear while it is made', async () => {
    // After the partitions were listed, before the partitioned tables have the index: nothing gives it to these.
    const query = queryRunner.query.bind(queryRunner);
    let extended = false;
    queryRunner.query = (async (...statement: Parameters<QueryRunner['query']>) => {
      if (!extended && statement[0].startsWith('CREATE INDEX "finding_kind" ON ONLY')) {
        extended = true;
        await db.as(
          'migrator',
          `CREATE TABLE late PARTITION OF finding FOR VALUES FROM (40) TO (50) PARTITION BY RANGE (day);
           CREATE TABLE late_1 PARTITION OF late FOR VALUES FROM (40) TO (45)`,
        );
      }
      return query(...statement);
    }) as QueryRunner['query'];
    await partitionedIndex(byKind).up(queryRunner);
    expect(extended).toBe(true);
    await expectComplete(5);
    // And after it is made PostgreSQL takes care of that.
    await db.as('migrator', 'CREATE TABLE later PARTITION OF finding FOR VALUES FROM (50) TO (60)');
    await expectComplete(6);
    await partitionedIndex(byKind).up(queryRunner);
    await expectComplete(6);
  });

  it('refuses another index of the name on a partition or on the partitioned table', async () => {
    await queryRunner.query('CREATE INDEX finding_kind ON ONLY finding (kind)');
    await expect(partitionedIndex(byKind).up(queryRunner)).rejects.toThrow(
      'it is USING btree (kind), and should be USING btree (tenant_id, kind)',
    );
    await queryRunner.query(
      `DROP INDEX finding_kind; CREATE INDEX finding_2_finding_kind ON ONLY finding_2 (kind)`,
    );
    await expect(partitionedIndex(byKind).up(queryRunner)).rejects.toThrow('"finding_2_finding_kind"');
  });

  it('refuses an invalid index that somebody attached, which keeps the whole invalid', async () => {
    await partitionedIndex(byKind).up(queryRunner);
    await db.asSuperuser(
      `UPDATE pg_index SET indisvalid = false WHERE indexrelid::regclass::text IN ('finding_kind', (
         SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = '${LONG}a'::regclass))`,
    );
    await expect(partitionedIndex(byKind).up(queryRunner)).rejects.toMatchObject({
      hint: 'Drop index "finding_kind", and run the migration again: it builds both anew.',
    });
    await queryRunner.query('DROP INDEX finding_kind');
    await partitionedIndex(byKind).up(queryRunner);
    await expectComplete(3);
  });

  it('refuses a table that is not partitioned', async () => {
    await queryRunner.query('CREATE TABLE plain (tenant_id uuid, kind text)');
    const up = partitionedIndex({ ...byKind, table: 'plain' }).up(queryRunner);
    await expect(up).rejects.toThrow('Table "plain" is not partitioned.');
  });

  it('can be unique with the partition key', async () => {
    await partitionedIndex({ ...byKind, columns: ['tenant_id', 'day', 'kind'], unique: true }).up(
      queryRunner,
    );
    await expectComplete(3);
    const again = db.as('migrator', `INSERT INTO finding VALUES ('${A}', 1, '1')`);
    await expect(again).rejects.toMatchObject({ code: '23505' });
  });

  it('lets readers and writers go on, and waits for locks no longer than its lock_timeout', async () => {
    await queryRunner.query(
      `INSERT INTO finding SELECT '${A}', n % 20, n::text FROM generate_series(1, 200000) AS n`,
    );
    const traffic = await underTraffic(
      db.url('app'),
      {
        read: 'SELECT count(*) FROM (SELECT FROM finding WHERE day = 3 LIMIT 10) AS few',
        write: `INSERT INTO finding VALUES ('${A}', 5, 'new')`,
      },
      () => runMigration(db, [partitionedIndex(byKind)]),
    );
    expect(traffic.writes).toBeGreaterThan(20);
    expect(traffic.longestWrite).toBeLessThan(LOCK_TIMEOUT);
    expect(traffic.longestRead).toBeLessThan(LOCK_TIMEOUT);
  });
});

describe('down', () => {
  it.each([
    ['partitionedIndex', partitionedIndex],
    ['parentIndex', parentIndex],
  ])('of %s refuses another index of the name, and leaves it', async (_, operation) => {
    await queryRunner.query('CREATE INDEX finding_kind ON finding (kind)');
    const before = await catalogSnapshot(db);
    await expect(operation(byKind).down(queryRunner)).rejects.toThrow('has another index "finding_kind"');
    expect(await catalogSnapshot(db)).toEqual(before);
  });
});

describe('partitionIndexes and parentIndex', () => {
  it('do the same in two files, with a partition created between them', async () => {
    const before = await catalogSnapshot(db);
    await partitionIndexes(byKind).up(queryRunner);
    expect((await treeIndexes()).map(({ valid, attached }) => ({ valid, attached }))).toEqual([
      { valid: true, attached: false },
      { valid: true, attached: false },
    ]);
    await queryRunner.query('CREATE TABLE between_both PARTITION OF finding FOR VALUES FROM (60) TO (70)');
    await parentIndex(byKind).up(queryRunner);
    await expectComplete(4);
    await parentIndex(byKind).down(queryRunner);
    await partitionIndexes(byKind).down(queryRunner);
    await queryRunner.query('DROP TABLE between_both');
    expect(await catalogSnapshot(db)).toEqual(before);
  });

  it('take back the first file alone', async () => {
    const before = await catalogSnapshot(db);
    await partitionIndexes(byKind).up(queryRunner);
    await partitionIndexes(byKind).down(queryRunner);
    expect(await catalogSnapshot(db)).toEqual(before);
  });
});
