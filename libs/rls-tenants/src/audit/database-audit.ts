import { quoteIdentifier, tablePath } from '../policies/index.js';
import type { CatalogPolicy, CatalogRole, FullCatalog } from './catalog.js';
import type {
  CatalogConstraint,
  CatalogFunction,
  CatalogIndex,
  CatalogPolicyDependencies,
  CatalogRelation,
  CatalogRewrite,
  CatalogSchema,
  CatalogTrigger,
  DatabaseCatalog,
} from './database-catalog.js';
import { parseExpression, type PolicyExpression, type SettingRead } from './policy-expression.js';
import { RoleGraph } from './role-graph.js';
import { existingTables, isTable, type AuditedTable, type ExistingTable } from './rule.js';
import { TenantReads } from './tenant-reads.js';

// The vocabulary of rules about a whole database (defineDatabaseRule):
//
// the facts       catalog (server, appRole, roles), database (every list of database-catalog.ts)
// tenant tables   tenantTables, tenantTable(), protectedRelations, partitionsOf(), rootOf(), tenantColumnOf()
// what hangs on   indexesOf(), constraintsOf(), triggersOf(), rewritesOf(), relation(), function(), schema()
// who may what    appMay(), appMayCall(), roles (RoleGraph), reachableRoles, escapesRls()
// policies        policiesForApp(), clausesOf(), expression(), readsTenant(), holdsToTenant(), dependenciesOf()
// views           readsOf(): the tables that a view reaches, and as whom
// words           nameOf() for messages, quoted() for SQL

/** A tenant table with all the catalog knows of it. */
export type TenantRelation = ExistingTable & { readonly live: CatalogRelation };

/** One expression of a policy, as PostgreSQL evaluates it. */
export interface PolicyClause {
  readonly clause: 'USING' | 'WITH CHECK';
  readonly expression: PolicyExpression;
}

/** A relation that a view reaches, directly or through other views. */
export interface ViewRead {
  readonly relation: CatalogRelation;
  /** Whose rights and policies count there: the owner of the view in between, or null for whoever asks. */
  readonly checkedAs: string | null;
  /** A materialized view below the first one holds the rows: they are those of its last refresh. */
  readonly stored: boolean;
}

/** The commands that policies are for. */
export type PolicyCommand = Exclude<CatalogPolicy['command'], 'ALL'>;

/** What the rules can ask about a whole database. Answers are computed once; everything is of one snapshot. */
export class DatabaseAudit {
  readonly database: DatabaseCatalog;
  /** Declared and recognised tenant tables that exist. Partitions of theirs are in {@link protectedRelations} only. */
  readonly tenantTables: readonly TenantRelation[];
  /** The tenant tables, and every table below one of them (partitions and children), which hold their rows. */
  readonly protectedRelations: readonly CatalogRelation[];
  readonly roles: RoleGraph;
  /** The roles whose privileges the app role has or may take on with SET ROLE, without itself. */
  readonly reachableRoles: readonly CatalogRole[];

  private readonly relations: ReadonlyMap<string, CatalogRelation>;
  private readonly functions: ReadonlyMap<string, CatalogFunction>;
  private readonly schemas: ReadonlyMap<string, CatalogSchema>;
  private readonly indexes: ReadonlyMap<string, readonly CatalogIndex[]>;
  private readonly constraints: ReadonlyMap<string, readonly CatalogConstraint[]>;
  private readonly triggers: ReadonlyMap<string, readonly CatalogTrigger[]>;
  private readonly rewrites: ReadonlyMap<string, readonly CatalogRewrite[]>;
  private readonly dependencies: ReadonlyMap<string, readonly CatalogPolicyDependencies[]>;
  private readonly children: ReadonlyMap<string, readonly CatalogRelation[]>;
  private readonly tenantTablesByOid: ReadonlyMap<string, TenantRelation>;
  private readonly tenantReads: TenantReads;
  private readonly expressions = new Map<string, PolicyExpression>();

