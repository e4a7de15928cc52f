import {
  adminPolicyName,
  existsJoinTablePredicate,
  joinTablePolicyName,
  tenantPolicyName,
  tenantTablePredicate,
} from '../policies/index.js';
import type { Catalog } from './catalog.js';
import type { PredicateScope } from './predicate.js';
import type { AuditedTable, ExistingTable } from './rule.js';

/** A policy as the library would generate it: permissive, for ALL, `predicate` for USING and WITH CHECK alike. */
export interface ExpectedPolicy {
  readonly name: string;
  readonly predicate: string;
  /** Undefined: PUBLIC. */
  readonly role?: string;
}

/** The policies that the table must have. */
export function expectedPolicies(table: AuditedTable): ExpectedPolicy[] {
  return [
    { name: tenantPolicyNameOf(table), predicate: expectedPredicate(table) },
    { name: adminPolicyName(table.declared.table), predicate: 'true', role: table.adminRole },
  ];
}

/** The predicate that holds a tenant to its rows. */
export function expectedPredicate({ declared }: AuditedTable): string {
  const { sides, table } = declared;
  return sides
    ? existsJoinTablePredicate({ ...declared, joinTable: table, sides })
    : tenantTablePredicate(declared);
}

/** True for the names of the table's own policies, which RLS080 looks at. */
export function isExpectedName(table: AuditedTable, policyName: string): boolean {
  return policyName === tenantPolicyNameOf(table) || policyName === adminPolicyName(table.declared.table);
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
