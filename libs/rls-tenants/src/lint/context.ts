import type { ChangeOf, Constraint } from './changes.js';
import type { DatabaseFacts } from './database-facts.js';
import type { Migration, MigrationFile, Statement } from './migration.js';
import { changes } from './rule.js';

/** What the linter is told beside the files. */
export interface LintOptions {
  /** Default `'tenant_id'`. */
  readonly tenantColumn?: string | undefined;
  /** Default `'rls.current_tenant'`. */
  readonly tenantSetting?: string | undefined;
  /** Default `'rls_admin'`. */
  readonly adminRole?: string | undefined;
  /** Tables that are known to have a tenant column, beside those that the files show. */
  readonly tenantTables?: readonly string[] | undefined;
  /** Tables that are known to be partitioned, beside those that the files show. */
  readonly partitionedTables?: readonly string[] | undefined;
  /** `migrationsTransactionMode` of the data source that runs the migrations; unknown if undefined. */
  readonly transactionMode?: 'all' | 'each' | 'none' | undefined;
  /**
   * What the data source that runs the migrations sets for each of its sessions. Default: all of them, as
   * `migrationDataSourceOptions()` and `rls-tenants migrate` do.
   */
  readonly sessionSettings?: readonly SessionSetting[] | undefined;
}

/** Settings that bound what a migration may do to others: waiting, running, and rows that are hidden from it. */
export const SESSION_SETTINGS = ['lock_timeout', 'statement_timeout', 'row_security'] as const;

export type SessionSetting = (typeof SESSION_SETTINGS)[number];

/** A foreign key and where it stands. */
export interface ForeignKeyChange {
  readonly statement: Statement;
  readonly table: string;
  readonly constraint: Constraint & { readonly references: string };
}

/** What the rules know beside the migration they look at. All tables are written as in {@link Change}. */
export interface LintContext {
  readonly tenantColumn: string;
  readonly tenantSetting: string;
  readonly adminRole: string;
  readonly transactionMode: LintOptions['transactionMode'];
  readonly sessionSettings: ReadonlySet<string>;
  /** Every migration that was read, in the order in which TypeORM runs them. */
  readonly migrations: readonly Migration[];
  /** Those of them that change the table or call an operation for it. */
  migrationsOf(table: string): readonly Migration[];
  isTenantTable(table: string): boolean;
  isPartitioned(table: string): boolean;
  /** The partitioned table that the table is a partition of, directly or by its name; otherwise the table itself. */
  rootOf(table: string): string;
}

/** Operations after which a table has a tenant column. */
const TENANT_OPERATIONS = new Set([
  'protectTable',
  'protectExistingTable',
  'addTenantColumn',
  'protectJoinTable',
  'unprotectTable',
  'sealTable',
  'sealJoinTable',
]);

/**
 * Gathers from all files what a rule cannot see in one migration alone.
 *
 * @param facts what a database says of its tables; it wins over what their names let guess.
 */
export function lintContext(
  files: readonly MigrationFile[],
  defaults: Required<Pick<LintOptions, 'tenantColumn' | 'tenantSetting' | 'adminRole'>> & LintOptions,
  facts?: Pick<DatabaseFacts, 'tables' | 'tenantTables'>,
): LintContext {
  const { tenantTables = [], partitionedTables = [], transactionMode } = defaults;
  const tenantColumn = defaults.tenantColumn!;
  const migrations = files
    .flatMap((file) => file.migrations)
    .sort((a, b) => (a.timestamp ?? Infinity) - (b.timestamp ?? Infinity));
  const byTable = migrationsByTable(migrations);
  const live = facts?.tables ?? [];
  const withTenant = live.filter(({ hasTenantColumn }) => hasTenantColumn).map(({ table }) => table);
  const tenant = new Set([...tenantTables, ...(facts?.tenantTables ?? []), ...withTenant].map(normalize));
  const partitionedNow = live.filter((one) => one.partitioned).map(({ table }) => table);
  const partitioned = new Set([...partitionedTables.map(normalize), ...partitionedNow]);
  const parents = new Map(
    live.flatMap(({ table, partitionOf }) => (partitionOf === null ? [] : [[table, partitionOf]])),
  );
  const known = new Set(live.map(({ table }) => table));
  for (const migration of migrations) {
    for (const { change } of changes(migration, 'up', 'create-table')) {
      if (change.partitioned) partitioned.add(change.table);
      if (change.partitionOf !== undefined) parents.set(change.table, change.partitionOf);
      const has = change.columns.some(({ name }) => name === tenantColumn);
      if (has || (change.partitionOf !== undefined && tenant.has(change.partitionOf)))
        tenant.add(change.table);
    }
    for (const { change } of changes(migration, 'up', 'attach-partition')) {
      parents.set(change.partition, change.table);
    }
    for (const { change } of changes(migration, 'up', 'add-column')) {
      if (change.column.name === tenantColumn) tenant.add(change.table);
    }
    for (const { name, table } of migration.operations) {
      if (table !== undefined && TENANT_OPERATIONS.has(name)) tenant.add(table);
    }
  }
  return {
    tenantColumn,
    tenantSetting: defaults.tenantSetting!,
    adminRole: defaults.adminRole!,
    transactionMode,
    sessionSettings: new Set(defaults.sessionSettings ?? SESSION_SETTINGS),
    migrations,
    migrationsOf: (table) => byTable.get(table) ?? [],
    isTenantTable: (table) => tenant.has(table),
    isPartitioned: (table) => partitioned.has(table),
    rootOf: (table) =>
      parents.get(table) ?? (known.has(table) ? table : (parentByName(table, partitioned) ?? table)),
  };
}

