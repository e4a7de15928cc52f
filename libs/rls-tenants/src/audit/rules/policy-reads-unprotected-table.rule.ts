import type { DatabaseAudit } from '../database-audit.js';
import type { CatalogRelation } from '../database-catalog.js';
import { enableRls, revokePrivilege } from '../fix-sql.js';
import { judgedPolicies, type JudgedPolicy } from '../policy-judgement.js';
import { defineDatabaseRule, isTable } from '../rule.js';

/** RLS029: a policy that asks a table is worth what that table is. A tenant table's own policies are judged there. */
export const policyReadsUnprotectedTable = defineDatabaseRule({
  id: 'RLS029',
  title: 'policy-reads-unprotected-table',
  severity: 'error',
  reason:
    'A policy that asks a table without row-level security lets whoever may write that table decide which rows are shown.',
  *find(audit) {
    for (const judged of judgedPolicies(audit)) {
      const unprotected = tablesOf(audit, judged).filter((table) => !isProtected(audit, table));
      const [worst] = unprotected.toSorted(
        (a, b) => Number(isWritable(audit, b)) - Number(isWritable(audit, a)),
      );
      if (!worst) continue;
      const writable = isWritable(audit, worst);
      if (!writable && !audit.appMay(worst, 'SELECT')) continue;
      const name = audit.nameOf(worst);
      yield {
        object: judged.object,
        ...(writable
          ? {
              message: `It asks table "${name}", which the app role may write for any tenant.`,
              fix: revokeWrites(worst, name),
            }
          : {
              severity: 'warning',
              message: `It asks table "${name}", which has no row-level security: every tenant can read there what is shown to whom.`,
              fix: `${enableRls(name)}\n-- With a policy that shows each tenant its own rows.`,
            }),
      };
    }
  },
});

/** The tables that the policy's sub-selects reach, those behind views included. */
function tablesOf(audit: DatabaseAudit, { relation, policy }: JudgedPolicy): CatalogRelation[] {
  const read = (audit.dependenciesOf(relation, policy)?.relations ?? []).flatMap(
    (oid) => audit.relation(oid) ?? [],
  );
  return read
    .flatMap((one) => (one.kind === 'v' ? audit.readsOf(one).map((behind) => behind.relation) : [one]))
    .filter((one) => isTable(one) || one.kind === 'm' || one.kind === 'f');
}

/** The policies of tenant tables are judged there; those of others must not admit every row that is written. */
function isProtected(audit: DatabaseAudit, table: CatalogRelation): boolean {
  if (!table.rlsEnabled) return false;
  if (audit.tenantTable(table) || !isWritable(audit, table)) return true;
  return !(['INSERT', 'UPDATE'] as const).some((command) =>
    audit
      .policiesForApp(table, command)
      .some((policy) =>
        audit
          .clausesOf(table, policy)
          .some(({ expression }) => policy.permissive && expression.constant === true),
      ),
  );
}

function isWritable(audit: DatabaseAudit, table: CatalogRelation): boolean {
  return audit.appMay(table, 'INSERT', 'UPDATE');
}

function revokeWrites({ grants }: CatalogRelation, name: string): string {
  const writes = grants.filter(({ privilege }) => privilege === 'INSERT' || privilege === 'UPDATE');
  return [...new Set(writes.map((grant) => revokePrivilege(name, grant)))].join('\n');
}
