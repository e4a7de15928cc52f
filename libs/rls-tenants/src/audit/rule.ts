import type { TenantScopedTable } from '../entities/tenant-tables.js';
import type { Catalog, CatalogTable } from './catalog.js';
import type { DatabaseAudit } from './database-audit.js';
import type { Finding, Severity } from './finding.js';

/** A table that must be protected, as declared and as it is. */
export interface AuditedTable {
  /** Made up from what the table looks like where {@link recognised}. */
  readonly declared: TenantScopedTable;
  /** No entity declares it: it was listed, has a tenant column, or a policy of its reads the tenant setting. */
  readonly recognised: boolean;
  /** It was named as a tenant table in the options. */
  readonly listed?: boolean;
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
  /** Every table that must be protected, in a stable order: the declared ones first, then the recognised ones. */
  readonly tables: readonly AuditedTable[];
  readonly adminRoles: readonly string[];
  /** Ids of the rules that were asked for by name. */
  readonly requested: ReadonlySet<string>;
  /** The whole scope; undefined where only the declared tables were read. */
  readonly database: DatabaseAudit | undefined;
}

/** What a rule's function yields; the rule adds what is the same for all its findings. */
export interface Observation {
  readonly object: string;
  readonly message: string;
  readonly fix: string;
  /** Where it is not the rule's own. */
  readonly severity?: Severity;
}

/** What kinds of holes there are, by risk; the number is a rule's {@link Rule.tier}. */
export const TIERS = [
  'Isolation is off',
  'Side doors around policies',
  'Integrity channels',
  'Context contract and policy correctness',
  'Performance that turns into outages',
  'Drift and hygiene',
] as const;

/** One thing that can be wrong with a database. One rule is one file, one page in docs/rules and one test. */
export interface Rule {
  readonly id: string;
  readonly title: string;
  readonly severity: Severity;
  /** What leaks, in a sentence or two. */
  readonly reason: string;
  /** Index into {@link TIERS}; follows from the id. */
  readonly tier: number;
  /** What it looks at: `'declared'` rules serve boot verification, too. */
  readonly scope: 'declared' | 'database';
  /**
   * Why the rule has nothing to say about this database, which is not the same as finding nothing; undefined if it has.
   * Pure.
   */
  skips(catalog: Catalog, context: RuleContext): string | undefined;
  /** Pure: everything it may know is in its arguments. Not to be called where it {@link skips}. */
  check(catalog: Catalog, context: RuleContext): Finding[];
}

/** What every rule says about itself. */
interface RuleDescription {
  readonly id: string;
  readonly title: string;
  readonly severity: Severity;
  readonly reason: string;
  /** The first major version of PostgreSQL that has what the rule is about, such as 17 for MAINTAIN. */
  readonly sinceVersion?: number;
  /** Off unless `rules` names it. Says why. */
  readonly optIn?: string;
}

/** Makes a rule about the tables that must be protected and the audited role. It runs at boot, too. */
export function defineRule(
  rule: RuleDescription & {
    /** See {@link Rule.skips}. */
    skip?(this: void, catalog: Catalog, context: RuleContext): string | undefined;
    find(this: void, catalog: Catalog, context: RuleContext): Iterable<Observation>;
  },
): Rule {
  return ruleOf(rule, 'declared', rule);
}

/** Makes a rule about the whole audited scope. See {@link DatabaseAudit} for what it can ask. */
export function defineDatabaseRule(
  rule: RuleDescription & {
    /** See {@link Rule.skips}. */
    skip?(this: void, audit: DatabaseAudit, context: RuleContext): string | undefined;
    find(this: void, audit: DatabaseAudit): Iterable<Observation>;
  },
): Rule {
  return ruleOf(rule, 'database', {
    skip: (_catalog, context) =>
      context.database === undefined
        ? 'Only the declared tables were read.'
        : rule.skip?.(context.database, context),
    find: (_catalog, { database }) => rule.find(database!),
  });
}

interface RuleFunctions {
  skip?(this: void, catalog: Catalog, context: RuleContext): string | undefined;
  find(this: void, catalog: Catalog, context: RuleContext): Iterable<Observation>;
}

function ruleOf(
  { id, title, severity, reason, sinceVersion = 0, optIn }: RuleDescription,
  scope: Rule['scope'],
  { skip, find }: RuleFunctions,
): Rule {
  return {
    id,
    title,
    severity,
    reason,
    tier: tierOf(id),
    scope,
    skips: (catalog, context) => {
      if (catalog.server.versionNumber < sinceVersion * 10_000) return `It needs PostgreSQL ${sinceVersion}.`;
      if (optIn !== undefined && !context.requested.has(id)) return `It is off unless asked for: ${optIn}`;
      return skip?.(catalog, context);
    },
    check: (catalog, context) =>
      observed(id, () => find(catalog, context)).map((observation) => ({
        ruleId: id,
        title,
        severity,
        ...observation,
      })),
  };
}

/** One odd object must not keep the other rules from being asked, nor pass for one in which nothing was found. */
function observed(id: string, find: () => Iterable<Observation>): Observation[] {
  const observations: Observation[] = [];
  try {
    for (const observation of find()) observations.push(observation);
  } catch (error) {
    observations.push({
      severity: 'error',
      object: `rule "${id}"`,
      message: `It gave up, and what it has not looked at is unknown: ${error instanceof Error ? error.message : String(error)}`,
      fix: `-- Check by hand what docs/rules/${id}.md describes, and report the object that the rule cannot read.`,
    });
  }
  return observations;
}

/** The ids leave room for each tier. */
function tierOf(id: string): number {
  const number = Number(id.slice('RLS'.length));
  return [20, 40, 50, 70, 80].filter((first) => number >= first).length;
}

/** The audited tables that row-level security can protect: ordinary and partitioned tables. */
export function existingTables({ tables }: Pick<RuleContext, 'tables'>): ExistingTable[] {
  return tables.filter((table): table is ExistingTable => table.live !== undefined && isTable(table.live));
}

/** The reason of rules that compare with what entities declare, where nothing is declared; undefined otherwise. */
export function nothingDeclared({ tables }: RuleContext): string | undefined {
  return tables.length > 0 && tables.every(({ recognised }) => recognised)
    ? 'No entities were given to compare with.'
    : undefined;
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
