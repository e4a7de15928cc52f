import type { DataSource, EntityMetadata, QueryRunner } from 'typeorm';
import { auditTables, formatFindings, isFailure, type Finding } from '../audit/index.js';
import { readCatalog, type Catalog, type CatalogQuery, type CatalogTable } from '../audit/catalog.js';
import { isTable } from '../audit/rule.js';
import { joinedEntitiesOf, tenantScopedSidesOf, type JoinedEntity } from '../entities/join-tables.js';
import { tenantColumnOf, tenantTablesOf, type TenantScopedTable } from '../entities/index.js';
import { RlsConfigurationError, RlsTenantsError } from '../errors.js';
import { admissionProblem } from '../migrations/admission.js';
import {
  protectJoinTable,
  tenantIndex,
  type JoinTableForeignKey,
  type ReferentialAction,
  type RlsOperation,
} from '../migrations/index.js';
import { inTheirForms } from '../generate/sealed-tables.js';
import { sequence } from '../migrations/rls-operation.js';
import { DEFAULT_ADMIN_ROLE } from '../policies/index.js';
import { explain } from './cli-output.js';
import {
  checkOwner,
  checkPrimaryKey,
  checkUnique,
  checkTenantColumn,
  checkTenantsAgree,
  countLinks,
} from './setup-m2m-rls.checks.js';

/** The roles that the policies and grants are for. */
export interface JoinTableRoles {
  /** The login that serves requests. */
  readonly appRole: string;
  /** Default `'rls_admin'`. */
  readonly adminRole?: string | undefined;
}

/** What is to be done about a join table. */
export type JoinTablePlan = { readonly table: string } & (
  | { readonly state: 'protected' }
  | { readonly state: 'bare'; readonly operation: RlsOperation; readonly how: string }
  | { readonly state: 'refused'; readonly reason: string; readonly hint: string }
);

/**
 * Says of each join table of the data source's entities whether the audit finds it bare, and what would protect it: in the
 * form that the entities declare. It changes nothing. The caller is in no transaction.
 *
 * @throws RlsConfigurationError if no entity is tenant-scoped, a role does not exist, or the connection is the app role's.
 */
export async function planJoinTables(
  queryRunner: QueryRunner,
  dataSource: DataSource,
  roles: JoinTableRoles,
): Promise<JoinTablePlan[]> {
  const { appRole, adminRole = DEFAULT_ADMIN_ROLE } = roles;
  const tables = tenantTablesOf(dataSource);
  const query: CatalogQuery = (sql, parameters) => queryRunner.query(sql, parameters);
  const report = await auditTables(query, tables, { role: appRole, adminRole, scope: 'declared' });
  const catalog = await readCatalog(query, tables, {
    role: appRole,
    adminRoles: [adminRole],
    settings: [],
    tenantSettings: tables.map(({ tenantSetting }) => tenantSetting),
    scope: 'declared',
  });
  if (catalog.auditsOwnConnection) {
    throw new RlsConfigurationError(
      `The data source connects as "${appRole}", the login that serves requests.`,
      "Name a data source with the migration role's login, which owns the tables: see migrationDataSourceOptions().",
    );
  }
  const plans: JoinTablePlan[] = [];
  const planner = { queryRunner, dataSource, catalog, findings: report.findings.filter(isFailure), roles };
  for (const table of inTheirForms(tables, catalog).filter(({ kind }) => kind === 'join-table')) {
    plans.push(await planOf(planner, table));
  }
  return plans;
}

interface Planner {
  readonly queryRunner: QueryRunner;
  readonly dataSource: DataSource;
  readonly catalog: Catalog;
  readonly findings: readonly Finding[];
  readonly roles: JoinTableRoles;
}

async function planOf(planner: Planner, declared: TenantScopedTable): Promise<JoinTablePlan> {
  const { table } = declared;
  const live = planner.catalog.table(table);
  const refused = (reason: string, hint: string) => ({ table, state: 'refused', reason, hint }) as const;
  if (!live)
    return refused('It does not exist.', 'Create it in a migration: `rls-tenants generate-migration`.');
  if (!isTable(live)) return refused('It is no table.', 'Row-level security protects tables only.');
  if (live.rlsEnabled || live.rlsForced || live.policies.length > 0) {
    const findings = findingsAbout(live, planner.findings);
    return findings.length === 0
      ? { table, state: 'protected' }
      : refused(
          `It is not bare, and not as the entities declare it:\n${formatFindings(findings)}`,
          'Do what each finding says, or let `rls-tenants generate-migration` write it. Nothing here changes policies that are there.',
        );
  }
  try {
    return { table, state: 'bare', ...(await protectionOf(planner, declared, live)) };
  } catch (error) {
    if (error instanceof RlsTenantsError || isLocked(error))
      return { table, state: 'refused', ...explanationOf(error) };
    throw error;
  }
}

