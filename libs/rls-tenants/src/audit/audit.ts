import type { DataSource } from 'typeorm';
import { loadModule } from 'libpg-query';
import { withoutTenant } from '../context/tenant-context.js';
import { tenantTablesOf, type TenantScopedTable } from '../entities/tenant-tables.js';
import { RlsConfigurationError } from '../errors.js';
import { DEFAULT_ADMIN_ROLE, quoteRole } from '../policies/index.js';
import {
  readCatalog,
  type Catalog,
  type CatalogPolicy,
  type CatalogQuery,
  type CatalogTable,
} from './catalog.js';
import { sortFindings, type Finding } from './finding.js';
import type { AuditedTable, RuleContext } from './rule.js';
import { AUDIT_RULES } from './rules/index.js';

/** What to audit, and against what. */
export interface AuditOptions {
  /** The role whose policy sees all rows. Default: what the tables say, else `'rls_admin'`. */
  adminRole?: string | undefined;
  /** Audits this login role instead of the connection's own. */
  role?: string | undefined;
}

/** One table of a report, with its policies as they are. */
export interface ReportedTable {
  readonly kind: TenantScopedTable['kind'];
  readonly entityName: string;
  /** `schema.table`; the declared name if it does not exist. */
  readonly table: string;
  readonly exists: boolean;
  readonly policies: readonly CatalogPolicy[];
}

/** What an audit found, and what it looked at. */
export interface AuditReport {
  readonly database: string;
  /** PostgreSQL's version, for example `18.1`. */
  readonly serverVersion: string;
  /** The role that was audited. */
  readonly role: string;
  /** Worst first. */
  readonly findings: readonly Finding[];
  readonly tables: readonly ReportedTable[];
  /** How many of each kind were looked at. */
  readonly counts: { readonly tables: number; readonly joinTables: number };
}

/**
 * Audits the database of an initialized data source: every table that its entities declare, and the role it connects as.
 * Reads the catalog only, on a connection of its own and in one read-only transaction. Counterpart of
 * django-rls-tenants' `check_rls`.
 *
 * @throws RlsConfigurationError if there is nothing to check: no PostgreSQL, not
 * initialized, or no tenant-scoped entity.
 */
export async function auditDataSource(
  dataSource: DataSource,
  options: AuditOptions = {},
): Promise<AuditReport> {
  if (dataSource.options.type !== 'postgres') {
    throw new RlsConfigurationError(
      `The data source is of type "${dataSource.options.type}".`,
      'Row-level security needs a data source of type "postgres".',
    );
  }
  const tables = tenantTablesOf(dataSource);
  return withCatalogQuery(dataSource, (query) => auditTables(query, tables, options));
}

/**
 * Audits tables over one connection. See {@link auditDataSource}.
 *
 * @param query must run every statement on the same connection, outside a transaction.
 * @throws RlsConfigurationError if `tables` is empty, or a role has an impossible name or does not exist.
 */
export async function auditTables(
  query: CatalogQuery,
  tables: readonly TenantScopedTable[],
  options: AuditOptions = {},
): Promise<AuditReport> {
  if (tables.length === 0) {
    throw new RlsConfigurationError(
      'There is nothing to check: the data source has no tenant-scoped entity.',
      'Mark the entities whose rows belong to tenants @TenantScoped(), and list them in the data source.',
    );
  }
  return runRules(query, tables, options);
}

/**
 * Runs every rule, those about roles even if no table is declared.
 *
 * @throws RlsConfigurationError if a role has an impossible name or does not exist.
 */
export async function runRules(
  query: CatalogQuery,
  tables: readonly TenantScopedTable[],
  options: AuditOptions = {},
): Promise<AuditReport> {
  // The rules parse policies synchronously.
  await loadModule();
  const adminRoleOf = (table?: TenantScopedTable) =>
    options.adminRole ?? table?.adminRole ?? DEFAULT_ADMIN_ROLE;
  const adminRoles = [...new Set(tables.length === 0 ? [adminRoleOf()] : tables.map(adminRoleOf))];
  adminRoles.forEach(quoteRole);

  const catalog = await readCatalog(query, tables, { role: options.role, adminRoles });
  const audited = tables.map((declared): AuditedTable => {
    const live = catalog.table(declared.table);
    return { declared, live, path: pathOf(declared, live), adminRole: adminRoleOf(declared) };
  });
  const context: RuleContext = { tables: audited, adminRoles };
  return report(
    catalog,
    context,
    AUDIT_RULES.flatMap((rule) => rule.check(catalog, context)),
  );
}

/** Gives `work` a connection of its own, outside any tenant context. */
export async function withCatalogQuery<T>(
  dataSource: DataSource,
  work: (query: CatalogQuery) => Promise<T>,
): Promise<T> {
  return withoutTenant(async () => {
    const runner = dataSource.createQueryRunner('master');
    try {
      return await work((sql, parameters) => runner.query(sql, parameters));
    } finally {
      await runner.release();
    }
  });
}

function report(catalog: Catalog, { tables }: RuleContext, findings: readonly Finding[]): AuditReport {
  const joinTables = tables.filter(({ declared }) => declared.kind === 'join-table').length;
  return {
    database: catalog.server.database,
    serverVersion: catalog.server.version,
    role: catalog.appRole.name,
    findings: sortFindings(findings),
    tables: tables.map(({ declared, live, path }) => ({
      kind: declared.kind,
      entityName: declared.entityName,
      table: path,
      exists: live !== undefined,
      policies: live?.policies ?? [],
    })),
    counts: { tables: tables.length - joinTables, joinTables },
  };
}

/** TypeORM's notation cannot hold a dot within a name. */
function pathOf({ table }: TenantScopedTable, live: CatalogTable | undefined): string {
  return live && !live.schema.includes('.') ? `${live.schema}.${live.name}` : table;
}
