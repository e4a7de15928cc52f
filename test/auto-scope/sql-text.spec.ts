import { In, type DataSource, type Logger } from 'typeorm';
import { adminContext, tenantContext } from '../../libs/rls-tenants/src/context/tenant-context.js';
import { A, B, Country, Note, Notebook, NOTES, Tag } from '../support/notes.js';
import { createProtectedDatabase, type ProtectedDatabase } from '../support/protected-database.js';

describe('the SQL text of auto-scope', () => {
  let db: ProtectedDatabase;
  let ds: DataSource;
  let sql: string[] = [];
  const logger = {
    logQuery: (query: string) => void sql.push(query),
    logQueryError() {},
    logQuerySlow() {},
    logSchemaBuild() {},
    logMigration() {},
    log() {},
  } satisfies Logger;

  beforeAll(async () => {
    db = await createProtectedDatabase(NOTES);
    ds = await db.isolated({}, { logger, logging: ['query'] });
    for (const [tenantId, name] of [
      [A, 'a'],
      [B, 'b'],
    ] as const) {
      await tenantContext(tenantId, () =>
        ds.getRepository(Notebook).save({
          title: name,
          notes: [
            Object.assign(new Note(), { body: `${name}1` }),
            Object.assign(new Note(), { body: `${name}2` }),
          ],
        }),
      );
    }
  });
  afterAll(() => db.drop());
  beforeEach(() => (sql = []));

  const scope = (alias: string) => `"${alias}"."tenant_id" = '${A}'`;

  it.each<[string, () => Promise<unknown>, string[]]>([
    ['find', () => ds.getRepository(Note).find(), [scope('Note')]],
    [
      'find with an OR',
      () => ds.getRepository(Note).find({ where: [{ body: 'a1' }, { body: 'b1' }] }),
      [`AND ( ${scope('Note')} )`],
    ],
    [
      'a join',
      () => ds.createQueryBuilder(Note, 'n').leftJoinAndSelect('n.notebook', 'book').getMany(),
      [scope('n'), scope('book')],
    ],
    [
      'an inner join through a join table',
      () => ds.createQueryBuilder(Note, 'n').innerJoinAndSelect('n.tags', 'tag').getMany(),
      [scope('n'), scope('tag')],
    ],
    [
      'an inner join through a join table from its other side',
      () =>
        ds
          .createQueryBuilder(Tag, 'tag')
          .innerJoin('tag.notes', 'n', 'n.body = :body', { body: 'a1' })
          .getMany(),
      [scope('n'), scope('tag')],
    ],
    [
      'a left join through a join table',
      () => ds.getRepository(Note).find({ relations: { tags: true } }),
      [scope('Note'), scope('Note__Note_tags')],
    ],
    [
      'pagination with a join',
      () => ds.getRepository(Notebook).findAndCount({ relations: { notes: true }, take: 1 }),
      [scope('Notebook')],
    ],
    [
      'a select from two tables',
      () => ds.createQueryBuilder(Note, 'n').addFrom(Tag, 'tag').select('COUNT(*)').getRawOne(),
      [scope('n'), scope('tag')],
    ],
    [
      'a select from a global table and a tenant-scoped one',
      () => ds.createQueryBuilder(Country, 'c').addFrom(Tag, 'tag').select('COUNT(*)').getRawOne(),
      [scope('tag')],
    ],
    [
      'a find by the primary key with relations, which TypeORM turns into two statements',
      () => ds.getRepository(Note).findOne({ where: { id: 1 }, relations: { notebook: true } }),
      [scope('Note'), scope('Note__Note_notebook')],
    ],
    [
      'an update',
      () => ds.getRepository(Note).update({ body: 'none' }, { body: 'x' }),
      [`"tenant_id" = '${A}'`],
    ],
    ['a delete', () => ds.getRepository(Note).delete({ body: 'none' }), [`"tenant_id" = '${A}'`]],
    [
      'an update without WHERE',
      () =>
        ds
          .createQueryBuilder()
          .update(Note)
          .set({ body: () => 'body' })
          .execute(),
      [`WHERE "tenant_id" = '${A}'`],
    ],
  ])('adds the tenant as a literal to %s', async (_name, operation, expected) => {
    await tenantContext(A, operation);
    const text = sql.join('\n');
    for (const part of expected) expect(text).toContain(part);
    expect(text).not.toContain(B);
  });

  it('adds nothing to a find by the whole primary key: there is nothing to gain', async () => {
    const [other] = await db.asSuperuser<{ id: number }>(
      `SELECT id FROM note WHERE tenant_id = '${B}' LIMIT 1`,
    );
    const notes = ds.getRepository(Note);
    const found = await tenantContext(A, () => notes.findOneBy({ id: other!.id }));
    expect(found).toBeNull(); // the policy decides
    expect(sql.join('\n')).not.toContain(A);
  });

  it.each<[string, () => Promise<unknown>]>([
    ['a list of keys', () => ds.getRepository(Note).findBy({ id: In([1, 2]) })],
    ['an OR of keys', () => ds.getRepository(Note).findBy([{ id: 1 }, { id: 2 }])],
    ['a key that is not given', () => ds.getRepository(Note).findBy({ body: 'a1' })],
  ])('adds the tenant to a find by %s', async (_name, operation) => {
    await tenantContext(A, operation);
    expect(sql.join('\n')).toContain(scope('Note'));
  });

  it('keeps the rows of a left join that has no match', async () => {
    await tenantContext(A, async () => {
      await ds.getRepository(Note).save({ body: 'loose' });
      const notes = await ds
        .getRepository(Note)
        .find({ relations: { notebook: true }, order: { body: 'ASC' } });
      expect(notes.map(({ body, notebook }) => [body, notebook?.title])).toEqual([
        ['a1', 'a'],
        ['a2', 'a'],
        ['loose', undefined],
      ]);
    });
  });

  it('adds nothing for the admin, for global tables, and where it is off', async () => {
    const off = await db.isolated({ autoScope: false }, { logger, logging: ['query'] });
    sql = [];
    await adminContext('all', () => ds.getRepository(Note).find());
    await tenantContext(A, () => ds.getRepository(Country).find());
    await tenantContext(A, () => off.getRepository(Note).find());
    expect(sql).toHaveLength(3);
    for (const query of sql) expect(query).not.toContain('"tenant_id" =');
  });

  it('isolation does not depend on it', async () => {
    const off = await db.isolated({ autoScope: false });
    const [a, b] = await Promise.all([
      tenantContext(A, () => off.getRepository(Note).find()),
      tenantContext(B, () => off.getRepository(Note).find()),
    ]);
    expect(new Set(a.map(({ tenantId }) => tenantId))).toEqual(new Set([A]));
    expect(new Set(b.map(({ tenantId }) => tenantId))).toEqual(new Set([B]));
  });

  it('leaves data sources alone that are not isolated', async () => {
    const plain = await db.plain({ logger, logging: ['query'] });
    await tenantContext(A, () => plain.getRepository(Note).find());
    expect(sql.join()).not.toContain('"tenant_id" =');
  });

  it('a literal that TypeORM would rewrite is not added', async () => {
    // TypeORM replaces `alias.property` and `:parameter` wherever it finds them; a text tenant id may hold either.
    const { Entity, PrimaryGeneratedColumn } = await import('typeorm');
    const { TenantColumn, TenantScoped } = await import('../../libs/rls-tenants/src/entities/index.js');
    class Memo {
      id!: number;
      tenantId!: string;
    }
    PrimaryGeneratedColumn()(Memo.prototype, 'id');
    TenantColumn({ type: 'text' })(Memo.prototype, 'tenantId');
    Entity()(Memo);
    TenantScoped()(Memo);
    const texts = await createProtectedDatabase([Memo], 'text');
    const dataSource = await texts.isolated();
    for (const tenantId of [':id', ' Memo.id ', '…:orm_param_0', "o'hara\\", 'plain-1'].map((id) =>
      id.trim(),
    )) {
      await tenantContext(tenantId, async () => {
        const repository = dataSource.getRepository(Memo);
        const { id } = await repository.save({});
        expect(await repository.find({ where: { id } })).toEqual([{ id, tenantId }]);
        expect(await repository.find()).toHaveLength(1);
      });
    }
    expect(await texts.asSuperuser('SELECT * FROM memo')).toHaveLength(5);
    await texts.drop();
  });
});