/** What asks about a table must not look through the whole history for it. */
function migrationsByTable(migrations: readonly Migration[]): ReadonlyMap<string, readonly Migration[]> {
  const byTable = new Map<string, Migration[]>();
  for (const migration of migrations) {
    const changed = migration.statements.flatMap((statement) =>
      statement.changes.flatMap((change) => ('table' in change ? change.table : undefined)),
    );
    const named = migration.operations.map(({ table }) => table);
    for (const table of new Set([...changed, ...named])) {
      if (table === undefined) continue;
      const known = byTable.get(table);
      if (known) known.push(migration);
      else byTable.set(table, [migration]);
    }
  }
  return byTable;
}

/** Partitions are named after their parent and a range or a number, or `default`: `finding_2026_jan`, `event_p0`. */
function parentByName(table: string, partitioned: ReadonlySet<string>): string | undefined {
  return [...partitioned].find(
    (parent) => table.startsWith(`${parent}_`) && /\d|^default$/.test(table.slice(parent.length + 1)),
  );
}

function normalize(table: string): string {
  return table.replace(/^public\./, '');
}

/** The tables that the migration itself creates: empty, and nobody else sees them yet. */
export function createdTables(migration: Migration): ReadonlySet<string> {
  return new Set(changes(migration, 'up', 'create-table').map(({ change }) => change.table));
}

/** The foreign keys that the migration adds, wherever they are written. */
export function addedForeignKeys(migration: Migration): ForeignKeyChange[] {
  return addedConstraints(migration).flatMap(({ statement, table, constraint }) =>
    constraint.references === undefined
      ? []
      : [{ statement, table, constraint: { ...constraint, references: constraint.references } }],
  );
}

/** The constraints that the migration adds, with new tables or to existing ones. */
export function addedConstraints(
  migration: Migration,
): { statement: Statement; table: string; constraint: Constraint }[] {
  return [
    ...changes(migration, 'up', 'create-table').flatMap(({ statement, change }) =>
      change.constraints.map((constraint) => ({ statement, table: change.table, constraint })),
    ),
    ...changes(migration, 'up', 'add-constraint').map(({ statement, change }) => ({ statement, ...change })),
  ];
}

/** Constraints that the migration adds to tables that it does not create. */
export function constraintsOnExisting(
  migration: Migration,
): { statement: Statement; change: ChangeOf<'add-constraint'> }[] {
  const created = createdTables(migration);
  return changes(migration, 'up', 'add-constraint').filter(({ change }) => !created.has(change.table));
}

/** True if the migration turns row-level security of the table on and gives it a policy. */
export function protects(migration: Migration, table: string): boolean {
  if (migration.operations.some((one) => one.table === table && /^protect(?:Join)?Table$/.test(one.name)))
    return true;
  const actions = changes(migration, 'up', 'row-security')
    .filter(({ change }) => change.table === table)
    .map(({ change }) => change.action);
  const policy = changes(migration, 'up', 'create-policy').some(({ change }) => change.table === table);
  return policy && actions.includes('enable') && actions.includes('force');
}
