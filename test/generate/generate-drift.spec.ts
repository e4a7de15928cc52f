import { libraryEntities, rowsSql, type Entities } from './generate-entities.js';
import { createProject, type Outcome, type Project } from './generate-support.js';

// One database for all: each test disturbs it, and what is generated puts it back in order.
const entities = libraryEntities();
let project: Project;

beforeAll(async () => {
  project = await createProject();
  await project.generate(entities);
  await project.migrate();
  await project.asSuperuser(rowsSql({ tenantColumn: true }));
});
afterAll(() => project.drop());

/** The text of the one file that was written. */
async function textOf({ files }: Outcome): Promise<string> {
  expect(files).toHaveLength(1);
  return project.textOf(files[0]!);
}

async function expectToSettle(after: Entities = entities): Promise<void> {
  expect(await project.lintErrors()).toEqual([]);
  await project.migrate();
  expect(await project.failures(after)).toEqual([]);
  expect(await project.generate(after)).toMatchObject({ code: 0, files: [] });
}

const policyOf = async (name: string) => {
  const [policy] = await project.asSuperuser<{ qual: string }>(
    `SELECT qual FROM pg_policies WHERE policyname = '${name}'`,
  );
  return policy?.qual;
};

describe('drift of a protected database', () => {
  it('a policy in CASE form is altered in place, by one file', async () => {
    const before = await policyOf('label_tenant_isolation_policy');
    const form = `CASE WHEN current_setting('app.is_admin', true) = 'on' THEN true
      ELSE tenant_id = current_setting('rls.current_tenant')::uuid END`;
    await project.as(
      'migrator',
      `ALTER POLICY label_tenant_isolation_policy ON label USING (${form}) WITH CHECK (${form})`,
    );
    expect(await project.failures(entities)).not.toEqual([]);

    expect(await textOf(await project.generate(entities))).toContain(
      `alterTenantPolicy({ table: 'label', tenantIdType: 'uuid', from: 'rls.current_tenant', to: 'rls.current_tenant', })`,
    );
    await expectToSettle();
    expect(await policyOf('label_tenant_isolation_policy')).toBe(before);
  });

  it('a policy that reads another setting goes back to it when the migration is reverted', async () => {
    const former = `tenant_id = NULLIF(current_setting('app.tenant', true), '')::uuid`;
    await project.as(
      'migrator',
      `ALTER POLICY label_tenant_isolation_policy ON label USING (${former}) WITH CHECK (${former})`,
    );
    const before = await policyOf('label_tenant_isolation_policy');
    expect(await textOf(await project.generate(entities))).toContain(
      `from: 'app.tenant', to: 'rls.current_tenant'`,
    );
    await expectToSettle();
    await project.revert();
    expect(await policyOf('label_tenant_isolation_policy')).toBe(before);
    await project.migrate();
  });

  it('a missing FORCE, admin policy and grant come back, in the file of their table', async () => {
    await project.as(
      'migrator',
      `ALTER TABLE label NO FORCE ROW LEVEL SECURITY;
       DROP POLICY label_admin_policy ON label;
       REVOKE DELETE ON label FROM ${project.roles.app};
       REVOKE ALL ON label FROM ${project.roles.admin}`,
    );
    const text = await textOf(await project.generate(entities));
    expect(text).toContain('FORCE ROW LEVEL SECURITY');
    expect(text).toContain('CREATE POLICY "label_admin_policy"');
    expect(text).toContain(`GRANT DELETE ON TABLE "label" TO "${project.roles.app}"`);
    expect(text).toContain(`grantTable({ table: 'label', role: '${project.roles.admin}' })`);
    await expectToSettle();
  });

  it('switches that are off are switched on', async () => {
    await project.as('migrator', 'ALTER TABLE label DISABLE ROW LEVEL SECURITY');
    expect(await textOf(await project.generate(entities))).toContain('ENABLE ROW LEVEL SECURITY');
    await expectToSettle();
  });

  it('what somebody made by hand is kept, and said', async () => {
    await project.as(
      'migrator',
      `CREATE INDEX label_by_hand ON label (lower(name), name); CREATE INDEX label_name ON label (name);
       ALTER TABLE label ADD CONSTRAINT label_name_given CHECK (name <> '')`,
    );
    const { code, stdout, stderr, files } = await project.generate(entities, { check: true });
    expect({ code, files }).toEqual({ code: 0, files: [] });
    expect(stdout).toMatch(/no difference/);
    expect(stderr).toMatch(/Index "label_name" of table "label" is kept/);
    expect(stderr).toMatch(/Constraint "label_name_given" of table "label" is kept/);
  });

  it('a policy made by hand that widens is said, and not dropped on the way', async () => {
    await project.as('migrator', `CREATE POLICY everything ON label FOR SELECT USING (true)`);
    const { code, stderr, files } = await project.generate(entities);
    expect({ code, files }).toEqual({ code: 0, files: [] });
    expect(stderr).toMatch(/"everything" on table "public\.label" admits the app role to more.*RLS009/);
    await project.as('migrator', `DROP POLICY everything ON label`);
  });

  it('an index that no entity declares any more is dropped, if TypeORM named it', async () => {
    const name = 'IDX_0123456789abcdef0123456789';
    await project.as('migrator', `CREATE INDEX "${name}" ON label (name)`);
    expect(await textOf(await project.generate(entities))).toContain(name);
    await expectToSettle();
    expect(await project.asSuperuser(`SELECT FROM pg_class WHERE relname = '${name}'`)).toEqual([]);
  });

  it('a column that grows is altered and not dropped with its values', async () => {
    const grown = libraryEntities({ titleType: 'varchar(200)' });
    const outcome = await project.generate(grown);
    expect(outcome.stderr).toMatch(
      /Rewritten: Column "title" of table "document" is dropped and added again/,
    );
    expect(await textOf(outcome)).toContain('ALTER COLUMN "title" TYPE character varying(200)');
    await expectToSettle(grown);
    expect(await project.asSuperuser('SELECT title FROM document ORDER BY title')).toEqual([
      { title: 'document a' },
      { title: 'document b' },
    ]);
  });
});

describe('what is refused, with nothing written', () => {
  async function refusal(after: Entities): Promise<string> {
    const { code, files, stdout, stderr } = await project.generate(after);
    expect({ code, files, stdout }).toEqual({ code: 2, files: [], stdout: '' });
    return stderr;
  }

  it('a column whose values would be lost', async () => {
    expect(await refusal(libraryEntities({ titleType: 'int' }))).toMatch(
      /"title" of table "document" is dropped and added again/,
    );
  });

  it('an entity that is not tenant-scoped any more', async () => {
    expect(await refusal(libraryEntities({ tenants: 'column', titleType: 'varchar(200)' }))).toMatch(
      /"public\.\w+" is protected, and its entity \w+ is not tenant-scoped any more.*unprotectTable/s,
    );
  });

  it('a policy that ALTER POLICY cannot make right', async () => {
    await project.as(
      'migrator',
      'DROP POLICY label_admin_policy ON label; CREATE POLICY label_admin_policy ON label USING (true)',
    );
    expect(await refusal(libraryEntities({ titleType: 'varchar(200)' }))).toMatch(
      /"label_admin_policy" on table "public\.label".*it applies to public.*CREATE POLICY "label_admin_policy"/s,
    );
    await project.as(
      'migrator',
      `DROP POLICY label_admin_policy ON label;
       CREATE POLICY label_admin_policy ON label TO ${project.roles.admin} USING (true) WITH CHECK (true)`,
    );
  });
});
