import { MigrationGenerateCommand } from 'typeorm/commands/MigrationGenerateCommand.js';
import { join } from 'node:path';
import { TENANT_ID_TYPES } from '../../libs/rls-tenants/src/context/tenant-id.js';
import { tenantTablesOf } from '../../libs/rls-tenants/src/entities/index.js';
import { createTenantSchema, type TenantSchema } from './support/tenant-schema.js';
import { workEntities } from './support/work-entities.js';

describe.each(TENANT_ID_TYPES)('the schema of entities with %s tenants', (tenantIdType) => {
  let db: TenantSchema;

  beforeAll(async () => {
    db = await createTenantSchema(Object.values(workEntities(tenantIdType)));
  });
  afterAll(() => db.drop());

  it('has a NOT NULL tenant column of the type, filled from the setting, in entity and join tables', async () => {
    const columns = await db.asSuperuser(
      `SELECT table_name, data_type, is_nullable, column_default FROM information_schema.columns
       WHERE column_name = 'tenant_id' ORDER BY table_name`,
    );
    const text = "NULLIF(current_setting('rls.current_tenant'::text, true), ''::text)";
    const column_default = tenantIdType === 'text' ? text : `(${text})::${tenantIdType}`;
    expect(columns).toEqual(
      ['member', 'project', 'tag', 'task', 'task_countries_country', 'task_tags_tag'].map((table_name) => ({
        table_name,
        data_type: tenantIdType,
        is_nullable: 'NO',
        column_default,
      })),
    );
  });

  it('has composite foreign keys between tenant-scoped tables, and plain ones to global tables', async () => {
    const keys = await db.asSuperuser<{ table: string; definition: string }>(
      `SELECT conrelid::regclass::text AS table, pg_get_constraintdef(oid) AS definition FROM pg_constraint
       WHERE contype = 'f' ORDER BY 1, 2`,
    );
    expect(keys.map(({ table, definition }) => `${table}: ${definition.replaceAll('"', '')}`)).toEqual([
      'project: FOREIGN KEY (tenant_id) REFERENCES workspace(id) ON DELETE CASCADE',
      'task: FOREIGN KEY (tenant_id, projectId) REFERENCES project(tenant_id, id) ON DELETE CASCADE',
      'task: FOREIGN KEY (tenant_id, reviewer_id) REFERENCES member(tenant_id, id) ON DELETE SET NULL (reviewer_id)',
      'task_countries_country: FOREIGN KEY (countryId) REFERENCES country(id) ON UPDATE CASCADE ON DELETE CASCADE',
      'task_countries_country: FOREIGN KEY (tenant_id, taskId) REFERENCES task(tenant_id, id) ON UPDATE CASCADE ON DELETE CASCADE',
      'task_tags_tag: FOREIGN KEY (tenant_id, tagId) REFERENCES tag(tenant_id, id) ON UPDATE CASCADE ON DELETE CASCADE',
      'task_tags_tag: FOREIGN KEY (tenant_id, taskId) REFERENCES task(tenant_id, id) ON UPDATE CASCADE ON DELETE CASCADE',
    ]);
  });

  it('has UNIQUE (tenant_id, id) on referenced tables only', async () => {
    const uniques = await db.asSuperuser<{ table: string; definition: string }>(
      `SELECT conrelid::regclass::text AS table, pg_get_constraintdef(oid) AS definition FROM pg_constraint
       WHERE contype = 'u' AND connamespace = 'public'::regnamespace ORDER BY 1, 2`,
    );
    expect(uniques.map(({ table, definition }) => `${table}: ${definition}`)).toEqual([
      'member: UNIQUE (tenant_id, email)',
      'member: UNIQUE (tenant_id, id)',
      'project: UNIQUE (tenant_id, id)',
      'tag: UNIQUE (tenant_id, id)',
      'task: UNIQUE (tenant_id, id)',
    ]);
  });

  it('leads the indexes of join tables with the tenant column, one for each side', async () => {
    const indexes = await db.asSuperuser<{ columns: string }>(
      `SELECT substring(indexdef FROM '\\((.*)\\)') AS columns FROM pg_indexes
       WHERE tablename = 'task_tags_tag' AND indexdef NOT LIKE '%UNIQUE%' ORDER BY 1`,
    );
    expect(indexes.map(({ columns }) => columns)).toEqual(['tenant_id, "tagId"', 'tenant_id, "taskId"']);
  });

  it('shows the schema builder no difference once it is created and protected', async () => {
    expect(await db.pendingQueries()).toEqual([]);
  });

  it('shows the schema builder a default that does not read the tenant setting', async () => {
    const [before] = await db.asSuperuser<{ default: string }>(
      `SELECT column_default AS default FROM information_schema.columns WHERE table_name = 'tag' AND column_name = 'tenant_id'`,
    );
    await db.as(
      'migrator',
      `ALTER TABLE tag ALTER COLUMN tenant_id SET DEFAULT current_setting('other.setting')::${tenantIdType}`,
    );
    try {
      expect((await db.pendingQueries()).join('\n')).toMatch(
        /"tag" ALTER COLUMN "tenant_id" SET DEFAULT .*rls\.current_tenant/,
      );
    } finally {
      await db.as('migrator', `ALTER TABLE tag ALTER COLUMN tenant_id SET DEFAULT ${before!.default}`);
    }
  });

  it('lists every table that must be protected, join tables included', () => {
    const tables = tenantTablesOf(db.app);
    expect(
      tables.map(({ kind, table, entityName, tenantColumn, sides }) => [
        kind,
        table,
        entityName,
        tenantColumn,
        sides,
      ]),
    ).toEqual([
      ['entity', 'member', 'Member', 'tenant_id', undefined],
      ['entity', 'project', 'Project', 'tenant_id', undefined],
      ['entity', 'tag', 'Tag', 'tenant_id', undefined],
      ['entity', 'task', 'Task', 'tenant_id', undefined],
      ['join-table', 'task_countries_country', 'Task', 'tenant_id', undefined],
      ['join-table', 'task_tags_tag', 'Task', 'tenant_id', undefined],
    ]);
    expect(new Set(tables.map((table) => table.tenantIdType))).toEqual(new Set([tenantIdType]));
    expect(new Set(tables.map((table) => table.tenantSetting))).toEqual(new Set(['rls.current_tenant']));
  });
});

