import { Column, Entity, PrimaryGeneratedColumn } from 'typeorm';
import {
  TenantColumn,
  TenantScoped,
  type TenantScopedOptions,
} from '../../libs/rls-tenants/src/entities/index.js';
import { createProject, type Project } from '../generate/generate-support.js';
import { SHARED } from './support/organisations.js';

function entities(options: TenantScopedOptions) {
  @Entity('document')
  @TenantScoped(options)
  class Document {
    @PrimaryGeneratedColumn('uuid') id!: string;
    @TenantColumn() tenantId!: string;
    @Column({ type: 'text' }) title!: string;
  }
  return [Document];
}

describe('generate-migration for tenants that read more than their own rows', () => {
  let project: Project;
  beforeAll(async () => {
    project = await createProject();
  });
  afterAll(() => project.drop());

  it('protects a new table as the entity says, and then sees no difference', async () => {
    const declared = entities({ readableBySet: true, sharedTenant: SHARED });
    const { code, files } = await project.generate(declared);
    expect(code).toBe(0);
    const texts = await Promise.all(files.map((file) => project.textOf(file)));
    expect(texts.join(' ')).toContain(`readableBySet: true, sharedTenant: '${SHARED}'`);
    expect(await project.lintErrors()).toEqual([]);
    await project.migrate();
    expect(await project.failures(declared)).toEqual([]);
    expect(await project.generate(declared)).toMatchObject({ code: 0, files: [] });
  });

  it('stops at a table that is protected in another form, and says what to run', async () => {
    const { code, files, stderr } = await project.generate(entities({}));
    expect(files).toEqual([]);
    expect(code).not.toBe(0);
    expect(stderr).toContain('document_tenant_isolation_policy');
    expect(stderr).toContain('CREATE POLICY');
  });
});