  /** @param tenantSettings the settings that hold the tenant; usually one. */
  constructor(
    readonly catalog: FullCatalog,
    /** Every table that must be protected, those that do not exist included. */
    readonly tables: readonly AuditedTable[],
    readonly adminRoles: readonly string[],
    readonly tenantSettings: readonly string[],
  ) {
    const { database } = catalog;
    this.database = database;
    this.relations = new Map(database.relations.map((relation) => [relation.oid, relation]));
    this.functions = new Map(database.functions.map((one) => [one.oid, one]));
    this.schemas = new Map(database.schemas.map((schema) => [schema.name, schema]));
    this.indexes = grouped(database.indexes, ({ table }) => [table]);
    this.constraints = grouped(database.constraints, ({ table }) => [table]);
    this.triggers = grouped(database.triggers, ({ table }) => [table]);
    this.rewrites = grouped(database.rewrites, ({ relation }) => [relation]);
    this.dependencies = grouped(database.policyDependencies, ({ table }) => [table]);
    this.children = grouped(database.relations, ({ parents }) => parents);
    this.tenantReads = new TenantReads(database.functions, tenantSettings);
    this.roles = new RoleGraph(catalog.roles, database.memberships, catalog.server);
    this.reachableRoles = [...catalog.roles.values()].filter(
      ({ name, inherited, settable }) => name !== catalog.appRole.name && (inherited || settable),
    );
    // With a whole scope every live table is a CatalogRelation.
    this.tenantTables = existingTables({ tables }) as TenantRelation[];
    this.tenantTablesByOid = new Map(this.tenantTables.map((table) => [table.live.oid, table]));
    this.protectedRelations = [
      ...new Set(this.tenantTables.flatMap(({ live }) => [live, ...this.partitionsOf(live)])),
    ];
  }

  relation(oid: string): CatalogRelation | undefined {
    return this.relations.get(oid);
  }

  /** Functions of the scope, and those that policies and triggers call from outside of it. */
  function(oid: string): CatalogFunction | undefined {
    return this.functions.get(oid);
  }

  schema(name: string): CatalogSchema | undefined {
    return this.schemas.get(name);
  }

  /** The tenant table that the relation is, or that it is a partition or child of. */
  tenantTable(relation: CatalogRelation): TenantRelation | undefined {
    const own = this.tenantTablesByOid.get(relation.oid);
    if (own) return own;
    for (const parent of relation.parents) {
      const above = this.relations.get(parent);
      const found = above && this.tenantTable(above);
      if (found) return found;
    }
    return undefined;
  }

  /** Partitions and inheritance children at any depth. */
  partitionsOf(relation: CatalogRelation): CatalogRelation[] {
    const found = new Set<CatalogRelation>();
    const below = [...(this.children.get(relation.oid) ?? [])];
    for (const child of below) {
      if (found.has(child)) continue;
      found.add(child);
      below.push(...(this.children.get(child.oid) ?? []));
    }
    return [...found];
  }

  /** The topmost table of a partition or child; the relation itself otherwise. */
  rootOf(relation: CatalogRelation): CatalogRelation {
    const parent = relation.parents[0] === undefined ? undefined : this.relations.get(relation.parents[0]);
    return parent ? this.rootOf(parent) : relation;
  }

  /** The tenant column of a tenant table or of a partition of one; undefined where the table has none of its own. */
  tenantColumnOf(relation: CatalogRelation): string | undefined {
    const table = this.tenantTable(relation);
    if (!table || table.declared.sides) return undefined;
    return relation.columns.has(table.declared.tenantColumn) ? table.declared.tenantColumn : undefined;
  }

  indexesOf({ oid }: CatalogRelation): readonly CatalogIndex[] {
    return this.indexes.get(oid) ?? [];
  }

  constraintsOf({ oid }: CatalogRelation): readonly CatalogConstraint[] {
    return this.constraints.get(oid) ?? [];
  }

  triggersOf({ oid }: CatalogRelation): readonly CatalogTrigger[] {
    return this.triggers.get(oid) ?? [];
  }

  /** What CREATE RULE made, and the query of a view. */
  rewritesOf({ oid }: CatalogRelation): readonly CatalogRewrite[] {
    return this.rewrites.get(oid) ?? [];
  }

  /** The app role has the privilege on the relation or on a column of it, and USAGE on its schema. */
  appMay(relation: CatalogRelation, ...privileges: readonly string[]): boolean {
    if (this.schemas.get(relation.schema)?.appUsage === false) return false;
    return privileges.some((privilege) => relation.appPrivileges.includes(privilege));
  }

  /** The app role may EXECUTE the function, and has USAGE on its schema where that is in the scope. */
  appMayCall({ appMayExecute, schema }: CatalogFunction): boolean {
    return appMayExecute && this.schemas.get(schema)?.appUsage !== false;
  }

  /** What runs as `role` sees every row of the table: it is exempt, or owns the table and FORCE is not on. */
  escapesRls(role: string, table: CatalogRelation): boolean {
    if (!isTable(table)) return false;
    if (!table.rlsEnabled || this.roles.isExempt(role)) return true;
    return !table.rlsForced && this.roles.hasPrivilegesOf(role, table.owner);
  }

