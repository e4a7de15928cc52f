import { randomBytes, randomInt, randomUUID } from 'node:crypto';
import type { EntityManager, EntityMetadata, ObjectLiteral } from 'typeorm';
import type { ColumnMetadata } from 'typeorm/metadata/ColumnMetadata.js';
import type { RelationMetadata } from 'typeorm/metadata/RelationMetadata.js';
import { dataSourceOf } from '../entities/data-source.js';
import { tenantColumnOf } from '../entities/index.js';
import { primaryKeyOf } from './attacks/attack.js';
import { asTenant } from './contexts.js';
import { IsolationAssertionError } from './isolation-assertion.error.js';
import type { IsolationSession } from './isolation-session.js';

/** Makes rows whose required columns and relations are filled from TypeORM's metadata. */
export class RowSeeder {
  constructor(private readonly session: IsolationSession) {}

  /**
   * Inserts a row for a tenant, with the rows that it needs: as the tenant, or as admin where the app role may not.
   *
   * @param given values that the caller chose.
   * @param attacked also fills what unique keys need: with a NULL in it, a key conflicts with nothing.
   * @returns the entity, with its primary key.
   */
  async seed(
    metadata: EntityMetadata,
    tenantId: string,
    given: ObjectLiteral = {},
    attacked = false,
  ): Promise<ObjectLiteral> {
    const { manager } = this.session;
    const entity = manager.merge(metadata.target as never, metadata.create(), given) as ObjectLiteral;
    const tenantColumn = tenantColumnOf(metadata);
    tenantColumn?.setEntityValue(entity, tenantColumn.type === 'integer' ? Number(tenantId) : tenantId);
    const keys = attacked ? uniqueColumns(metadata) : new Set<string>();
    for (const relation of metadata.relationsWithJoinColumns)
      await this.relate(entity, relation, tenantId, keys);
    for (const column of metadata.columns)
      if (isToBeFilled(column, entity, keys)) column.setEntityValue(entity, valueFor(column));
    const insert = (into: EntityManager) =>
      into.createQueryBuilder().insert().into(metadata.target).values(entity).execute();
    try {
      if (await this.session.may('INSERT', metadata)) await asTenant(tenantId, () => insert(manager));
      else
        await this.session.asAdmin('expectIsolated: the app role may not insert', insert, (from) =>
          from.delete(metadata.target, primaryKeyOf(metadata, entity)),
        );
    } catch (cause) {
      throw new IsolationAssertionError(
        `Nothing was proven: a row of "${metadata.name}" for tenant ${JSON.stringify(tenantId)} could not be inserted: ${(cause as Error).message}`,
        'If the row needs other values, give them: expectIsolated(Entity, { make: (tenantId) => ({ … }) }). If the tenant is refused its own row, look at the policies of the table.',
        { cause },
      );
    }
    return entity;
  }

  private async relate(
    entity: ObjectLiteral,
    relation: RelationMetadata,
    tenantId: string,
    keys: ReadonlySet<string>,
  ): Promise<void> {
    const own = referencingColumns(relation);
    if (own.length === 0) return this.ensureTenant(relation, tenantId);
    const isGiven = own.every((column) => column.getEntityValue(entity) !== undefined);
    // TypeORM refuses entities whose required relations form a ring, so this ends.
    const isNeeded = own.some((column) => !column.isNullable || keys.has(column.databaseName));
    if (isGiven || !isNeeded) return;
    relation.setEntityValue(entity, await this.seed(relation.inverseEntityMetadata, tenantId));
  }

  /** The row that the tenant column itself refers to: of the tenants' own table. */
  private async ensureTenant(
    { inverseEntityMetadata: tenants, joinColumns }: RelationMetadata,
    tenantId: string,
  ): Promise<void> {
    const { propertyName } = joinColumns[0]!.referencedColumn!;
    const where = { [propertyName]: tenantId };
    const exists = (await this.session.may('SELECT', tenants))
      ? await this.session.inControl(tenantId, () => this.session.manager.existsBy(tenants.target, where))
      : await this.session.asAdmin('expectIsolated: is the tenant there', (manager) =>
          manager.existsBy(tenants.target, where),
        );
    if (!exists) await this.seed(tenants, tenantId, where);
  }
}

