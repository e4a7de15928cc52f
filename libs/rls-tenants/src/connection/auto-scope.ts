import { QueryBuilder, SelectQueryBuilder, type DataSource, type EntityMetadata } from 'typeorm';
import { currentTenantContext } from '../context/tenant-context.js';
import { tenantColumnOf } from '../entities/tenant-tables.js';
import { Isolation } from './isolation.js';

// TypeORM replaces `alias.property` and `:parameter` in the text it generates, literals included.
const SAFE_IN_TYPEORM_TEXT = /^[\w-]+$/;

interface Alias {
  name: string;
  hasMetadata: boolean;
  metadata: EntityMetadata;
}

interface JoinAttribute {
  direction: 'LEFT' | 'INNER';
  alias: Alias;
  metadata?: EntityMetadata;
  condition?: string | undefined;
  /** Throws where the join is not along a relation. */
  readonly junctionAlias: string;
  relation?: { junctionEntityMetadata?: EntityMetadata };
}

/** The parts of TypeORM's query builders that auto-scoping reads and writes; protected there. */
interface Builder {
  dataSource?: DataSource;
  connection: DataSource;
  expressionMap: {
    mainAlias?: Alias;
    aliasNamePrefixingEnabled: boolean;
    extraAppendedAndWhereCondition: string;
    joinAttributes: JoinAttribute[];
  };
  /** Of `find`, `findOne` and the like; undefined on a query builder of the application's own. */
  findOptions?: { where?: unknown };
  escape(name: string): string;
  createWhereExpression(): string;
  createJoinExpression(): string;
}

let installed = false;

/**
 * Adds `tenant_id = <literal>` to what TypeORM generates for isolated data sources: to the WHERE clause of selects,
 * updates, deletes and soft deletes, where TypeORM adds its own soft-delete condition, and to the ON clause of joins.
 * The literal gives the planner the tenant's own statistics and prunes partitions at plan time; isolation never
 * depends on it. Query builders of other data sources are left alone, and so is a find by the whole primary key: there
 * is one row at most to be found, and planning one more condition would only cost time.
 */
export function installAutoScope(): void {
  if (installed) return;
  installed = true;
  const query = QueryBuilder.prototype as unknown as Builder;
  const select = SelectQueryBuilder.prototype as unknown as Builder;
  const { createWhereExpression } = query;
  const { createJoinExpression } = select;

  query.createWhereExpression = function () {
    const { expressionMap } = this;
    const condition = mainCondition(this);
    if (condition === undefined) return createWhereExpression.call(this);
    const appended = expressionMap.extraAppendedAndWhereCondition;
    expressionMap.extraAppendedAndWhereCondition = appended ? `(${appended}) AND ${condition}` : condition;
    try {
      return createWhereExpression.call(this);
    } finally {
      expressionMap.extraAppendedAndWhereCondition = appended;
    }
  };

  select.createJoinExpression = function () {
    const joins = this.expressionMap.joinAttributes;
    const literal = joins.length === 0 ? undefined : tenantLiteral(this);
    if (literal === undefined) return createJoinExpression.call(this);
    const conditions = joins.map(({ condition }) => condition);
    for (const join of joins) join.condition = joinCondition(this, join, literal);
    try {
      return createJoinExpression.call(this);
    } finally {
      for (const [index, join] of joins.entries()) join.condition = conditions[index];
    }
  };
}

function mainCondition(builder: Builder): string | undefined {
  const { mainAlias, aliasNamePrefixingEnabled } = builder.expressionMap;
  const column = mainAlias?.hasMetadata ? tenantColumnOf(mainAlias.metadata) : undefined;
  if (column === undefined || findsByPrimaryKey(builder, mainAlias!.metadata)) return undefined;
  const literal = tenantLiteral(builder);
  if (literal === undefined) return undefined;
  const name = builder.escape(column.databaseName);
  return aliasNamePrefixingEnabled
    ? `${builder.escape(mainAlias!.name)}.${name} = ${literal}`
    : `${name} = ${literal}`;
}

function joinCondition(builder: Builder, join: JoinAttribute, literal: string): string | undefined {
  const scope = (alias: string, metadata: EntityMetadata | undefined) => {
    const column = metadata && tenantColumnOf(metadata);
    return column
      ? `${builder.escape(alias)}.${builder.escape(column.databaseName)} = ${literal}`
      : undefined;
  };
  const conditions = [join.condition && `(${join.condition})`, scope(join.alias.name, join.metadata)];
  // TypeORM takes no condition for the join table itself. In an inner join this is one; in a left join it would not
  // reach the join table's scan.
  const junction = join.direction === 'INNER' ? join.relation?.junctionEntityMetadata : undefined;
  if (junction && tenantColumnOf(junction)) conditions.push(scope(join.junctionAlias, junction));
  return conditions.filter(Boolean).join(' AND ') || undefined;
}

function findsByPrimaryKey({ findOptions }: Builder, { primaryColumns }: EntityMetadata): boolean {
  const where = findOptions?.where;
  // An array is an OR.
  if (typeof where !== 'object' || where === null || Array.isArray(where)) return false;
  return primaryColumns.every(({ propertyName }) => {
    const value = (where as Record<string, unknown>)[propertyName];
    return typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint';
  });
}

function tenantLiteral(builder: Builder): string | undefined {
  const isolation = Isolation.get(builder.dataSource ?? builder.connection);
  const state = currentTenantContext();
  if (!isolation?.autoScope || state.kind !== 'tenant') return undefined;
  const front = isolation.fronts.of(state, false);
  return SAFE_IN_TYPEORM_TEXT.test(front.value) ? front.literal : undefined;
}
