import type { DataSource, QueryRunner } from 'typeorm';
import type { Catalog } from '../audit/catalog.js';
import { tenantScopedSidesOf } from '../entities/join-tables.js';
import { tenantColumnOf, type TenantScopedTable } from '../entities/index.js';
import { RlsConfigurationError } from '../errors.js';
import type { Change } from '../lint/changes.js';
import { readSql } from '../lint/read-sql.js';
import { admissionProblem } from '../migrations/admission.js';
import { scan } from '../migrations/outside-transaction.js';
import { currentTenantSql, DEFAULT_TENANT_COLUMN, quoteIdentifier, quoteTable } from '../policies/index.js';
import { structureStep, tenantOptions } from './policy-difference.js';
import type { LiveTables } from './schema-facts.js';
import type { OperationStep, SqlStep, Step } from './step.js';

const BACKFILL_GUIDE = 'docs/migrations/backfills.md';

/** The tables of the entities, and what is there of them. */
export interface TenantTables {
  readonly declared: readonly TenantScopedTable[];
  readonly live: LiveTables;
}

/**
 * TypeORM's steps with operations in place of the statements that add a tenant column to an existing table. TypeORM adds it
 * NOT NULL with a default that reads the tenant setting, and that gives existing rows the tenant of whoever migrates, or
 * none. The operation does without in an empty table, and fills a join table from the tables it joins.
 *
 * `undecided` are the tables with rows that only their owner can give tenants: nothing of `steps` can be run before.
 *
 * @throws RlsConfigurationError if row-level security hides from this role whether a table has rows, or if TypeORM takes
 * the tenant column for another one's new name.
 */
export async function withTenantColumns(
  queryRunner: QueryRunner,
  dataSource: DataSource,
  { declared, live }: TenantTables,
  steps: readonly SqlStep[],
): Promise<{ steps: Step[]; undecided: TenantScopedTable[] }> {
  const replaced: Step[] = [];
  const undecided: TenantScopedTable[] = [];
  for (const step of steps) {
    const table = declared.find((one) => changesIn(step.up).some((change) => adds(change, one, live)));
    if (!table || !live.find(table.table)) {
      replaced.push(step);
      continue;
    }
    const fill = fillFromSide(dataSource, table);
    if (fill === undefined && (await hasRows(queryRunner, table.table))) undecided.push(table);
    const operation = structureStep(
      table.table,
      'addTenantColumn',
      [{ table: table.table, ...tenantOptions(table), ...(fill && { fill: { from: fill } }) }],
      fill && [fill.table],
    );
    replaced.push({ ...operation, origins: [step.up] });
  }
  return { steps: replaced, undecided };
}

/** The nullable tenant column of a table with rows: the first migration of protecting it, and the one before the backfill. */
export function nullableColumnStep({
  table,
  tenantColumn,
  tenantIdType,
  tenantSetting,
}: TenantScopedTable): OperationStep {
  return structureStep(table, 'addNullableColumn', [
    {
      table,
      column: tenantColumn,
      type: tenantIdType,
      default: currentTenantSql(tenantIdType, tenantSetting),
    },
  ]);
}

/** What the owner of the rows must do between the nullable column and the next `generate-migration`. */
export function backfillAdvice(tables: readonly TenantScopedTable[]): string {
  const columns = tables.map(({ table, tenantColumn }) => `"${tenantColumn}" of table "${table}"`).join(', ');
  return (
    `Only the nullable column ${columns} is written, and nothing else of the difference: there are rows, and whose they are cannot be known. ` +
    `Run the migration, give every row its tenant in a backfill (${BACKFILL_GUIDE}), and generate again for the rest.`
  );
}

/**
 * Refuses to go on while rows of an existing table have no tenant: NOT NULL would fail, and the policy would hide them.
 *
 * @throws RlsConfigurationError that names the tables.
 */
export async function checkBackfilled(
  queryRunner: QueryRunner,
  declared: readonly TenantScopedTable[],
  catalog: Catalog,
): Promise<void> {
  const waiting: string[] = [];
  for (const { table, tenantColumn, sides } of declared) {
    const column = sides ? undefined : catalog.table(table)?.columns.get(tenantColumn);
    if (!column || column.notNull) continue;
    if (await hasRows(queryRunner, table, `${quoteIdentifier(tenantColumn)} IS NULL`))
      waiting.push(`"${table}"`);
  }
  if (waiting.length === 0) return;
  throw new RlsConfigurationError(
    `There are rows without a tenant in table ${waiting.join(', ')}, which their policy would hide from everybody.`,
    `Give every row its tenant in a backfill (${BACKFILL_GUIDE}), then generate again.`,
  );
}

function adds(change: Change, { table, tenantColumn }: TenantScopedTable, live: LiveTables): boolean {
  if (change.kind === 'rename' && change.to === tenantColumn && change.table !== undefined) {
    if (live.resolve(change.table) !== live.resolve(table)) return false;
    throw new RlsConfigurationError(
      `TypeORM would rename column "${change.from}" of table "${table}" to its tenant column "${tenantColumn}": it takes a column that is gone and a column that is new for one.`,
      'If that is what you mean, rename it in a migration of your own. If not, generate in two steps: keep the old column in the entity for the first.',
    );
  }
  if (change.kind !== 'add-column' || change.column.name !== tenantColumn) return false;
  return live.resolve(change.table) === live.resolve(table);
}

/** The side of a join table whose rows have their tenants. */
function fillFromSide(dataSource: DataSource, { table, kind }: TenantScopedTable) {
  if (kind === 'entity') return undefined;
  const joinTable = dataSource.entityMetadatas.find(
    ({ isJunction, tablePath }) => isJunction && tablePath === table,
  );
  const [side] = joinTable ? tenantScopedSidesOf(joinTable) : [];
  if (!side) return undefined;
  const tenantColumn = tenantColumnOf(side.metadata)!.databaseName;
  return {
    table: side.metadata.tablePath,
    columns: side.columns.map((column) => ({
      column: column.databaseName,
      referencedColumn: column.referencedColumn!.databaseName,
    })),
    ...(tenantColumn !== DEFAULT_TENANT_COLUMN && { tenantColumn }),
  };
}

/** It may take as long as it takes: that no row is without a tenant is known only at the end of the table. */
async function hasRows(queryRunner: QueryRunner, table: string, condition = 'true'): Promise<boolean> {
  const problem = await admissionProblem(queryRunner, [table]);
  if (problem) throw problem;
  let found = false;
  await scan(queryRunner, async (inner) => {
    const sql = `SELECT EXISTS (SELECT FROM ${quoteTable(table)} WHERE ${condition}) AS found`;
    [{ found }] = (await inner.query(sql)) as [{ found: boolean }];
  });
  return found;
}

function changesIn(sql: string): readonly Change[] {
  return readSql(sql).flatMap(({ changes }) => changes);
}