  /** The policies that hold for the app role, for one command or for any. */
  policiesForApp({ policies }: CatalogRelation, command?: PolicyCommand): CatalogPolicy[] {
    return policies.filter(
      (policy) =>
        policy.appliesToAppRole &&
        (command === undefined || policy.command === 'ALL' || policy.command === command),
    );
  }

  /** What PostgreSQL evaluates of a policy: no USING for INSERT. A missing WITH CHECK is not repeated here. */
  clausesOf(relation: CatalogRelation, { command, using, withCheck }: CatalogPolicy): PolicyClause[] {
    const clauses: PolicyClause[] = [];
    if (using !== null && command !== 'INSERT')
      clauses.push({ clause: 'USING', expression: this.expression(using, relation) });
    if (withCheck !== null)
      clauses.push({ clause: 'WITH CHECK', expression: this.expression(withCheck, relation) });
    return clauses;
  }

  /** Parses an expression of the catalog once. */
  expression(text: string, relation: CatalogRelation): PolicyExpression {
    const key = `${relation.name}\0${text}`;
    const known = this.expressions.get(key);
    if (known) return known;
    const parsed = parseExpression(text, relation.name);
    this.expressions.set(key, parsed);
    return parsed;
  }

  /** What the policy depends on outside pg_catalog. */
  dependenciesOf({ oid }: CatalogRelation, { name }: CatalogPolicy): CatalogPolicyDependencies | undefined {
    return this.dependencies.get(oid)?.find((one) => one.name === name);
  }

  /** Setting names are case-insensitive. */
  isTenantSetting({ name }: Pick<SettingRead, 'name'>): boolean {
    return this.tenantReads.isTenantSetting({ name });
  }

  /** The expression reads the tenant setting itself, or calls a function of somebody's that reads it. */
  readsTenant(expression: Pick<PolicyExpression, 'settings' | 'functions'>): boolean {
    return this.tenantReads.readsTenant(expression);
  }

  /**
   * An outermost AND operand is `tenant column = what reads the tenant`, or `= ANY` of nothing but that, and nothing of
   * the row is on the other side.
   */
  holdsToTenant(expression: PolicyExpression, tenantColumn: string): boolean {
    return expression.comparisons.some(
      (comparison) =>
        comparison.conjunct &&
        (comparison.operator === '=' || (comparison.operator === '= ANY' && comparison.ofOne)) &&
        comparison.column === tenantColumn &&
        comparison.otherColumns.length === 0 &&
        this.readsTenant(comparison),
    );
  }

  /**
   * The relations that a view or materialized view reaches through pg_rewrite, views in between included. A function
   * it calls is not followed. A view without `security_invoker` reads as its owner; one with it, as whoever reads it.
   */
  readsOf(view: CatalogRelation): ViewRead[] {
    const reads = new Map<string, ViewRead>();
    this.follow(view, { caller: null, stored: false }, reads);
    return [...reads.values()];
  }

  private follow(
    view: CatalogRelation,
    { caller, stored }: { caller: string | null; stored: boolean },
    reads: Map<string, ViewRead>,
  ): void {
    const checkedAs = isSecurityInvoker(view) ? caller : view.owner;
    for (const { isView, relations } of this.rewritesOf(view)) {
      if (!isView) continue;
      for (const oid of relations) {
        const relation = this.relations.get(oid);
        const key = `${oid}/${checkedAs}/${stored}`;
        if (!relation || reads.has(key)) continue;
        reads.set(key, { relation, checkedAs, stored });
        this.follow(relation, { caller: checkedAs, stored: stored || relation.kind === 'm' }, reads);
      }
    }
  }

  /** For messages, and for what takes a table's name in TypeORM's notation: `schema.name`. */
  nameOf({ schema, name }: { readonly schema: string; readonly name: string }): string {
    return tablePath({ schema, name });
  }

  /** For SQL. */
  quoted({ schema, name }: { readonly schema: string; readonly name: string }): string {
    return `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`;
  }
}

/** The view runs as whoever reads it (PostgreSQL 15). */
export function isSecurityInvoker({ kind, options }: CatalogRelation): boolean {
  return kind === 'v' && options.some((option) => /^security_invoker=(true|on|yes|1)$/i.test(option));
}

function grouped<Row>(rows: readonly Row[], keysOf: (row: Row) => readonly string[]): Map<string, Row[]> {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    for (const key of keysOf(row)) {
      const group = groups.get(key);
      if (group) group.push(row);
      else groups.set(key, [row]);
    }
  }
  return groups;
}
