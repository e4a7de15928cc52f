import { Column, Entity, JoinColumn, ManyToOne, OneToMany, PrimaryColumn, type DataSource } from 'typeorm';
import { unscoped } from '../../libs/rls-tenants/src/connection/index.js';
import { tenantContext } from '../../libs/rls-tenants/src/context/tenant-context.js';
import { TenantColumn, TenantScoped, tenantTablesOf } from '../../libs/rls-tenants/src/entities/index.js';
import {
  createPolicySql,
  enableRlsSql,
  tenantPolicyName,
  tenantTablePredicate,
} from '../../libs/rls-tenants/src/policies/index.js';
import { A, B, Note, NOTES, Tag } from '../support/notes.js';
import { createProtectedDatabase, type ProtectedDatabase } from '../support/protected-database.js';
import { conditionsOf, planOf, StatementLog, type PlanNode, type Statement } from './support/plans.js';

/** What is planned, and for how many rows; costs and widths left out. */
function shapeOf(nodes: PlanNode[]): unknown[] {
  return nodes.map((node) => [
    node['Node Type'],
    node['Relation Name'],
    node['Plan Rows'],
    conditionsOf(node),
    node['One-Time Filter'],
  ]);
}

function scanOf(nodes: PlanNode[], table: string): PlanNode {
  const [scan, second] = nodes.filter((node) => node['Relation Name'] === table);
  if (!scan || second) throw new Error(`${table} is scanned ${scan ? 'twice' : 'never'}.`);
  return scan;
}

describe('plans of auto-scoped queries, for tenants of very different sizes', () => {
  let db: ProtectedDatabase;
  let ds: DataSource;
  const log = new StatementLog();

  beforeAll(async () => {
    db = await createProtectedDatabase(NOTES);
    ds = await db.isolated({}, { logger: log, logging: ['query'] });
    // A has 20,000 notes, 300 others have 40 each; each note has two tags.
    await db.asSuperuser(`
      INSERT INTO tag (tenant_id, name)
        SELECT ('00000000-0000-4000-8000-' || lpad(t::text, 12, '0'))::uuid, 'tag ' || n
        FROM generate_series(1, 301) AS t, generate_series(1, 20) AS n;
      INSERT INTO note (tenant_id, body)
        SELECT ('00000000-0000-4000-8000-' || lpad(t::text, 12, '0'))::uuid, 'note ' || n
        FROM generate_series(1, 301) AS t, generate_series(1, CASE t WHEN 1 THEN 20000 ELSE 40 END) AS n;
      INSERT INTO note_tags_tag (tenant_id, "noteId", "tagId")
        SELECT n.tenant_id, n.id, t.id
        FROM note n JOIN tag t ON t.tenant_id = n.tenant_id AND t.id % 10 = n.id % 10`);
    await db.asSuperuser('ANALYZE');
  });
  afterAll(() => db.drop());

  const built = (
    tenantId: string,
    build: () => { getQueryAndParameters(): [string, unknown[]] },
  ): Statement => {
    const [sql, parameters] = tenantContext(tenantId, () => build().getQueryAndParameters());
    return { sql, parameters };
  };
  const byBody = () => ds.createQueryBuilder(Note, 'n').where('n.body = :body', { body: 'note 7' });

  it('the scan has the literal, and the policy is evaluated once instead of once a row', async () => {
    const literal = `tenant_id = '${A}'::uuid`;
    const scoped = await planOf(ds, A, built(A, byBody));
    expect(conditionsOf(scanOf(scoped, 'note'))).toContain(literal);
    expect(conditionsOf(scanOf(scoped, 'note'))).not.toContain('current_setting');
    expect(scoped[0]!['One-Time Filter']).toContain('current_setting');

    const control = await planOf(
      ds,
      A,
      unscoped(() => built(A, byBody)),
    );
    expect(conditionsOf(scanOf(control, 'note'))).toContain('current_setting');
    expect(JSON.stringify(control)).not.toContain(literal);
  });

  it.each([
    ['the largest tenant', A, 15_000, 25_000],
    ['a small one', B, 1, 200],
  ])('the rows of %s are estimated for it', async (_name, tenantId, least, most) => {
    const plan = await planOf(
      ds,
      tenantId,
      built(tenantId, () => ds.createQueryBuilder(Note, 'n')),
    );
    const rows = scanOf(plan, 'note')['Plan Rows'];
    expect(rows).toBeGreaterThanOrEqual(least);
    expect(rows).toBeLessThanOrEqual(most);
  });

  describe.each([
    ['the largest tenant', A],
    ['a small one', B],
  ])('the join table of an inner join, for %s,', (_name, tenantId) => {
    // The policies of all its tables compare with the same expression, so one literal in the query reaches them all.
    it.each([
      ['all notes with their tags', () => ds.createQueryBuilder(Note, 'n').innerJoinAndSelect('n.tags', 't')],
      [
        'the notes of a tag',
        () => ds.createQueryBuilder(Note, 'n').innerJoin('n.tags', 't').where("t.name = 'tag 3'"),
      ],
      [
        'the tags of a few notes',
        () => ds.createQueryBuilder(Tag, 't').innerJoin('t.notes', 'n').where('n.id < 100'),
      ],
      [
        'a page',
        () => ds.createQueryBuilder(Note, 'n').innerJoinAndSelect('n.tags', 't').orderBy('n.id').limit(50),
      ],
    ])('gets the literal and the same plan without a condition of its own: %s', async (_query, build) => {
      const without = built(tenantId, build);
      const condition = `"n_t"."tenant_id" = '${tenantId}'`;
      const [before, after] = without.sql.split(' WHERE ') as [string, string];
      const withOne = { ...without, sql: `${before} AND ${condition} WHERE ${after}` };
      expect(without.sql).not.toContain(condition);

      const plan = await planOf(ds, tenantId, without);
      expect(shapeOf(plan)).toEqual(shapeOf(await planOf(ds, tenantId, withOne)));
      expect(conditionsOf(scanOf(plan, 'note_tags_tag'))).toContain(`tenant_id = '${tenantId}'::uuid`);
    });
  });

  it('a left join: the joined table gets the literal, the join table is estimated by the setting', async () => {
    const plan = await planOf(
      ds,
      A,
      built(A, () => ds.createQueryBuilder(Note, 'n').leftJoinAndSelect('n.tags', 't')),
    );
    expect(conditionsOf(scanOf(plan, 'tag'))).toContain(`tenant_id = '${A}'::uuid`);
    const joinTable = scanOf(plan, 'note_tags_tag');
    expect(conditionsOf(joinTable)).toContain('current_setting');
    expect(joinTable['Plan Rows']).toBeGreaterThan(30_000); // of 40,000; an average tenant has 213
  });
});