describe("TypeORM's own command migration:generate --check", () => {
  let db: TenantSchema;

  beforeAll(async () => {
    db = await createTenantSchema([join(import.meta.dirname, 'support/pattern/*.entity.cts')]);
  });
  afterAll(() => db.drop());
  afterEach(() => jest.restoreAllMocks());

  // The entities are named by a file pattern in a data source file that does not mention the library at all.
  async function check(): Promise<{ exitCode: number; output: string }> {
    process.env.SCHEMA_SPEC_URL = db.url('migrator');
    const log = jest.spyOn(console, 'log').mockImplementation();
    jest.spyOn(console, 'error').mockImplementation();
    const exit = jest.spyOn(process, 'exit').mockImplementation((code) => {
      throw new Error(`exit ${code}`);
    });
    await new MigrationGenerateCommand()
      .handler({
        path: '/unused',
        dataSource: join(import.meta.dirname, 'support/pattern/data-source.cts'),
        check: true,
        timestamp: false,
        _: [],
        $0: '',
      })
      .catch(() => undefined);
    return { exitCode: Number(exit.mock.calls[0]?.[0]), output: log.mock.calls.flat().join('\n') };
  }

  it('finds no difference on a protected schema', async () => {
    const { exitCode, output } = await check();
    expect(output).toMatch(/No changes in database schema were found/);
    expect(exitCode).toBe(0);
  });

  it('finds a plain foreign key where a composite one belongs', async () => {
    const [key] = await db.asSuperuser<{ name: string }>(
      `SELECT conname AS name FROM pg_constraint WHERE contype = 'f'`,
    );
    await db.as(
      'migrator',
      `ALTER TABLE "page" DROP CONSTRAINT "${key!.name}"; ALTER TABLE "page" ADD CONSTRAINT "plain" FOREIGN KEY ("bookId") REFERENCES "book" (id)`,
    );
    const { exitCode, output } = await check();
    expect(output).toMatch(/FOREIGN KEY \("tenant_id", "bookId"\)/);
    expect(exitCode).toBe(1);
  });
});
