import type { DataSource } from 'typeorm';
import { loadModule } from 'libpg-query';
import { withoutTenant } from '../context/tenant-context.js';
import { tenantTablesOf, type TenantScopedTable } from '../entities/tenant-tables.js';
import { RlsConfigurationError } from '../errors.js';
import {
  checkSettingName,
  DEFAULT_ADMIN_ROLE,
  DEFAULT_TENANT_SETTING,
  quoteRole,
  tablePath,
  readableSettingOf,
} from '../policies/index.js';
import {
  readCatalog,
  type Catalog,
  type CatalogPolicy,
  type CatalogQuery,
  type CatalogTable,
  type FullCatalog,
} from './catalog.js';
import { DatabaseAudit } from './database-audit.js';
import { sortFindings, type Finding } from './finding.js';
import type { CatalogRelation } from './database-catalog.js';
import type { ProbeReport } from './probe/probe.js';
import { recogniseTenantTables } from './recognised-tables.js';
import { asSealed } from './seal.js';
import { reportRoles, type ReportedRoles } from './reported-roles.js';
import type { AuditedTable, Rule, RuleContext } from './rule.js';
import { AUDIT_RULES } from './rules/index.js';

/** What to audit, and against what. */
export interface AuditOptions {
  /** The role whose policy sees all rows. Default: what the tables say, else `'rls_admin'`. */
  adminRole?: string | undefined;
  /** Audits this login role instead of the connection's own. */
  role?: string | undefined;
  /** The schemas to audit, declared tables elsewhere besides. Default: all but the system's and those of extensions. */
  schemas?: readonly string[] | undefined;
  /** The tenant setting, where no entity says it. Default `'rls.current_tenant'`. */
  tenantSetting?: string | undefined;
  /** By this name a column marks a tenant table that no entity declares. Default `'tenant_id'`. */
  tenantColumn?: string | undefined;
  /** Tenant tables that neither an entity declares nor their looks give away, as `table` or `schema.table`. */
  tenantTables?: readonly string[] | undefined;
  /** Ids of the rules to run, those that are off by default included. Default: every rule that is not. */
  rules?: readonly string[] | undefined;
  /** Ids of rules not to run. */
  excludeRules?: readonly string[] | undefined;
}

/** One table of a report, with its policies as they are. */
export interface ReportedTable {
  /** `recognised`: no entity declares it. */
  readonly kind: TenantScopedTable['kind'] | 'recognised';
  /** The entity's name; the table's where it is recognised. */
  readonly entityName: string;
  /** `schema.table`; the declared name if it does not exist. */
  readonly table: string;
  readonly exists: boolean;
  readonly rlsEnabled: boolean;
  readonly rlsForced: boolean;
  readonly policies: readonly CatalogPolicy[];
  /** Partitions and inheritance children at any depth, as `schema.table`. Empty where only declared tables were read. */
  readonly partitions: readonly string[];
}

/** A rule of a report. */
export type ReportedRule = Pick<Rule, 'id' | 'title' | 'severity' | 'tier'>;

/** A rule that did not run, which says nothing about the database. */
export interface SkippedRule extends ReportedRule {
  readonly reason: string;
}

/** What an audit found, and what it looked at. */
export interface AuditReport extends ReportedRoles {
  readonly database: string;
  /** PostgreSQL's version, for example `18.1`. */
  readonly serverVersion: string;
  /** The role that was audited. */
  readonly role: string;
  /** Worst first. */
  readonly findings: readonly Finding[];
  readonly tables: readonly ReportedTable[];
  /** The rules that ran, by id. */
  readonly rules: readonly ReportedRule[];
  /** The rules that did not, by id. */
  readonly skipped: readonly SkippedRule[];
  /** How many of each kind were looked at. */
  readonly counts: { readonly tables: number; readonly joinTables: number; readonly recognised: number };
  /** What was tried on top; undefined where only the catalog was read. */
  readonly probe?: ProbeReport | undefined;
}

/**
 * Audits the database of an initialized data source: every table that its entities declare, the role it connects as,
 * and all else in the audited schemas through which rows could get out. Reads the catalog only, on a connection of its
 * own and in one read-only transaction. Counterpart of django-rls-tenants' `check_rls`.
 *
 * @throws RlsConfigurationError if there is nothing to check: no PostgreSQL, not initialized, or no tenant-scoped
 * entity; or if the connection has no rights to check.
 */
export async function auditDataSource(
  dataSource: DataSource,
  options: AuditOptions = {},
): Promise<AuditReport> {
  return (await examineDataSource(dataSource, options)).report;
}

/** {@link auditDataSource} with what the rules were asked about. */
export async function examineDataSource(
  dataSource: DataSource,
  options: AuditOptions = {},
): Promise<Examination> {
  assertPostgres(dataSource);
  const tables = tenantTablesOf(dataSource);
  checkNotEmpty(tables);
  return withCatalogQuery(dataSource, (query) => examineTables(query, tables, options));
}