/** Why a table stays as it is. */
export function explanationOf(error: unknown): { reason: string; hint: string } {
  if (error instanceof RlsTenantsError) return { reason: error.message, hint: error.hint };
  const next = isLocked(error)
    ? 'Somebody is using it: run this again.'
    : 'Protect it in a migration of your own: protectJoinTable().';
  return { reason: explain(error), hint: `Nothing of it was changed. ${next}` };
}

/** SQLSTATE lock_not_available. */
function isLocked(error: unknown): boolean {
  return (error as { code?: string }).code === '55P03';
}

/** Findings about the table, its columns and its policies. */
function findingsAbout({ schema, name }: CatalogTable, findings: readonly Finding[]): Finding[] {
  return findings.filter(({ object }) => object.endsWith(`table "${schema}.${name}"`));
}

type Protection = Pick<Extract<JoinTablePlan, { state: 'bare' }>, 'operation' | 'how'>;

/** @throws RlsConfigurationError if the library cannot protect the table as it is. */
async function protectionOf(
  planner: Planner,
  declared: TenantScopedTable,
  live: CatalogTable,
): Promise<Protection> {
  const { table: joinTable, tenantColumn, tenantIdType, tenantSetting, sealed = false, sides } = declared;
  await checkOwner(planner.queryRunner, live);
  const options = {
    joinTable,
    tenantIdType,
    tenantSetting,
    sealed,
    appRole: planner.roles.appRole,
    adminRole: planner.roles.adminRole ?? DEFAULT_ADMIN_ROLE,
  };
  if (sides) {
    for (const side of sides) checkTenantColumn(planner.catalog, side);
    const through = sides.map(({ table }) => `"${table}"`).join(' and ');
    return {
      operation: protectJoinTable({ ...options, form: 'exists', sides }),
      how: `by policies that look its sides up in ${through}`,
    };
  }
  const column = live.columns.get(tenantColumn);
  if (!column) return protectionWithNewColumn(planner, declared, options);
  if (!column.notNull) {
    throw new RlsConfigurationError(
      `Its tenant column "${tenantColumn}" may be NULL, and a policy hides rows without a tenant from everybody.`,
      'Give every link its tenant and make the column NOT NULL: `rls-tenants generate-migration` writes it.',
    );
  }
  return {
    operation: protectJoinTable({ ...options, form: 'existing-column', tenantColumn }),
    how: `by policies on its tenant column "${tenantColumn}"`,
  };
}

async function protectionWithNewColumn(
  { queryRunner, dataSource, catalog }: Planner,
  { table, tenantColumn }: TenantScopedTable,
  options: Omit<Extract<Parameters<typeof protectJoinTable>[0], { form: 'exists' }>, 'form' | 'sides'>,
): Promise<Protection> {
  const metadata = dataSource.entityMetadatas.find((one) => one.isJunction && one.tablePath === table)!;
  const joined = tenantScopedSidesOf(metadata);
  joined.forEach(checkPrimaryKey);
  const sides = joined.map((side) => foreignKeyOf(side, metadata));
  for (const side of sides) checkTenantColumn(catalog, side);
  const problem = await admissionProblem(queryRunner, [table, ...sides.map((side) => side.table)]);
  if (problem) throw problem;
  for (const side of sides) await checkUnique(queryRunner, side);
  const links = await countLinks(queryRunner, table);
  await checkTenantsAgree(queryRunner, table, sides);
  // Indexes of a join table begin with its tenant column, those of sides that everybody shares as well.
  const shared = joinedEntitiesOf(metadata).filter((side) => !tenantColumnOf(side.metadata));
  const indexes = shared.map(({ columns }) =>
    tenantIndex({
      table,
      tenantColumn,
      columns: columns.map(({ databaseName }) => databaseName),
      replaces: true,
    }),
  );
  const protect = protectJoinTable({ ...options, form: 'add-column', tenantColumn, sides });
  return {
    operation: sequence(protect.description, [protect, ...indexes]),
    how: `by a tenant column "${tenantColumn}" of its own, filled from "${sides[0]!.table}" (${links} link${links === 1 ? '' : 's'}), composite foreign keys and policies`,
  };
}

/** The foreign key of a side as the entities have it, with its name and actions. */
function foreignKeyOf({ metadata, columns }: JoinedEntity, joinTable: EntityMetadata): JoinTableForeignKey {
  const key = joinTable.foreignKeys.find((one) => columns.every((column) => one.columns.includes(column)))!;
  return {
    table: metadata.tablePath,
    columns: columns.map((column) => ({
      column: column.databaseName,
      referencedColumn: column.referencedColumn!.databaseName,
    })),
    tenantColumn: tenantColumnOf(metadata)!.databaseName,
    name: key.name,
    onDelete: (key.onDelete ?? 'NO ACTION') as ReferentialAction,
    onUpdate: (key.onUpdate ?? 'NO ACTION') as ReferentialAction,
  };
}
