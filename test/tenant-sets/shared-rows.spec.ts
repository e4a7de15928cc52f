import type { DataSource } from 'typeorm';
import {
  adminContext,
  InvalidTenantIdError,
  RlsConfigurationError,
  RlsViolationError,
  tenantContext,
  tenantSetContext,
  withoutTenant,
} from '../../libs/rls-tenants/src/index.js';
import { TenantColumn, TenantScoped } from '../../libs/rls-tenants/src/entities/index.js';
import { Entity, PrimaryGeneratedColumn } from 'typeorm';
import { unconnected } from '../entities/support/unconnected.js';
import type { ProtectedDatabase } from '../support/protected-database.js';
import {
  createOrganisations,
  everythingIn,
  FAMILY,
  NORTH,
  PARENT,
  seenIn,
  SHARED,
  STRANGER,
  Tariff,
  Template,
} from './support/organisations.js';

describe('shared rows', () => {
  let db: ProtectedDatabase;
  let dataSource: DataSource;
  beforeAll(async () => {
    db = await createOrganisations();
    dataSource = await db.isolated({ onMissingTenant: 'empty' });
  });
  afterAll(() => db.drop());
  const seen = (table: string) => seenIn(dataSource, table);
  const titles = async (entity: typeof Template | typeof Tariff) => {
    const rows = await dataSource.getRepository(entity).find({ order: { tenantId: 'ASC' } });
    return rows.map(({ title }) => title);
  };

  it('the control: every tenant has a template, and there is a shared one', async () => {
    expect(await everythingIn(dataSource, 'template')).toEqual([
      'parent',
      'north',
      'south',
      'stranger',
      'shared',
    ]);
  });

  it('are seen by every tenant beside its own, in raw SQL and by repositories, two tenants at once', async () => {
    const both = await Promise.all(
      [NORTH, STRANGER].map((tenantId) =>
        tenantContext(tenantId, async () => [await seen('template'), await titles(Template)]),
      ),
    );
    expect(both).toEqual([
      [
        ['north', 'shared'],
        ['north', 'shared'],
      ],
      [
        ['stranger', 'shared'],
        ['stranger', 'shared'],
      ],
    ]);
  });

  it('are not seen by nobody, on a new connection and on one that carried a tenant', async () => {
    const fresh = await db.isolated({ onMissingTenant: 'empty' }, { poolSize: 1 });
    expect(await withoutTenant(() => seenIn(fresh, 'template'))).toEqual([]);
    expect(await tenantContext(NORTH, () => seenIn(fresh, 'template'))).toEqual(['north', 'shared']);
    expect(await withoutTenant(() => seenIn(fresh, 'template'))).toEqual([]);
    const inTransaction = await fresh.transaction(async (manager) => {
      await tenantContext(NORTH, () => seenIn(manager, 'template'));
      return withoutTenant(() => seenIn(manager, 'template'));
    });
    expect(inTransaction).toEqual([]);
  });

  it('a set sees them beside the rows of its tenants, where the table is readable by sets as well', async () => {
    const [templates, tariffs, found] = await tenantSetContext(PARENT, FAMILY, async () => [
      await seen('template'),
      await seen('tariff'),
      await titles(Tariff),
    ]);
    expect(templates).toEqual(['parent', 'shared']);
    expect(tariffs).toEqual(['parent', 'north', 'south', 'shared']);
    expect(found).toEqual(tariffs);
  });

  it('are changed, deleted and made by no tenant', async () => {
    const affected = await tenantContext(NORTH, async () => {
      const [, updated] = await dataSource.query<[unknown, number]>(
        'UPDATE template SET title = title WHERE tenant_id = $1',
        [SHARED],
      );
      const [, deleted] = await dataSource.query<[unknown, number]>(
        'DELETE FROM template WHERE tenant_id = $1',
        [SHARED],
      );
      const built = await dataSource.getRepository(Template).delete({ title: 'shared' });
      return [updated, deleted, built.affected];
    });
    expect(affected).toEqual([0, 0, 0]);
    await expect(
      tenantContext(NORTH, () =>
        dataSource.query('INSERT INTO template (tenant_id, title) VALUES ($1, $2)', [SHARED, 'planted']),
      ),
    ).rejects.toThrow(RlsViolationError);
    await expect(
      tenantContext(NORTH, () =>
        dataSource.getRepository(Template).save({ tenantId: SHARED, title: 'planted' }),
      ),
    ).rejects.toThrow(RlsViolationError);
    await expect(
      tenantContext(NORTH, async () => {
        const shared = await dataSource.getRepository(Template).findOneByOrFail({ title: 'shared' });
        return dataSource.getRepository(Template).save(Object.assign(shared, { title: 'mine' }));
      }),
    ).rejects.toThrow(/adminContext|reads and does not write/);
    expect(await everythingIn(dataSource, 'template')).toHaveLength(5);
  });

  it('are written by the admin, who names their tenant', async () => {
    await adminContext('library', async () => {
      const repository = dataSource.getRepository(Template);
      const saved = await repository.save({ tenantId: SHARED, title: 'new' });
      await repository.save({ id: saved.id, tenantId: SHARED, title: 'newer' });
    });
    expect(await tenantContext(NORTH, () => titles(Template))).toContain('newer');
    await adminContext('library', () => dataSource.getRepository(Template).delete({ title: 'newer' }));
  });

  it('are referenced by no row of a tenant, whose foreign keys hold its own tenant column', async () => {
    await db.as(
      'migrator',
      `ALTER TABLE template ADD UNIQUE (tenant_id, id);
       CREATE TABLE letter (tenant_id uuid, template_id int, FOREIGN KEY (tenant_id, template_id) REFERENCES template (tenant_id, id))`,
    );
    const [shared] = await db.asSuperuser<{ id: number }>(
      `SELECT id FROM template WHERE tenant_id = '${SHARED}'`,
    );
    const letter = db.asSuperuser('INSERT INTO letter VALUES ($1, $2)', [NORTH, shared!.id]);
    await expect(letter).rejects.toMatchObject({ code: '23503' });
  });

  it.each([
    ['raw SQL', () => seen('document')],
    ['a repository', () => titles(Template)],
  ])('nobody acts for their tenant: %s is refused before any I/O, on whatever table', async (_name, work) => {
    await expect(tenantContext(SHARED, work)).rejects.toThrow(InvalidTenantIdError);
    await expect(tenantContext(SHARED.toUpperCase(), work)).rejects.toThrow(/owner of shared rows/);
    await expect(tenantSetContext(PARENT, [PARENT, SHARED], work)).rejects.toThrow(InvalidTenantIdError);
  });

  it('a shared tenant that is no id of the type is refused when the data source is initialized', async () => {
    @Entity()
    @TenantScoped({ sharedTenant: 'templates' })
    class Wrong {
      @PrimaryGeneratedColumn() id!: number;
      @TenantColumn() tenantId!: string;
    }
    await expect(unconnected([Wrong])).rejects.toThrow(RlsConfigurationError);
  });
});