describe('a table partitioned by tenant', () => {
  @Entity()
  @TenantScoped()
  class Sensor {
    @PrimaryColumn({ type: 'int' }) id!: number;
    @TenantColumn({ primary: true }) tenantId!: string;
    @Column({ type: 'text' }) name!: string;
    @OneToMany(() => Reading, (reading) => reading.sensor) readings!: Reading[];
  }
  @Entity()
  @TenantScoped()
  class Reading {
    @PrimaryColumn({ type: 'int' }) id!: number;
    @TenantColumn({ primary: true }) tenantId!: string;
    @Column({ type: 'int' }) value!: number;
    @ManyToOne(() => Sensor, (sensor) => sensor.readings, { nullable: false })
    @JoinColumn([
      { name: 'sensor_id', referencedColumnName: 'id' },
      { name: 'tenant_id', referencedColumnName: 'tenantId' },
    ])
    sensor!: Sensor;
  }
  let db: ProtectedDatabase;
  let ds: DataSource;
  const log = new StatementLog();
  const TABLES = ['sensor', 'reading'];

  beforeAll(async () => {
    db = await createProtectedDatabase([Sensor, Reading]);
    ds = await db.isolated({}, { logger: log, logging: ['query'] });
    await db.asSuperuser('DROP TABLE reading, sensor');
    const partitions = TABLES.flatMap((table) => [
      `CREATE TABLE ${table}_a PARTITION OF ${table} FOR VALUES IN ('${A}')`,
      `CREATE TABLE ${table}_b PARTITION OF ${table} FOR VALUES IN ('${B}')`,
      `CREATE TABLE ${table}_others PARTITION OF ${table} DEFAULT`,
      `GRANT SELECT, INSERT, UPDATE, DELETE ON ${table} TO ${db.roles.app}`,
    ]);
    const policies = tenantTablesOf(ds).flatMap((table) => [
      ...enableRlsSql(table.table),
      createPolicySql(table.table, tenantPolicyName(table.table), tenantTablePredicate(table)),
    ]);
    await db.as(
      'migrator',
      `CREATE TABLE sensor (id int, tenant_id uuid NOT NULL, name text NOT NULL, PRIMARY KEY (id, tenant_id))
         PARTITION BY LIST (tenant_id);
       CREATE TABLE reading (id int, tenant_id uuid NOT NULL, value int NOT NULL, sensor_id int NOT NULL,
         PRIMARY KEY (id, tenant_id)) PARTITION BY LIST (tenant_id);
       ${[...partitions, ...policies].join(';')}`,
    );
    for (const tenantId of [A, B]) {
      await tenantContext(tenantId, async () => {
        const sensor = await ds.getRepository(Sensor).save({ id: 1, name: tenantId });
        await ds.getRepository(Reading).save([1, 2, 3].map((id) => ({ id, value: id, sensor })));
      });
    }
  });
  afterAll(() => db.drop());

  const partitionsIn = (plan: PlanNode[]) =>
    [...new Set(plan.flatMap((node) => node['Relation Name'] ?? []))]
      .filter((name) => !TABLES.includes(name)) // the parent, as the target of an update
      .sort();

  it.each<[string, () => Promise<unknown>, string[]]>([
    ['find', () => ds.getRepository(Reading).find(), ['reading_a']],
    [
      'find by the rest of the primary key',
      () => ds.getRepository(Reading).findOneBy({ id: 1 }),
      ['reading_a'],
    ],
    [
      'find by the whole primary key, which is not scoped: the tenant is a parameter',
      () => ds.getRepository(Reading).findOneBy({ id: 1, tenantId: A }),
      ['reading_a'],
    ],
    ['count', () => ds.getRepository(Reading).count(), ['reading_a']],
    ['exists', () => ds.getRepository(Reading).existsBy({ value: 2 }), ['reading_a']],
    [
      'an inner join',
      () => ds.createQueryBuilder(Reading, 'r').innerJoinAndSelect('r.sensor', 's').getMany(),
      ['reading_a', 'sensor_a'],
    ],
    [
      'a left join',
      () => ds.getRepository(Sensor).find({ relations: { readings: true } }),
      ['reading_a', 'sensor_a'],
    ],
    [
      'a page with a join',
      () => ds.getRepository(Sensor).find({ relations: { readings: true }, take: 1 }),
      ['reading_a', 'sensor_a'],
    ],
    [
      'a sub-query',
      () =>
        ds
          .createQueryBuilder(Sensor, 's')
          .where((qb) => `s.id IN ${qb.subQuery().select('r.sensor_id').from(Reading, 'r').getQuery()}`)
          .getMany(),
      ['reading_a', 'sensor_a'],
    ],
    ['update', () => ds.getRepository(Reading).update({ value: 99 }, { value: 1 }), ['reading_a']],
    ['delete', () => ds.getRepository(Reading).delete({ value: 99 }), ['reading_a']],
    [
      'save',
      async () => {
        const reading = await ds.getRepository(Reading).findOneByOrFail({ id: 1 });
        await ds.getRepository(Reading).save(Object.assign(reading, { value: reading.value + 10 }));
      },
      ['reading_a'],
    ],
  ])('%s plans for the tenant’s partition alone', async (_name, operation, expected) => {
    const statements = await log.during(() => tenantContext(A, operation));
    const plans = [];
    for (const statement of statements)
      if (/^(?:SELECT|UPDATE|DELETE)/.test(statement.sql)) plans.push(...(await planOf(ds, A, statement)));
    expect(partitionsIn(plans)).toEqual(expected);
    expect(plans.filter((node) => node['Subplans Removed'] !== undefined)).toEqual([]);
  });

  it('without the literal PostgreSQL plans for all partitions, and removes them when it executes', async () => {
    const statements = await log.during(() =>
      tenantContext(A, () => unscoped(() => ds.getRepository(Reading).find())),
    );
    const plan = await planOf(ds, A, statements[0]!);
    expect(plan.map((node) => node['Subplans Removed'])).toContain(2);
  });

  it('isolates as ever', async () => {
    const all = await db.asSuperuser('SELECT * FROM reading');
    expect(all).toHaveLength(6);
    for (const tenantId of [A, B]) {
      const readings = await tenantContext(tenantId, () => unscoped(() => ds.getRepository(Reading).find()));
      expect(readings.map((reading) => reading.tenantId)).toEqual([tenantId, tenantId, tenantId]);
    }
  });
});
