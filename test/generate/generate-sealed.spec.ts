import {
  installSeal,
  sealKeys,
  sealTable,
  type RlsOperation,
} from '../../libs/rls-tenants/src/migrations/index.js';
import { DataSource } from 'typeorm';
import { newSealKey } from '../support/sealed-database.js';
import { libraryEntities, rowsSql } from './generate-entities.js';
import { createProject, type Project } from './generate-support.js';

const entities = libraryEntities();
const TABLES = ['document', 'folder', 'label', 'member'];

let project: Project;

beforeEach(async () => {
  project = await createProject();
  const { app, admin } = project.roles;
  await project.asSuperuser(
    `REVOKE ${admin} FROM ${app}; REVOKE TEMPORARY ON DATABASE ${project.name} FROM PUBLIC`,
  );
});
afterEach(() => project.drop());

async function run(...operations: RlsOperation[]): Promise<void> {
  const migrator = await new DataSource({ type: 'postgres', url: project.url('migrator') }).initialize();
  const queryRunner = migrator.createQueryRunner();
  for (const operation of operations) await operation.up(queryRunner);
  await migrator.destroy();
}
const install = () =>
  run(
    installSeal({ appRole: project.roles.app, adminRole: project.roles.admin }),
    sealKeys({ keys: () => [newSealKey('first')] }),
  );

/** How many policies of each table ask for the seal. */
const sealedTables = async () => {
  const rows = await project.asSuperuser<{ table: string }>(
    `SELECT DISTINCT tablename::text AS table FROM pg_policies
     WHERE coalesce(qual, with_check) LIKE '%rls.current_tenant()%' ORDER BY 1`,
  );
  return rows.map(({ table }) => table);
};

/** What was generated is what `check-rls` and `lint-migrations` want, and nothing is left to generate. */
async function expectToSettle(): Promise<void> {
  expect(await project.lintErrors()).toEqual([]);
  await project.migrate();
  expect(await project.failures(entities)).toEqual([]);
  expect(await project.generate(entities)).toMatchObject({ code: 0, files: [] });
}

describe('generate-migration in a database with the tenant seal', () => {
  it('protects all tables of a new database by sealed policies, join tables too', async () => {
    await install();
    const { files } = await project.generate(entities);
    const text = (await Promise.all(files.map((file) => project.textOf(file)))).join('\n');
    expect(text).toMatch(/protectTable\(\{ table: 'label',[^}]*sealed: true/);
    expect(text).toMatch(/protectJoinTable\(\{[^}]*sealed: true/);
    await expectToSettle();
    const sealed = await sealedTables();
    expect(sealed).toEqual(expect.arrayContaining(TABLES));
    expect(sealed.length).toBeGreaterThan(TABLES.length);
  });

  it('leaves plain policies alone, and finds no drift in any table that has moved', async () => {
    await project.generate(entities);
    await project.migrate();
    await project.asSuperuser(rowsSql({ tenantColumn: true }));
    await install();
    expect(await project.generate(entities)).toMatchObject({ code: 0, files: [] });
    await run(sealTable({ table: 'label', tenantIdType: 'uuid' }));
    expect(await project.generate(entities)).toMatchObject({ code: 0, files: [] });
    expect(await sealedTables()).toEqual(['label']);
  });

  it('protects a table like those that are protected: plain before the first has moved, sealed afterwards', async () => {
    await project.generate(entities);
    await project.migrate();
    await install();
    const unprotect = `DROP POLICY label_tenant_isolation_policy ON label; DROP POLICY label_admin_policy ON label;
      ALTER TABLE label NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY`;
    const generated = async () => {
      const { files } = await project.generate(entities);
      return project.textOf(files[0]!);
    };
    await project.as('migrator', unprotect);
    expect(await generated()).toMatch(/protectTable\(\{ table: 'label'(?:(?!sealed).)*$/);
    await expectToSettle();
    expect(await sealedTables()).toEqual([]);

    await run(sealTable({ table: 'folder', tenantIdType: 'uuid' }));
    await project.as('migrator', unprotect);
    expect(await generated()).toMatch(/protectTable\(\{ table: 'label',[^}]*sealed: true/);
    await expectToSettle();
    expect(await sealedTables()).toEqual(['folder', 'label']);
  });

  it('brings a sealed policy that somebody changed back to the sealed form', async () => {
    await install();
    await project.generate(entities);
    await project.migrate();
    const form = `CASE WHEN true THEN tenant_id = (SELECT rls.current_tenant()::uuid) END`;
    await project.as(
      'migrator',
      `ALTER POLICY label_tenant_isolation_policy ON label USING (${form}) WITH CHECK (${form})`,
    );
    const { files } = await project.generate(entities);
    expect(files).toHaveLength(1);
    expect(await project.textOf(files[0]!)).toMatch(/alterTenantPolicy\(\{ table: 'label',[^}]*sealed: true/);
    await expectToSettle();
    expect(await sealedTables()).toContain('label');
  });
});
