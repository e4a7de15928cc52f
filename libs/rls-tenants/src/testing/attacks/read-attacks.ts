import { withoutTenant } from '../../context/tenant-context.js';
import { asTenant } from '../contexts.js';
import {
  keyCondition,
  keyConditionOfLiterals,
  lockSql,
  readInBlockSql,
  readSql,
  setInBlock,
} from '../isolation.sql.js';
import { asAttacker, primaryKeyOf, texts, type Attack, type Scene, type Target } from './attack.js';

/** How long a result stays in the cache, in milliseconds: it must outlive one attempt. */
const CACHED_FOR = 10_000;

/** Reads of another tenant's row. */
export async function readAttacks(scene: Scene): Promise<Attack[]> {
  const { session, metadata, table, own, other } = scene;
  const { target: entity } = metadata;
  const { manager } = session;

  const byTenant = (way: string, read: (target: Target) => Promise<boolean>): Attack => ({
    way,
    attempt: (target) => asAttacker(scene, () => read(target)),
  });
  const withSql = (way: string, sql: (condition: string) => string): Attack =>
    byTenant(
      way,
      async ({ key }) => (await session.query(sql(keyCondition(key)), texts(key))).rows.length > 0,
    );
  // Whose row it is does not matter to nobody: both must be hidden. The control is the tenant with its own.
  const byNobody = (way: string, readAs: (target: Target, nobody: boolean) => Promise<boolean>): Attack => ({
    way,
    attempt: async (target) => {
      if (target === own) return asAttacker(scene, () => readAs(own, false));
      return (await readAs(own, true)) || (await readAs(other, true));
    },
  });
  const isIt = ({ where }: Target) => {
    const wanted = textOf(where);
    return (found: object) => textOf(primaryKeyOf(metadata, found)) === wanted;
  };

  return [
    byTenant('reads the row with find()', async (target) =>
      (await manager.find(entity, { withDeleted: true })).some(isIt(target)),
    ),
    byTenant(
      'reads the row by its primary key',
      async ({ where }) => (await manager.findOne(entity, { where, withDeleted: true })) !== null,
    ),
    byTenant(
      'counts the row',
      async ({ where }) => (await manager.count(entity, { where, withDeleted: true })) > 0,
    ),
    byTenant('reads the row with a query builder', async ({ where }) => {
      const query = manager.createQueryBuilder(entity, 'row').withDeleted().setFindOptions({ where });
      return (await query.getMany()).length > 0;
    }),
    withSql('reads the row with raw SQL', (condition) => readSql(table, condition)),
    ...((await session.may('UPDATE', metadata))
      ? [withSql('locks the row with SELECT … FOR UPDATE', (condition) => lockSql(table, condition))]
      : []),
    byNobody('reads the row without a tenant context', ({ where }, nobody) => {
      const read = async () => (await manager.findOne(entity, { where, withDeleted: true })) !== null;
      return nobody ? withoutTenant(read) : read();
    }),
    byNobody('reads the row with an empty tenant setting', ({ key }, nobody) => {
      const empty = nobody ? [setInBlock(scene.tenantSetting, '')] : [];
      const sql = readInBlockSql(empty, table, keyConditionOfLiterals(key));
      // In a context, because the library refuses the statement without one: here the policies are asked.
      return asAttacker(scene, () => session.seesInBlock(sql));
    }),
    ...(session.dataSource.queryResultCache && (await session.mayRemove(metadata))
      ? [cacheAttack(scene)]
      : []),
  ];
}

function textOf(key: object): string {
  return JSON.stringify(key, (_name, value: unknown) => (typeof value === 'bigint' ? String(value) : value));
}

/** The text of both tenants' statements is the same, because a find by primary key is not auto-scoped. */
function cacheAttack(scene: Scene): Attack {
  const { session, metadata, own } = scene;
  const read = async ({ where }: Target) =>
    (await session.manager.findOne(metadata.target, { where, withDeleted: true, cache: CACHED_FOR })) !==
    null;
  return {
    way: 'reads the row from the result cache',
    attempt: async (target) => {
      if (!(await asTenant(target.tenantId, () => read(target))))
        throw new Error('the other tenant does not read its own row either');
      // The control: what is in the cache is served although the row is gone.
      if (target === own) await removeRow(scene, own);
      return asAttacker(scene, () => read(target));
    },
  };
}

/** Removes a row, so that neither its keys nor its policies are in the way. Ask `mayRemove` first. */
export async function removeRow({ session, table }: Scene, { tenantId, key }: Target): Promise<void> {
  const { affected } = await session.inControl(tenantId, () =>
    session.query(`DELETE FROM ${table} WHERE ${keyCondition(key)}`, texts(key)),
  );
  if (affected !== 1)
    throw new Error(`the ${session.adminTakesTurns ? 'admin' : 'tenant'} cannot delete the row`);
}
