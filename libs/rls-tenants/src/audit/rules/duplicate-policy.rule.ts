import type { CatalogPolicy } from '../catalog.js';
import { isExpectedName } from '../expected-policies.js';
import { dropPolicySql } from '../../policies/index.js';
import { defineDatabaseRule } from '../rule.js';

/** RLS081: a policy that says what another one says already. */
export const duplicatePolicy = defineDatabaseRule({
  id: 'RLS081',
  title: 'duplicate-policy',
  severity: 'info',
  reason:
    'Of two policies that say the same, one will be changed and the other forgotten; until then every row pays for both.',
  *find({ tenantTables }) {
    for (const table of tenantTables) {
      // Those of the library stay, and of two that say the same the first.
      const kept: CatalogPolicy[] = table.live.policies.filter(({ name }) => isExpectedName(table, name));
      for (const policy of widestFirst(table.live.policies)) {
        if (kept.includes(policy)) continue;
        const other = kept.find((one) => covers(one, policy));
        if (!other) {
          kept.push(policy);
          continue;
        }
        yield {
          object: `policy "${policy.name}" on table "${table.path}"`,
          message: `Policy "${other.name}" says the same${other.command === policy.command ? '' : ` for ${other.command}`}.`,
          fix: `${dropPolicySql(table.path, policy.name)};`,
        };
      }
    }
  },
});

function widestFirst(policies: readonly CatalogPolicy[]): CatalogPolicy[] {
  return [...policies].sort((a, b) => Number(b.command === 'ALL') - Number(a.command === 'ALL'));
}

/** Without `policy`, `other` admits and refuses the same rows to the same roles. */
function covers(other: CatalogPolicy, policy: CatalogPolicy): boolean {
  const commands = other.command === 'ALL' || other.command === policy.command;
  const roles = other.roles.includes('public') || policy.roles.every((role) => other.roles.includes(role));
  if (other.permissive !== policy.permissive || !commands || !roles) return false;
  const reads = policy.command === 'INSERT' || other.using === policy.using;
  const writes =
    policy.command === 'SELECT' || policy.command === 'DELETE' || checkOf(other) === checkOf(policy);
  return reads && writes;
}

/** USING stands in for a missing WITH CHECK, but not in a policy for INSERT, which has none. */
function checkOf({ command, using, withCheck }: CatalogPolicy): string | null {
  return withCheck ?? (command === 'INSERT' ? null : using);
}
