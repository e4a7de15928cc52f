import type { ObjectLiteral } from 'typeorm';
import { deleteSql, insertSql, keyCondition, setSql, touchSql } from '../isolation.sql.js';
import {
  asAttacker,
  ordinaryColumn,
  quoted,
  texts,
  touches,
  type Attack,
  type Scene,
  type Target,
} from './attack.js';
import { removeRow } from './read-attacks.js';

/** Inserts, updates and deletes of another tenant's row, and moves of an own row to the other tenant. */
export async function writeAttacks(scene: Scene): Promise<Attack[]> {
  const { session, metadata } = scene;
  const [insert, update, remove, removable] = await Promise.all([
    session.may('INSERT', metadata),
    session.may('UPDATE', metadata),
    session.may('DELETE', metadata),
    session.mayRemove(metadata),
  ]);
  return [
    ...(insert ? insertAttacks(scene, removable) : []),
    ...(update ? updateAttacks(scene) : []),
    ...(update ? moveAttacks(scene) : []),
    ...(remove ? deleteAttacks(scene) : []),
  ];
}

const UNIQUE_VIOLATION = '23505';

/**
 * The row was there a moment ago, so that no key and no reference stands in the way: only the policies do. A row that
 * cannot be removed stands in the way with its keys, which are looked at after the policies.
 */
function insertAttacks(scene: Scene, removable: boolean): Attack[] {
  const { session, metadata, table, columns } = scene;
  const attack = (way: string, insert: (target: Target) => Promise<boolean>): Attack => ({
    way,
    ...(!removable && { provenBy: [UNIQUE_VIOLATION] }),
    attempt: async (target) => {
      if (removable) await removeRow(scene, target);
      return insert(target);
    },
  });
  return [
    attack('inserts a row for the other tenant with raw SQL', async ({ content }) => {
      const sql = insertSql(table, columns);
      return (await asAttacker(scene, () => session.query(sql, [content, '{}']))).affected > 0;
    }),
    attack('inserts a row for the other tenant as an entity', async ({ entity }) => {
      const insert = session.manager.createQueryBuilder().insert().into(metadata.target);
      // TypeORM writes into what it inserts.
      const copy = session.manager.merge(metadata.target as never, metadata.create(), entity);
      for (const column of metadata.columns)
        if (column.asExpression || column.generatedIdentity === 'ALWAYS')
          column.setEntityValue(copy, undefined);
      await asAttacker(scene, () => insert.values(copy).execute());
      return true;
    }),
  ];
}

function updateAttacks(scene: Scene): Attack[] {
  const { session, metadata, table, scope } = scene;
  const column = ordinaryColumn(scene);
  return [
    touching(scene, 'updates the row with raw SQL', ({ key }) =>
      session.query(touchSql(table, quoted(column), keyCondition(key)), texts(key)),
    ),
    touching(scene, 'updates the row with a query builder', ({ where, entity }) => {
      const values: ObjectLiteral = {};
      column.setEntityValue(values, column.getEntityValue(entity));
      return session.manager.update(metadata.target, where, values);
    }),
    touching(scene, 'takes the row with an UPDATE without WHERE', () =>
      session.query(setSql(table, quoted(scope.column)), [scene.own.tenantId]),
    ),
  ];
}

function moveAttacks(scene: Scene): Attack[] {
  const { session, metadata, table, scope, own } = scene;
  const { column } = scope;
  const tenantOf = (entity: ObjectLiteral) => {
    const values: ObjectLiteral = {};
    column.setEntityValue(values, entity[column.propertyName]);
    return values;
  };
  const key = keyCondition(own.key, 2);
  return [
    {
      way: 'moves an own row to the other tenant with raw SQL',
      attempt: ({ tenantId }) =>
        touches(scene, own, () =>
          asAttacker(scene, () =>
            session.query(setSql(table, quoted(column), key), [tenantId, ...texts(own.key)]),
          ),
        ),
    },
    {
      way: 'moves own rows to the other tenant with an UPDATE without WHERE',
      attempt: ({ tenantId }) =>
        touches(scene, own, () =>
          asAttacker(scene, () => session.query(setSql(table, quoted(column)), [tenantId])),
        ),
    },
    {
      way: 'moves an own row to the other tenant with a query builder',
      attempt: ({ entity }) =>
        touches(scene, own, () =>
          asAttacker(scene, () => session.manager.update(metadata.target, own.where, tenantOf(entity))),
        ),
    },
    // Where the tenant is part of the key, this is an insert.
    ...(column.isPrimary ? [] : [saveAttack(scene)]),
  ];
}

/** A save that changes nothing writes nothing: its control is that it finds the row and does not fail. */
function saveAttack(scene: Scene): Attack {
  const { session, metadata, scope, own } = scene;
  const { manager } = session;
  return {
    way: 'moves an own row to the other tenant as an entity',
    attempt: async (target) => {
      const save = async () => {
        const entity = await manager.findOneByOrFail(metadata.target, own.where);
        scope.column.setEntityValue(entity, scope.column.getEntityValue(target.entity));
        await manager.save(metadata.target, entity);
      };
      const touched = await touches(scene, own, () => asAttacker(scene, save));
      return target === own || touched;
    },
  };
}

function deleteAttacks(scene: Scene): Attack[] {
  const { session, metadata, table } = scene;
  const { manager } = session;
  return [
    touching(scene, 'deletes the row with raw SQL', ({ key }) =>
      session.query(deleteSql(table, keyCondition(key)), texts(key)),
    ),
    touching(scene, 'deletes the row with a repository', ({ where }) =>
      manager.delete(metadata.target, where),
    ),
    touching(scene, 'deletes the row with a DELETE without WHERE', () => session.query(deleteSql(table))),
    ...(metadata.deleteDateColumn
      ? [touching(scene, 'deletes the row softly', ({ where }) => manager.softDelete(metadata.target, where))]
      : []),
  ];
}

/** An attack that reaches a row by writing or removing it. */
function touching(scene: Scene, way: string, write: (target: Target) => Promise<unknown>): Attack {
  return {
    way,
    attempt: (target) => touches(scene, target, () => asAttacker(scene, () => write(target))),
  };
}
