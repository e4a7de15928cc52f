import { quoteTable, tablePath } from '../policies/index.js';
import type { CatalogPolicy, CatalogTable } from './catalog.js';
import { expectedPolicies, expectedPredicate } from './expected-policies.js';
import { alterPolicy } from './fix-sql.js';
import { existingTables, type ExistingTable, type RuleContext } from './rule.js';
import { formsOf, sealOf } from './seal.js';
import type { CatalogSeal } from './seal-catalog.js';

// The policies of a database whose tenants are sealed, or are to be.

/** A table whose database can verify the seals of its tenant setting. */
export interface SealableTable {
  /** The tenant table; for a partition or child, the one that it belongs to. */
  readonly table: ExistingTable;
  readonly live: CatalogTable;
  readonly seal: CatalogSeal;
}

/** Partitions and children have policies of their own; they are known where the whole scope was read. */
export function sealableTables(context: RuleContext, seals: readonly CatalogSeal[]): SealableTable[] {
  if (seals.length === 0) return [];
  const { database } = context;
  const tables = database
    ? database.protectedRelations.map((live) => ({ live, table: database.tenantTable(live)! }))
    : existingTables(context).map((table) => ({ live: table.live, table }));
  return tables.flatMap(({ live, table }) => {
    const seal = sealOf(table.declared, { seals });
    return seal ? [{ table, live, seal }] : [];
  });
}

/** A policy asks for a seal: from then on the plain setting is not enough. */
export function hasSealedPolicy({ live, seal }: SealableTable): boolean {
  return live.policies.some((policy) => formsOf(policy, live, seal).sealed);
}

/** The policies that hold for the app role, those for admin roles left out. */
export function tenantPoliciesOf({ live }: SealableTable, { adminRoles }: RuleContext): CatalogPolicy[] {
  return live.policies.filter(
    ({ appliesToAppRole, roles }) => appliesToAppRole && !roles.every((role) => adminRoles.includes(role)),
  );
}

/** As findings name it. */
export function policyObject({ live }: SealableTable, { name }: CatalogPolicy): string {
  return `policy "${name}" on table "${tablePath(live)}"`;
}

/** Gives the policy the library's sealed predicate: that of its name, else the one that holds tenants to their own rows. */
export function sealPolicy({ table, live }: SealableTable, policy: CatalogPolicy): string {
  const sealed: ExistingTable = { ...table, declared: { ...table.declared, sealed: true } };
  const own = expectedPolicies(sealed).find(({ name }) => name === policy.name);
  return alterPolicy(quoteTable(tablePath(live)), policy, own?.predicate ?? expectedPredicate(sealed));
}