/** The join columns of a relation but for the tenant column, which rows of one tenant share. */
export function referencingColumns({ joinColumns, entityMetadata }: RelationMetadata): ColumnMetadata[] {
  const tenantColumn = tenantColumnOf(entityMetadata);
  return joinColumns.filter((column) => column.databaseName !== tenantColumn?.databaseName);
}

/** The columns of unique keys, by their names in the database. */
function uniqueColumns({ uniques, indices }: EntityMetadata): Set<string> {
  const keys = [...uniques, ...indices.filter(({ isUnique }) => isUnique)];
  return new Set(keys.flatMap(({ columns }) => columns.map(({ databaseName }) => databaseName)));
}

function isToBeFilled(column: ColumnMetadata, entity: ObjectLiteral, keys: ReadonlySet<string>): boolean {
  const filledByDatabase =
    (column.isNullable && !keys.has(column.databaseName)) ||
    column.isGenerated ||
    column.default !== undefined ||
    column.asExpression;
  const filledByTypeOrm =
    column.isVirtual ||
    column.isVirtualProperty ||
    column.isDiscriminator ||
    column.isCreateDate ||
    column.isUpdateDate ||
    column.isDeleteDate ||
    column.isVersion ||
    column.isTreeLevel ||
    column.isMaterializedPath ||
    column.isNestedSetLeft ||
    column.isNestedSetRight ||
    // Its value comes with the related row.
    column.relationMetadata;
  return !filledByDatabase && !filledByTypeOrm && column.getEntityValue(entity) === undefined;
}

const TEXTS = ['text', 'varchar', 'character varying', 'char', 'character', 'citext'];
const NUMBERS = [
  'integer',
  'int',
  'int4',
  'bigint',
  'int8',
  'smallint',
  'int2',
  'numeric',
  'decimal',
  'real',
  'float',
  'float4',
  'float8',
  'double precision',
];
const DATES = ['date', 'timestamp', 'timestamptz', 'timestamp with time zone', 'timestamp without time zone'];

/** A value that a column of the type takes, different each time where the type has room for it. */
function valueFor(column: ColumnMetadata): unknown {
  const { driver } = dataSourceOf(column.entityMetadata);
  const type = driver.normalizeType(column);
  if (column.isArray) return [];
  if (column.enum) return column.enum[0];
  if (TEXTS.includes(type)) return randomText(Number(column.length) || 24);
  if (NUMBERS.includes(type)) return randomInt(1, largestNumber(column, type));
  if (DATES.includes(type)) return new Date();
  switch (type) {
    case 'uuid':
      return randomUUID();
    case 'boolean':
    case 'bool':
      return true;
    case 'json':
    case 'jsonb':
      return {};
    case 'bytea':
      return randomBytes(8);
    case 'time':
    case 'time without time zone':
      return '12:00';
    case 'interval':
      return '1 day';
    case 'inet':
    case 'cidr':
      return '192.0.2.1';
    default:
      throw new IsolationAssertionError(
        `Nothing was proven: no value is known for column "${column.propertyPath}" of "${column.entityMetadata.name}", which has type "${type}".`,
        'Give one: expectIsolated(Entity, { make: (tenantId) => ({ … }) }).',
      );
  }
}

function randomText(length: number): string {
  return randomBytes(Math.min(length, 24)).toString('hex').slice(0, Math.min(length, 24));
}

function largestNumber({ precision, scale }: ColumnMetadata, type: string): number {
  if (type === 'smallint' || type === 'int2') return 2 ** 15;
  const digits = precision ? precision - (scale ?? 0) : 9;
  return 10 ** Math.min(Math.max(digits, 1), 9);
}

/** The id of a tenant that nobody else has. */
export function randomTenantId(type: string): string {
  if (type === 'uuid') return randomUUID();
  return type === 'text' ? `test-${randomUUID()}` : String(randomInt(10 ** 9, 2 * 10 ** 9));
}
