import type { TenantScopedTable } from '../entities/tenant-tables.js';
import type { Catalog, CatalogTable } from './catalog.js';
import type { Finding, Severity } from './finding.js';

/** A table that must be protected, as declared and as it is. */
export interface AuditedTable {
  readonly declared: TenantScopedTable;
  /** Undefined if there is no relation of that name. */
  readonly live: CatalogTable | undefined;
  /** The name to show and to use in SQL: `schema.table` where the table exists. */
  readonly path: string;
  /** The role that the table's admin policy must name. */
  readonly adminRole: string;
}

/** An audited table that exists and that row-level security can protect. */
export type ExistingTable = AuditedTable & { readonly live: CatalogTable };

/** What the rules are asked about. */
export interface RuleContext {
  /** Every table that must be protected, in a stable order. */
  readonly tables: readonly AuditedTable[];
  readonly adminRoles: readonly string[];
}

/** What a rule's function yields; the rule adds what is the same for all its findings. */
export interface Observation {
  readonly object: string;
  readonly message: string;
  readonly fix: string;
  /** Where it is not the rule's own. */
  readonly severity?: Severity;
}

/** One thing that can be wrong with a database. One rule is one file, one page in docs/rules and one test. */
export interface Rule {
  readonly id: string;
  readonly title: string;
  readonly severity: Severity;
  /** What leaks, in a sentence or two. */
  readonly reason: string;
  /** Pure: everything it may know is in its arguments. */
  check(catalog: Catalog, context: RuleContext): Finding[];
}

/** Makes a rule of its description and a generator of what it finds. */
export function defineRule(
  rule: Omit<Rule, 'check'> & {
    find(this: void, catalog: Catalog, context: RuleContext): Iterable<Observation>;
  },
): Rule {
  const { id, title, severity, reason, find } = rule;
  return {
    id,
    title,
    severity,
    reason,
    check: (catalog, context) =>
      [...find(catalog, context)].map((observation) => ({ ruleId: id, title, severity, ...observation })),
  };
}

/** The audited tables that row-level security can protect: ordinary and partitioned tables. */
export function existingTables({ tables }: RuleContext): ExistingTable[] {
  return tables.filter((table): table is ExistingTable => table.live !== undefined && isTable(table.live));
}

/** True for ordinary and partitioned tables; views, foreign tables and sequences cannot have row-level security. */
export function isTable({ kind }: CatalogTable): boolean {
  return kind === 'r' || kind === 'p';
}

/** The names of the tenant columns' type in `format_type`'s words. TypeORM's `string` columns are varchar. */
export const COLUMN_TYPES: Readonly<Record<TenantScopedTable['tenantIdType'], readonly string[]>> = {
  uuid: ['uuid'],
  integer: ['integer'],
  bigint: ['bigint'],
  text: ['text', 'character varying'],
};