/**
 * Audits a database of which no entities are known: its tenant tables are those listed, those with a tenant column, and
 * those with a policy that reads the tenant setting.
 *
 * @throws RlsConfigurationError if there is nothing to check: no PostgreSQL, or no such table; or if the connection has
 * no rights to check.
 */
export async function auditDatabase(
  dataSource: DataSource,
  options: AuditOptions = {},
): Promise<AuditReport> {
  return (await examineDatabase(dataSource, options)).report;
}

/** {@link auditDatabase} with what the rules were asked about. */
export async function examineDatabase(
  dataSource: DataSource,
  options: AuditOptions = {},
): Promise<Examination> {
  assertPostgres(dataSource);
  return withCatalogQuery(dataSource, async (query) => {
    const examination = await examineTables(query, [], options);
    if (examination.report.tables.length > 0) return examination;
    throw new RlsConfigurationError(
      `There is nothing to check: no table in ${options.schemas ? `the schemas ${options.schemas.join(', ')}` : 'any schema'} looks like a tenant table.`,
      'Name the tenant column or setting that marks tenant tables, or list the tables. With the entities at hand, pass --data-source.',
    );
  });
}

/**
 * Audits tables and the database around them over one connection. See {@link auditDataSource}.
 *
 * @param query must run every statement on the same connection, outside a transaction.
 * @throws RlsConfigurationError if `tables` is empty, or a role has an impossible name or does not exist.
 */
export async function auditTables(
  query: CatalogQuery,
  tables: readonly TenantScopedTable[],
  options: AuditOptions & Pick<RunOptions, 'scope'> = {},
): Promise<AuditReport> {
  checkNotEmpty(tables);
  return runRules(query, tables, options);
}

function checkNotEmpty(tables: readonly TenantScopedTable[]): void {
  if (tables.length > 0) return;
  throw new RlsConfigurationError(
    'There is nothing to check: the data source has no tenant-scoped entity.',
    'Mark the entities whose rows belong to tenants @TenantScoped(), and list them in the data source.',
  );
}

/** A report, and what the rules were asked about: for what must know more of the database than a report says. */
export interface Examination {
  readonly report: AuditReport;
  readonly catalog: Catalog;
  readonly context: RuleContext;
}

/** What {@link runRules} looks at. */
export interface RunOptions extends AuditOptions {
  /** `'declared'` reads the given tables only: what a start can afford. Default `'database'`. */
  scope?: 'declared' | 'database' | undefined;
}

/**
 * Runs every rule, those about roles even if there is no table.
 *
 * @throws RlsConfigurationError if a name is impossible, or a role, schema, listed table or rule does not exist.
 */
export async function runRules(
  query: CatalogQuery,
  tables: readonly TenantScopedTable[],
  options: RunOptions = {},
): Promise<AuditReport> {
  return (await examineTables(query, tables, options)).report;
}

/** {@link runRules} with what the rules were asked about. */
export async function examineTables(
  query: CatalogQuery,
  tables: readonly TenantScopedTable[],
  options: RunOptions,
): Promise<Examination> {
  const run = selectRules(options);
  // The rules parse policies synchronously.
  await loadModule();
  const adminRoleOf = (table?: TenantScopedTable) =>
    options.adminRole ?? table?.adminRole ?? DEFAULT_ADMIN_ROLE;
  const adminRoles = [...new Set(tables.length === 0 ? [adminRoleOf()] : tables.map(adminRoleOf))];
  adminRoles.forEach(quoteRole);
  const settings = tenantSettingsOf(tables, options);

  const listed = (options.tenantTables ?? []).map((table) => ({ table }));
  const catalog = await readCatalog(query, [...tables, ...listed], {
    role: options.role,
    adminRoles,
    settings: [...settings, ...readableSettingsOf(tables)],
    tenantSettings: settings,
    scope: options.scope ?? 'database',
    schemas: options.schemas,
  });
  const declared = tables.map((table): AuditedTable => {
    const live = catalog.table(table.table);
    const path = pathOf(table, live);
    return {
      declared: asSealed(table, live, catalog),
      live,
      path,
      adminRole: adminRoleOf(table),
      recognised: false,
    };
  });
  const context: RuleContext = {
    adminRoles,
    requested: new Set(options.rules),
    ...wholeScope(catalog, declared, { ...options, adminRole: adminRoles[0]!, settings }),
  };
  return { report: report(catalog, context, run), catalog, context };
}

/** Adds what a whole scope has and the declared tables have not. */
function wholeScope(
  catalog: Catalog,
  declared: readonly AuditedTable[],
  options: AuditOptions & { adminRole: string; settings: readonly string[] },
): Pick<RuleContext, 'tables' | 'database'> {
  if (!isFull(catalog)) return { tables: declared, database: undefined };
  const recognised = recogniseTenantTables(
    catalog,
    declared.map((table) => table.declared),
    {
      tenantColumn: options.tenantColumn,
      tenantSettings: options.settings,
      listed: options.tenantTables ?? [],
    },
  );
  const tables = [
    ...declared,
    ...recognised.map(({ table, live, listed }): AuditedTable => ({
      declared: asSealed(table, live, catalog),
      live,
      path: table.table,
      adminRole: options.adminRole,
      recognised: true,
      listed,
    })),
  ];
  return {
    tables,
    database: new DatabaseAudit(catalog, tables, [options.adminRole], options.settings),
  };
}

