import type { EntityManager } from 'typeorm';
import { TENANT_ID_TYPES } from '../../libs/rls-tenants/src/context/tenant-id.js';
import { createTenantSchema, type TenantSchema } from './support/tenant-schema.js';
import { TENANTS, workEntities } from './support/work-entities.js';

const RLS = /row-level security policy/;
const FOREIGN_KEY = /violates foreign key constraint/;

// The tenant setting is set by hand, in an explicit transaction of the app role, so that what is tested is what the
// metadata makes of the schema, and PostgreSQL of the policies: nothing here goes through a subscriber.
describe.each(TENANT_ID_TYPES)('tenant-scoped entities with %s tenants', (tenantIdType) => {
  const [A, B] = TENANTS[tenantIdType];
  const { Workspace, Country, Member, Project, Tag, Task } = workEntities(tenantIdType);
  let db: TenantSchema;

  beforeAll(async () => {
    db = await createTenantSchema([Workspace, Country, Member, Project, Tag, Task]);
    await db.app.getRepository(Workspace).insert([{ id: A }, { id: B }]);
  });
  beforeEach(() => db.asSuperuser('TRUNCATE member, project, tag, task, country CASCADE'));
  afterAll(() => db.drop());

  const asTenant = <T>(tenantId: string | number, work: (manager: EntityManager) => Promise<T>) =>
    db.asTenant(tenantId, work);
  const tenantsIn = async (table: string) => {
    const rows = await db.asSuperuser<{ tenant_id: string }>(
      `SELECT tenant_id::text FROM ${table} ORDER BY 1`,
    );
    return rows.map((row) => row.tenant_id);
  };
  const countIn = async (table: string) => (await tenantsIn(table)).length;

  describe('the tenant column', () => {
    it('is filled by its default in raw SQL', async () => {
      await asTenant(A, (manager) => manager.query(`INSERT INTO tag (name) VALUES ('raw')`));
      await asTenant(B, (manager) => manager.query(`INSERT INTO tag (name) VALUES ('raw'), ('raw')`));
      expect(await tenantsIn('tag')).toEqual([A, B, B].map(String));
    });

    it('stays unfilled outside any tenant, and the insert fails', async () => {
      await expect(db.as('app', `INSERT INTO tag (name) VALUES ('nobody')`)).rejects.toThrow(RLS);
      expect(await countIn('tag')).toBe(0);
    });

    it('is filled and loaded by save()', async () => {
      const tag = await asTenant(A, (manager) => manager.save(Tag, { name: 'saved' }));
      expect(tag.tenantId).toBe(A);
      expect(await tenantsIn('tag')).toEqual([String(A)]);
      expect(await asTenant(A, (manager) => manager.findOneByOrFail(Tag, { id: tag.id }))).toMatchObject({
        tenantId: A,
      });
    });

    it('is filled by insert(), many rows at once', async () => {
      const result = await asTenant(A, (manager) => manager.insert(Tag, [{ name: 'one' }, { name: 'two' }]));
      expect(result.generatedMaps).toEqual([
        expect.objectContaining({ tenantId: A }),
        expect.objectContaining({ tenantId: A }),
      ]);
      expect(await tenantsIn('tag')).toEqual([A, A].map(String));
    });

    it('is filled by the insert query builder, with a list of columns too', async () => {
      await asTenant(B, async (manager) => {
        await manager.createQueryBuilder().insert().into(Tag).values({ name: 'built' }).execute();
        await manager.createQueryBuilder().insert().into(Tag, ['name']).values({ name: 'listed' }).execute();
      });
      expect(await tenantsIn('tag')).toEqual([B, B].map(String));
    });

    it('is filled by upsert(), whose conflict stays within the tenant', async () => {
      const upsert = (name: string) => (manager: EntityManager) =>
        manager.upsert(Member, { email: 'x@example.org', name }, { conflictPaths: ['tenantId', 'email'] });
      await asTenant(A, upsert('first'));
      await asTenant(B, upsert('other'));
      await asTenant(A, upsert('second'));
      const rows = await db.asSuperuser('SELECT tenant_id::text, name FROM member ORDER BY tenant_id');
      expect(rows).toEqual([
        { tenant_id: String(A), name: 'second' },
        { tenant_id: String(B), name: 'other' },
      ]);
    });

    it('may be named through the relation that shares it', async () => {
      const project = await asTenant(A, (manager) =>
        manager.save(Project, { title: 'p', workspace: { id: A } }),
      );
      expect(await tenantsIn('project')).toEqual([String(A)]);
      const found = await asTenant(A, (manager) =>
        manager.findOneOrFail(Project, { where: { id: project.id }, relations: { workspace: true } }),
      );
      expect(found).toMatchObject({ tenantId: A, workspace: { id: A } });
    });

    it('cannot name another tenant, neither by value nor through a relation', async () => {
      await expect(asTenant(A, (manager) => manager.insert(Tag, { name: 'x', tenantId: B }))).rejects.toThrow(
        RLS,
      );
      await expect(
        asTenant(A, (manager) => manager.save(Project, { title: 'x', workspace: { id: B } })),
      ).rejects.toThrow(RLS);
      expect([await countIn('tag'), await countIn('project')]).toEqual([0, 0]);
    });

    it('cannot be changed to another tenant', async () => {
      const tag = await asTenant(A, (manager) => manager.save(Tag, { name: 'mine' }));
      await expect(asTenant(A, (manager) => manager.update(Tag, tag.id, { tenantId: B }))).rejects.toThrow(
        RLS,
      );
      expect(await tenantsIn('tag')).toEqual([String(A)]);
    });
  });

  describe('graphs', () => {
    const graph = () => ({
      title: 'Launch',
      tasks: [
        { title: 'Write', tags: [{ name: 'text' }, { name: 'urgent' }] },
        { title: 'Draw', tags: [{ name: 'art' }] },
      ],
    });

    it('are saved with one tenant in every table, join tables included', async () => {
      await asTenant(A, (manager) => manager.save(Project, graph()));
      await asTenant(B, (manager) => manager.save(Project, graph()));
      for (const [table, rows] of Object.entries({ project: 1, task: 2, tag: 3, task_tags_tag: 3 })) {
        expect([table, await tenantsIn(table)]).toEqual([
          table,
          [A, B].flatMap((id) => Array(rows).fill(String(id))),
        ]);
      }
    });

    it("are loaded without another tenant's rows, by joins, by relation ids and by separate queries", async () => {
      await asTenant(A, (manager) => manager.save(Project, graph()));
      await asTenant(B, (manager) => manager.save(Project, graph()));
      expect(await countIn('task')).toBe(4);
      for (const relationLoadStrategy of ['join', 'query'] as const) {
        const projects = await asTenant(A, (manager) =>
          manager.find(Project, {
            relations: { tasks: { tags: true } },
            relationLoadStrategy,
            order: { tasks: { id: 'ASC' } },
          }),
        );
        expect(projects).toHaveLength(1);
        expect(projects[0]).toMatchObject({
          tenantId: A,
          tasks: [
            { tenantId: A, tags: [{}, {}] },
            { tenantId: A, tags: [{}] },
          ],
        });
      }
      const tasks = await asTenant(A, (manager) =>
        manager.find(Task, { loadRelationIds: true, order: { id: 'ASC' } }),
      );
      expect(tasks.map((task) => task.tags)).toEqual([
        [expect.any(Number), expect.any(Number)],
        [expect.any(Number)],
      ]);
    });

    it('change their links: add, remove, replace, and by the relation query builder', async () => {
      const project = await asTenant(A, (manager) => manager.save(Project, graph()));
      const [task] = project.tasks;
      const linked = () =>
        asTenant(A, (manager) =>
          manager.findOneOrFail(Task, {
            where: { id: task!.id },
            relations: { tags: true },
            order: { tags: { id: 'ASC' } },
          }),
        );
      const names = async () => (await linked()).tags.map((tag) => tag.name);

      await asTenant(A, async (manager) => {
        const loaded = await manager.findOneOrFail(Task, {
          where: { id: task!.id },
          relations: { tags: true },
        });
        loaded.tags = [
          ...loaded.tags.filter((tag) => tag.name !== 'text'),
          manager.create(Tag, { name: 'new' }),
        ];
        await manager.save(loaded);
      });
      expect(await names()).toEqual(['urgent', 'new']);

      const art = project.tasks[1]!.tags[0]!;
      const builder = (manager: EntityManager) =>
        manager.createQueryBuilder().relation(Task, 'tags').of(task!.id);
      await asTenant(A, (manager) => builder(manager).add(art.id));
      expect((await names()).toSorted()).toEqual(['art', 'new', 'urgent']);
      await asTenant(A, (manager) => builder(manager).remove(art.id));
      const { tags } = await linked();
      await asTenant(A, (manager) => builder(manager).addAndRemove([art], tags));
      expect(await names()).toEqual(['art']);
      const loaded = await asTenant(A, (manager) => builder(manager).loadMany());
      expect(loaded).toEqual([expect.objectContaining({ name: 'art', tenantId: A })]);
    });

    it('lose their children with the parent, and a reviewer without losing the task or its tenant', async () => {
      const [project, member] = await asTenant(A, async (manager) => [
        await manager.save(Project, graph()),
        await manager.save(Member, { email: 'r@example.org' }),
      ]);
      await asTenant(A, (manager) =>
        manager.update(Task, { project: { id: project.id } }, { reviewer: { id: member.id } }),
      );
      await asTenant(A, (manager) => manager.delete(Member, member.id));
      expect(await db.asSuperuser('SELECT DISTINCT tenant_id::text, reviewer_id FROM task')).toEqual([
        { tenant_id: String(A), reviewer_id: null },
      ]);
      await asTenant(A, (manager) => manager.remove(manager.create(Project, { id: project.id })));
      expect([await countIn('task'), await countIn('task_tags_tag'), await countIn('tag')]).toEqual([
        0, 0, 3,
      ]);
    });

    it('may lose a child from a collection: the reference is nulled, the tenant stays', async () => {
      const project = await asTenant(A, (manager) => manager.save(Project, graph()));
      await asTenant(A, async (manager) => {
        const loaded = await manager.findOneOrFail(Project, {
          where: { id: project.id },
          relations: { tasks: true },
        });
        loaded.tasks = loaded.tasks.filter((task) => task.title === 'Write');
        await manager.save(loaded);
      });
      const rows = await db.asSuperuser(
        'SELECT title, tenant_id::text, "projectId" IS NULL AS orphan FROM task ORDER BY title',
      );
      expect(rows).toEqual([
        { title: 'Draw', tenant_id: String(A), orphan: true },
        { title: 'Write', tenant_id: String(A), orphan: false },
      ]);
    });
  });

  describe("another tenant's rows", () => {
    let projectOfA: number;
    let taskOfA: number;
    let tagOfA: number;
    let taskOfB: number;

    beforeEach(async () => {
      const save = (manager: EntityManager) =>
        manager.save(Project, { title: 'p', tasks: [{ title: 't', tags: [{ name: 'g' }] }] });
      const [a, b] = [await asTenant(A, save), await asTenant(B, save)];
      [projectOfA, taskOfA, tagOfA, taskOfB] = [
        a.id,
        a.tasks[0]!.id,
        a.tasks[0]!.tags[0]!.id,
        b.tasks[0]!.id,
      ];
    });

    it('are hidden in entity and join tables alike', async () => {
      for (const table of ['project', 'task', 'tag', 'task_tags_tag']) {
        expect(await countIn(table)).toBe(2);
        const rows = await asTenant(B, (manager) =>
          manager.query<{ tenant_id: string | number }[]>(`SELECT tenant_id FROM ${table}`),
        );
        expect(rows.map((row) => row.tenant_id)).toEqual([B]);
        expect(await db.as('app', `SELECT * FROM ${table}`)).toEqual([]);
      }
    });

    it('cannot be referenced', async () => {
      const reference = { title: 'x', project: { id: projectOfA } };
      await expect(asTenant(B, (manager) => manager.insert(Task, reference))).rejects.toThrow(FOREIGN_KEY);
      await expect(
        asTenant(B, (manager) => manager.update(Task, taskOfB, { project: { id: projectOfA } })),
      ).rejects.toThrow(FOREIGN_KEY);
      await expect(asTenant(A, (manager) => manager.insert(Task, reference))).resolves.toBeDefined();
    });

    it('cannot be linked in a join table, by either side', async () => {
      const link = (taskId: number, tagId: number) => (manager: EntityManager) =>
        manager.createQueryBuilder().relation(Task, 'tags').of(taskId).add(tagId);
      await expect(asTenant(B, link(taskOfB, tagOfA))).rejects.toThrow(FOREIGN_KEY);
      await expect(asTenant(B, link(taskOfA, tagOfA))).rejects.toThrow(/duplicate key|violates foreign key/);
      await expect(
        asTenant(B, (manager) =>
          manager.query(`INSERT INTO task_tags_tag VALUES ($1, $2, $3)`, [taskOfB, tagOfA, A]),
        ),
      ).rejects.toThrow(RLS);
      expect(await countIn('task_tags_tag')).toBe(2);
    });

    it('are not reached by a delete that cascades, nor by a reference that is there already', async () => {
      await expect(
        db.asSuperuser(`INSERT INTO task (title, tenant_id, "projectId") VALUES ('stray', $1, $2)`, [
          B,
          projectOfA,
        ]),
      ).rejects.toThrow(FOREIGN_KEY);
      await asTenant(A, (manager) => manager.delete(Project, projectOfA));
      expect(await tenantsIn('task')).toEqual([String(B)]);
      expect(await tenantsIn('task_tags_tag')).toEqual([String(B)]);
    });

    it('cannot be changed or deleted, also without a WHERE clause', async () => {
      await asTenant(B, (manager) => manager.query(`UPDATE task SET title = 'changed'`));
      await asTenant(B, (manager) => manager.query('DELETE FROM task_tags_tag'));
      await asTenant(B, (manager) => manager.remove(manager.create(Tag, { id: tagOfA })));
      expect(await db.asSuperuser('SELECT title, tenant_id::text FROM task ORDER BY title')).toEqual([
        { title: 'changed', tenant_id: String(B) },
        { title: 't', tenant_id: String(A) },
      ]);
      expect(await tenantsIn('task_tags_tag')).toEqual([String(A)]);
      expect(await countIn('tag')).toBe(2);
    });
  });

  it('link to rows of a global table, each tenant on its own', async () => {
    await db.app.getRepository(Country).insert({ name: 'Chile' });
    const [country] = await db.app.getRepository(Country).find();
    for (const tenantId of [A, B])
      await asTenant(tenantId, (manager) => manager.save(Task, { title: 'x', countries: [country!] }));
    expect(await tenantsIn('task_countries_country')).toEqual([A, B].map(String));
    const tasks = await asTenant(B, (manager) => manager.find(Task, { relations: { countries: true } }));
    expect(tasks).toEqual([expect.objectContaining({ tenantId: B, countries: [country] })]);
  });
});
