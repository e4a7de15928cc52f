import { A, libraryEntities, rowsSql, type Entities } from './generate-entities.js';
import { createProject, type Project } from './generate-support.js';

const NO_DIFFERENCE = 'There is no difference between the entities and the database.\n';

let project: Project;

beforeEach(async () => {
  project = await createProject();
});
afterEach(() => project.drop());

/** The promise: what was generated lints clean, runs, and leaves nothing to generate and nothing for check-rls to find. */
async function expectToSettle(entities: Entities): Promise<void> {
  expect(await project.lintErrors()).toEqual([]);
  await project.migrate();
  expect(await project.failures(entities)).toEqual([]);
  expect(await project.generate(entities)).toEqual({ code: 0, stdout: NO_DIFFERENCE, stderr: '', files: [] });
}

const titlesSeenByA = async () => {
  const rows = await project.as<{ title: string }>(
    'app',
    `SET rls.current_tenant = '${A}'; SELECT title FROM document`,
  );
  return rows.map(({ title }) => title);
};

describe('from an empty database', () => {
  const entities = libraryEntities();

  it('the generated migrations leave no difference, and keep tenants apart', async () => {
    const { code, files, stdout } = await project.generate(entities);
    expect(code).toBe(0);
    for (const file of files) expect(stdout).toContain(file);
    await expectToSettle(entities);

    await project.asSuperuser(rowsSql({ tenantColumn: true }));
    expect(await project.asSuperuser('SELECT FROM document')).toHaveLength(2);
    expect(await titlesSeenByA()).toEqual(['document a']);
  });

  it('a table, its constraints and its protection are in one file, and the indexes of each table in one', async () => {
    await project.generate(entities);
    expect(await project.textOf('create-member')).toMatch(
      /CREATE TYPE .*CREATE TABLE "member" .*FOREIGN KEY .*protectTable\(\{ table: 'member'/,
    );
    const indexes = await project.textOf('document-labels-label-indexes');
    expect(indexes.match(/concurrentIndex\(/g)).toHaveLength(2);
    expect(indexes).toContain('extends ConcurrentMigration');
  });

  it('reverting them leaves an empty database', async () => {
    await project.generate(entities);
    await project.migrate();
    while ((await project.revert()) !== undefined);
    expect(
      await project.asSuperuser(
        `SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> 'migrations'`,
      ),
    ).toEqual([]);
  });
});

describe('from plain TypeORM tables', () => {
  const plain = async (tenants: 'column' | 'none') => {
    await project.synchronize(libraryEntities({ tenants }));
    await project.asSuperuser(rowsSql({ tenantColumn: tenants === 'column' }));
  };

  it('that have the tenant column, rows and all, everything is protected and links get their tenants', async () => {
    const entities = libraryEntities();
    await plain('column');
    expect((await project.generate(entities)).code).toBe(0);
    await expectToSettle(entities);
    expect(await titlesSeenByA()).toEqual(['document a']);
    expect(
      await project.asSuperuser(
        `SELECT FROM document_labels_label l JOIN document d ON d.id = "documentId" AND d.tenant_id = l.tenant_id`,
      ),
    ).toHaveLength(2);
  });

  it('without a tenant column, only the nullable column is written, and the rest once the rows have tenants', async () => {
    const entities = libraryEntities();
    await plain('none');
    const first = await project.generate(entities);
    expect(first.stderr).toMatch(/whose they are cannot be known.*docs\/migrations\/backfills\.md/s);
    expect(await project.lintErrors()).toEqual([]);
    await project.migrate();

    const early = await project.generate(entities);
    expect(early).toMatchObject({ code: 2, files: [] });
    expect(early.stderr).toMatch(/rows without a tenant in table "document", "folder", "label", "member"/);

    for (const table of ['member', 'folder', 'label', 'document'])
      await project.asSuperuser(
        `UPDATE ${table} SET tenant_id = ('00000000-0000-4000-8000-00000000000' || right(id::text, 1))::uuid`,
      );
    expect((await project.generate(entities)).code).toBe(0);
    await expectToSettle(entities);
    expect(await titlesSeenByA()).toEqual(['document a']);
  });

  it('that are empty, the tenant column is added at once', async () => {
    const entities = libraryEntities();
    await project.synchronize(libraryEntities({ tenants: 'none' }));
    const { stderr } = await project.generate(entities);
    expect(stderr).toMatch(/Deploy code that works in a tenant context first/);
    await expectToSettle(entities);
  });
});