function isFull(catalog: Catalog): catalog is FullCatalog {
  return catalog.database !== undefined;
}

/** What the entities say; an option says it for the tables that no entity declares. */
function tenantSettingsOf(
  tables: readonly TenantScopedTable[],
  { tenantSetting, scope }: RunOptions,
): string[] {
  const declared = tables.map((table) => table.tenantSetting);
  const others =
    scope === 'declared' || (declared.length > 0 && tenantSetting === undefined)
      ? []
      : [checkSettingName(tenantSetting ?? DEFAULT_TENANT_SETTING)];
  return [...new Set([...declared, ...others])];
}

/** A stored default for one of these lets every tenant read what it names. */
function readableSettingsOf(tables: readonly TenantScopedTable[]): string[] {
  const settings = tables
    .filter(({ readableBySet }) => readableBySet)
    .map(({ tenantSetting }) => tenantSetting);
  return [...new Set(settings)].map(readableSettingOf);
}

interface RuleSelection {
  readonly run: readonly Rule[];
  readonly skipped: readonly SkippedRule[];
}

function selectRules({ rules, excludeRules = [] }: AuditOptions): RuleSelection {
  const unknown = [...(rules ?? []), ...excludeRules].find(
    (id) => !AUDIT_RULES.some((rule) => rule.id === id),
  );
  if (unknown !== undefined) {
    throw new RlsConfigurationError(
      `There is no rule ${JSON.stringify(unknown)}.`,
      `The rules are ${AUDIT_RULES[0]!.id} to ${AUDIT_RULES.at(-1)!.id}; docs/rules has a page for each.`,
    );
  }
  const reasonOf = ({ id }: Rule) => {
    if (excludeRules.includes(id)) return 'It was excluded.';
    return rules === undefined || rules.includes(id) ? undefined : 'Other rules were asked for.';
  };
  return {
    run: AUDIT_RULES.filter((rule) => reasonOf(rule) === undefined),
    skipped: AUDIT_RULES.flatMap((rule) => skippedFor(rule, reasonOf(rule))),
  };
}

function skippedFor(rule: Rule, reason: string | undefined): SkippedRule[] {
  return reason === undefined ? [] : [{ ...describeRule(rule), reason }];
}

function describeRule({ id, title, severity, tier }: Rule): ReportedRule {
  return { id, title, severity, tier };
}

function assertPostgres({ options: { type } }: DataSource): void {
  if (type === 'postgres') return;
  throw new RlsConfigurationError(
    `The data source is of type "${type}".`,
    'Row-level security needs a data source of type "postgres".',
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

function report(catalog: Catalog, context: RuleContext, selection: RuleSelection): AuditReport {
  const { tables } = context;
  const outcomes = selection.run.map((rule) => ({ rule, reason: rule.skips(catalog, context) }));
  const ran = outcomes.filter(({ reason }) => reason === undefined).map(({ rule }) => rule);
  const skipped = outcomes.flatMap(({ rule, reason }) => skippedFor(rule, reason));
  const reported = tables.map((table) => reportedTable(table, context.database));
  const count = (kind: ReportedTable['kind']) => reported.filter((table) => table.kind === kind).length;
  return {
    database: catalog.server.database,
    serverVersion: catalog.server.version,
    role: catalog.appRole.name,
    findings: sortFindings(ran.flatMap((rule) => rule.check(catalog, context))),
    tables: reported,
    ...reportRoles(catalog, context.database),
    rules: ran.map(describeRule),
    skipped: [...selection.skipped, ...skipped].sort((a, b) => (a.id < b.id ? -1 : 1)),
    counts: {
      tables: count('entity'),
      joinTables: count('join-table'),
      recognised: count('recognised'),
    },
  };
}

function reportedTable(
  { declared, live, path, recognised }: AuditedTable,
  audit: DatabaseAudit | undefined,
): ReportedTable {
  return {
    kind: recognised ? 'recognised' : declared.kind,
    entityName: declared.entityName,
    table: path,
    exists: live !== undefined,
    rlsEnabled: live?.rlsEnabled ?? false,
    rlsForced: live?.rlsForced ?? false,
    policies: live?.policies ?? [],
    // With a whole scope every live table is a CatalogRelation.
    partitions: live && audit ? audit.partitionsOf(live as CatalogRelation).map(audit.nameOf) : [],
  };
}

function pathOf({ table }: TenantScopedTable, live: CatalogTable | undefined): string {
  return live ? tablePath(live) : table;
}
