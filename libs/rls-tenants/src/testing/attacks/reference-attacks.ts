import type { ObjectLiteral } from 'typeorm';
import type { ColumnMetadata } from 'typeorm/metadata/ColumnMetadata.js';
import type { RelationMetadata } from 'typeorm/metadata/RelationMetadata.js';
import { dataSourceOf } from '../../entities/data-source.js';
import { tenantColumnOf } from '../../entities/index.js';
import { quoteIdentifier, quoteTable } from '../../policies/index.js';
import { asTenant } from '../contexts.js';
import { deleteSql, insertSql, keyCondition, readSql, type KeyPart } from '../isolation.sql.js';
import { referencingColumns } from '../row-seeder.js';
import { asAttacker, texts, type Attack, type Scene, type Target } from './attack.js';
import { removeRow } from './read-attacks.js';

const FOREIGN_KEY_VIOLATION = '23503';

/** References from an own row to another tenant's row: by each foreign key, and by each join table. */
export async function referenceAttacks(scene: Scene): Promise<Attack[]> {
  const { metadata, session } = scene;
  const toTenants = ({ inverseEntityMetadata }: RelationMetadata) => tenantColumnOf(inverseEntityMetadata);
  const foreignKeys = metadata.relationsWithJoinColumns.filter(
    (relation) =>
      toTenants(relation) && relation.createForeignKeyConstraints && referencingColumns(relation).length > 0,
  );
  const links = metadata.manyToManyRelations.filter(toTenants);
  const attacks: Attack[] = [];
  if ((await session.may('INSERT', metadata)) && (await session.mayRemove(metadata)))
    for (const relation of foreignKeys) attacks.push(await foreignKeyAttack(scene, relation));
  for (const relation of links)
    if (await session.may('INSERT', relation.junctionEntityMetadata!))
      attacks.push(...(await linkAttacks(scene, relation)));
  return attacks;
}

/** A row of each tenant that nothing refers to yet, so that no unique key hides what the foreign key does. */
async function referredRows({ seeder, own, other }: Scene, { inverseEntityMetadata }: RelationMetadata) {
  const ownRow = await seeder.seed(inverseEntityMetadata, own.tenantId);
  const otherRow = await seeder.seed(inverseEntityMetadata, other.tenantId);
  return (target: Target): ObjectLiteral => (target === own ? ownRow : otherRow);
}

/** A column's value as the driver writes it: a transformer may have made an object or a bigint of it. */
function persistent(column: ColumnMetadata, entity: ObjectLiteral): unknown {
  return dataSourceOf(column.entityMetadata).driver.preparePersistentValue(
    column.getEntityValue(entity),
    column,
  );
}

async function foreignKeyAttack(scene: Scene, relation: RelationMetadata): Promise<Attack> {
  const { session, table, columns, own } = scene;
  const rowOf = await referredRows(scene, relation);
  return {
    way: `refers to a row of the other tenant through "${relation.propertyPath}"`,
    heldBy: [FOREIGN_KEY_VIOLATION],
    attempt: async (target) => {
      await removeRow(scene, own);
      const values = Object.fromEntries(
        referencingColumns(relation).map((column) => [
          column.databaseName,
          persistent(column.referencedColumn!, rowOf(target)),
        ]),
      );
      const sql = insertSql(table, columns);
      const inserted = await asAttacker(scene, () =>
        session.query(sql, [own.content, JSON.stringify(values)]),
      );
      await asAttacker(scene, () => session.query('SET CONSTRAINTS ALL IMMEDIATE'));
      return inserted.affected > 0;
    },
  };
}

async function linkAttacks(scene: Scene, relation: RelationMetadata): Promise<Attack[]> {
  const { session, metadata, own } = scene;
  const { manager } = session;
  const rowOf = await referredRows(scene, relation);
  const junction = relation.junctionEntityMetadata!;
  const table = quoteTable(junction.tablePath);
  const link = (from: Target, to: ObjectLiteral) =>
    manager.createQueryBuilder().relation(metadata.target, relation.propertyPath).of(from.entity).add(to);
  // The columns of the junction that refer to the entity itself, and their values.
  const side = relation.isOwning ? junction.ownerColumns : junction.inverseColumns;
  const keyOf = ({ entity }: Target): KeyPart[] =>
    side.map((column) => ({
      column: column.databaseName,
      text: String(persistent(column.referencedColumn!, entity)),
    }));
  const onLink = (way: string, sql: (condition: string) => string): Attack => ({
    way,
    attempt: async (target) => {
      await asTenant(target.tenantId, () => link(target, rowOf(target)));
      const key = keyOf(target);
      const run = () => session.query(sql(keyCondition(key)), texts(key));
      const { rows, affected } = await asAttacker(scene, run);
      return rows.length + affected > 0;
    },
  });
  const name = `join table ${quoteIdentifier(junction.tableName)}`;
  return [
    {
      way: `links an own row to one of the other tenant in ${name}`,
      heldBy: [FOREIGN_KEY_VIOLATION],
      attempt: async (target) => {
        await asAttacker(scene, () => link(own, rowOf(target)));
        return true;
      },
    },
    onLink(`reads links of the row in ${name}`, (condition) => readSql(table, condition)),
    ...((await session.may('DELETE', junction))
      ? [onLink(`deletes links of the row in ${name}`, (condition) => deleteSql(table, condition))]
      : []),
  ];
}
