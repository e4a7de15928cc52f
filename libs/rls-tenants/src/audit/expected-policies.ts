import {
  adminPolicyName,
  existsJoinTablePredicate,
  joinTablePolicyName,
  tenantPolicies,
  tenantPolicyName,
  tenantTablePredicate,
  type PolicyDefinition,
} from '../policies/index.js';
import type { Catalog } from './catalog.js';
import type { PredicateScope } from './predicate.js';
import type { AuditedTable, ExistingTable } from './rule.js';

/** A policy as the library would generate it: permissive, `predicate` for USING and WITH CHECK alike. */
export type ExpectedPolicy = PolicyDefinition;

/** The policies that the table must have; the first one admits tenants to what they read. */
export function expectedPolicies(table: AuditedTable): [ExpectedPolicy, ...ExpectedPolicy[]] {
  const name = tenantPolicyNameOf(table);
  const tenants: [ExpectedPolicy, ...ExpectedPolicy[]] = table.declared.sides
    ? [{ name, predicate: expectedPredicate(table) }]
    : tenantPolicies(table.declared, name);
  return [
    ...tenants,
    { name: adminPolicyName(table.declared.table), predicate: 'true', role: table.adminRole },
  ];
}

/** The predicate that holds a tenant to its own rows: all that it writes. */
export function expectedPredicate({ declared }: AuditedTable): string {
  const { sides, table } = declared;
  return sides
    ? existsJoinTablePredicate({ ...declared, joinTable: table, sides })
    : tenantTablePredicate(declared);
}

/** True for the names of the table's own policies, which RLS080 looks at. */
export function isExpectedName(table: AuditedTable, policyName: string): boolean {
  return expectedPolicies(table).some(({ name }) => name === policyName);
}

/** What the names in the table's policies mean. */
export function predicateScope({ live }: ExistingTable, catalog: Catalog): PredicateScope {
  return {
    table: live,
    relation: (schema, name) => (schema === undefined ? catalog.table(name) : catalog.tableAt(schema, name)),
  };
}

function tenantPolicyNameOf({ declared: { kind, table } }: AuditedTable): string {
  return kind === 'join-table' ? joinTablePolicyName(table) : tenantPolicyName(table);
}
