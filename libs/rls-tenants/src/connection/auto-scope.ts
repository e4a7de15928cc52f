import { QueryBuilder, SelectQueryBuilder, type DataSource, type EntityMetadata } from 'typeorm';
import type { ColumnMetadata } from 'typeorm/metadata/ColumnMetadata.js';
import { currentTenantContext } from '../context/tenant-context.js';
import { tenantScopeOf } from '../entities/tenant-scope.js';
import { Isolation } from './isolation.js';
import { isUnscoped } from './unscoped.js';

// TypeORM replaces `alias.property` and `:parameter` in the text it generates, literals included.
const SAFE_IN_TYPEORM_TEXT = /^[\w-]+$/;

interface Alias {
  type: 'from' | 'select' | 'join' | 'other';
  name: string;
  hasMetadata: boolean;
  /** Throws where there is none. */
  metadata: EntityMetadata;
  /** In the place of the table; its columns are its own. */
  subQuery?: string | undefined;
}

interface JoinAttribute {
  alias: Alias;
  condition?: string | undefined;
}

/** The parts of TypeORM's query builders that auto-scoping reads and writes; protected there. */
interface Builder {
  dataSource?: DataSource;
  connection: DataSource;
  expressionMap: {
    mainAlias?: Alias;
    /** All of the statement: what it selects from, and what it joins. */
    aliases: Alias[];
    /** False for updates and deletes: their one table has no alias. */
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
 * Sub-queries, relations and pagination are made by query builders too. The literal prunes partitions at plan time and
 * spares filters the setting; isolation never depends on it. Rows that are read beside the tenant's own get none. Query builders of other data sources are left alone, and so
 * is a find by the whole primary key: there is one row at most to be found, and planning one more condition would only
 * cost time.
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
    const condition = whereCondition(this);
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
    for (const join of joins) {
      const condition = aliasCondition(this, join.alias, literal);
      if (condition !== undefined)
        join.condition = join.condition ? `(${join.condition}) AND ${condition}` : condition;
    }
    try {
      return createJoinExpression.call(this);
    } finally {
      for (const [index, join] of joins.entries()) join.condition = conditions[index];
    }
  };
}

function whereCondition(builder: Builder): string | undefined {
  const { mainAlias, aliases, aliasNamePrefixingEnabled } = builder.expressionMap;
  if (mainAlias === undefined || findsByPrimaryKey(builder, mainAlias)) return undefined;
  let literal: string | undefined;
  let conditions: string | undefined;
  for (const alias of aliasNamePrefixingEnabled ? aliases : [mainAlias]) {
    if (alias.type !== 'from' || tenantColumnOfAlias(builder, alias) === undefined) continue;
    literal ??= tenantLiteral(builder);
    if (literal === undefined) return undefined;
    const condition = aliasCondition(builder, alias, literal);
    conditions = conditions === undefined ? condition : `${conditions} AND ${condition}`;
  }
  return conditions;
}

function aliasCondition(builder: Builder, alias: Alias, literal: string): string | undefined {
  const column = tenantColumnOfAlias(builder, alias);
  if (column === undefined) return undefined;
  const name = builder.escape(column.databaseName);
  return builder.expressionMap.aliasNamePrefixingEnabled
    ? `${builder.escape(alias.name)}.${name} = ${literal}`
    : `${name} = ${literal}`;
}

/** Undefined where there is none, and where a literal would hide what the policy shows beside the tenant's own rows. */
function tenantColumnOfAlias({ expressionMap }: Builder, alias: Alias): ColumnMetadata | undefined {
  if (!alias.hasMetadata || alias.subQuery !== undefined) return undefined;
  const scope = tenantScopeOf(alias.metadata);
  if (scope?.readableBySet !== true && scope?.sharedTenant === undefined) return scope?.column;
  // Updates and deletes reach the tenant's own rows only.
  if (!expressionMap.aliasNamePrefixingEnabled) return scope.column;
  const state = currentTenantContext();
  const readsSet = scope.readableBySet && state.kind === 'tenant' && state.readableTenantIds !== undefined;
  return readsSet || scope.sharedTenant !== undefined ? undefined : scope.column;
}

function findsByPrimaryKey({ findOptions }: Builder, mainAlias: Alias): boolean {
  const where = findOptions?.where;
  // An array is an OR.
  if (typeof where !== 'object' || where === null || Array.isArray(where)) return false;
  return mainAlias.metadata.primaryColumns.every(({ propertyName }) => {
    const value = (where as Record<string, unknown>)[propertyName];
    return typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint';
  });
}

function tenantLiteral(builder: Builder): string | undefined {
  const isolation = Isolation.get(builder.dataSource ?? builder.connection);
  const state = currentTenantContext();
  if (!isolation?.autoScope || state.kind !== 'tenant' || isUnscoped()) return undefined;
  const front = isolation.frontOf(state);
  return SAFE_IN_TYPEORM_TEXT.test(front.value) ? front.literal : undefined;
}
