import { currentTenantContext, tenantContext } from '../../libs/rls-tenants/src/context/tenant-context.js';
import { NoTenantContextError, RlsTenantsError } from '../../libs/rls-tenants/src/errors.js';
import {
  asAdmin,
  asTenant,
  expectBlockedWithoutContext,
  type TestDatabase,
} from '../../libs/rls-tenants/src/testing/index.js';
import { kitDatabase } from './support/kit-database.js';
import { Folder, NOTES } from './support/notes.js';
import { A, B } from '../support/notes.js';

describe('asTenant() and asAdmin()', () => {
  it('run and answer in their context', async () => {
    expect(await asTenant(A, currentTenantContext)).toEqual({ kind: 'tenant', tenantId: A });
    expect(await asAdmin(currentTenantContext)).toEqual({ kind: 'admin', reason: 'test' });
    expect(await asAdmin('a control', currentTenantContext)).toEqual({ kind: 'admin', reason: 'a control' });
    expect(currentTenantContext()).toEqual({ kind: 'nobody' });
  });

  it('wait for a thenable inside of the context, where tenantContext() does not', async () => {
    // A thenable that answers where it is awaited, as TypeORM's lazy relations do.
    const thenable = () => ({
      // oxlint-disable-next-line unicorn/no-thenable -- it is what is tested
      then: (done: (state: unknown) => void) => done(currentTenantContext()),
    });
    expect(await (tenantContext(A, thenable) as unknown as Promise<unknown>)).toEqual({ kind: 'nobody' });
    expect(await asTenant(A, thenable as () => PromiseLike<unknown>)).toMatchObject({ tenantId: A });
    expect(await asAdmin(thenable as () => PromiseLike<unknown>)).toMatchObject({ kind: 'admin' });
  });

  it('pass errors on', async () => {
    await expect(asTenant(A, () => Promise.reject(new Error('x')))).rejects.toThrow('x');
    await expect(async () => asAdmin(' ', () => 1)).rejects.toThrow(RlsTenantsError);
  });
});

describe('expectBlockedWithoutContext()', () => {
  let throwing: TestDatabase;
  let empty: TestDatabase;

  beforeAll(async () => {
    throwing = await kitDatabase(NOTES);
    empty = await kitDatabase(NOTES, { onMissingTenant: 'empty' });
    for (const { dataSource } of [throwing, empty])
      await asTenant(A, () => dataSource.getRepository(Folder).insert([{}, {}]));
  });
  afterAll(async () => {
    await throwing?.destroy();
    await empty?.destroy();
  });

  it.each([
    ['find', ({ dataSource }: TestDatabase) => dataSource.getRepository(Folder).find()],
    ['findOne', ({ dataSource }: TestDatabase) => dataSource.getRepository(Folder).findOne({ where: {} })],
    ['findAndCount', ({ dataSource }: TestDatabase) => dataSource.getRepository(Folder).findAndCount()],
    ['count', ({ dataSource }: TestDatabase) => dataSource.getRepository(Folder).count()],
    ['raw SQL', ({ dataSource }: TestDatabase) => dataSource.query('SELECT * FROM folder')],
    ['a raw update', ({ dataSource }: TestDatabase) => dataSource.query('UPDATE folder SET id = id')],
    ['a raw insert', ({ dataSource }: TestDatabase) => dataSource.query('INSERT INTO folder DEFAULT VALUES')],
    ['an insert', ({ dataSource }: TestDatabase) => dataSource.getRepository(Folder).insert({})],
    [
      'a delete that finds nothing again',
      ({ dataSource }: TestDatabase) =>
        dataSource.transaction(async (manager) => {
          const result = await manager.createQueryBuilder().delete().from(Folder).execute();
          await manager.insert(Folder, [{}]).catch((error: unknown) => {
            if (result.affected) throw error;
          });
          return result;
        }),
    ],
  ])('passes %s, refused or empty', async (_what, statement) => {
    await expectBlockedWithoutContext(() => statement(throwing), { tenantId: A });
    await expectBlockedWithoutContext(() => statement(empty), { tenantId: A });
  });

  it('is blocked whatever context surrounds it', async () => {
    await asTenant(A, () =>
      expectBlockedWithoutContext(() => throwing.dataSource.getRepository(Folder).find(), { tenantId: A }),
    );
  });

  it('fails for what works without a context', async () => {
    for (const works of [
      () => throwing.dataSource.query('SELECT 1'),
      () => asAdmin(() => throwing.dataSource.getRepository(Folder).find()),
      () => asTenant(A, () => throwing.dataSource.getRepository(Folder).count()),
      () => [0, 1],
      () => ({ affected: 1 }),
    ])
      await expect(expectBlockedWithoutContext(works, { tenantId: A })).rejects.toThrow(
        'The function works outside of any tenant context.',
      );
  });

  it('fails where it proves nothing', async () => {
    const find = () => empty.dataSource.getRepository(Folder).find();
    await expect(expectBlockedWithoutContext(find, { tenantId: B })).rejects.toThrow(
      'Nothing was proven: the function is not refused outside of any tenant context, and returns no rows inside',
    );
    await expect(expectBlockedWithoutContext(() => {}, { tenantId: A })).rejects.toThrow(
      'Nothing was proven',
    );
    await expect(
      expectBlockedWithoutContext(() => throwing.dataSource.query('SELECT * FROM no_such_table'), {
        tenantId: A,
      }),
    ).rejects.toThrow('outside of any tenant context the function failed for another reason');
    await expect(
      expectBlockedWithoutContext(
        () => {
          throw new NoTenantContextError('never', 'never');
        },
        { tenantId: A },
      ),
    ).rejects.toThrow(/fails in the context of tenant .* as well: never/);
  });
});
