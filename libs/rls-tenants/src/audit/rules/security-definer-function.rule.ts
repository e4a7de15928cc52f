import { someOpenTable } from '../effective-role.js';
import { FunctionBodies } from '../function-bodies.js';
import { defineDatabaseRule } from '../rule.js';
import { isSealFunction } from '../seal.js';
import { alterFunction, functionObject } from '../side-door-fixes.js';

/** RLS022: within a SECURITY DEFINER function policies are asked about its owner. */
export const securityDefinerFunction = defineDatabaseRule({
  id: 'RLS022',
  title: 'security-definer-function',
  severity: 'critical',
  reason: 'A SECURITY DEFINER function runs as its owner, whose policies show every tenant’s rows.',
  *find(audit) {
    const bodies = new FunctionBodies(audit);
    for (const one of audit.database.functions) {
      if (!one.securityDefiner || one.extension !== null || isTriggerFunction(one) || !audit.appMayCall(one))
        continue;
      // RLS061 compares those with the library's.
      if (isSealFunction(audit.catalog, one.oid)) continue;
      // What its owner may call in turn runs as that function's owner.
      const owners = bodies
        .reach(one)
        .flatMap(({ securityDefiner, owner }) => (securityDefiner ? [owner] : []));
      const owner = owners.find((role) => someOpenTable(audit, role) !== undefined);
      if (owner === undefined) continue;
      const reads = bodies.mayReadTenants(one);
      yield {
        // What names no tenant table is a hole the day its body changes.
        ...(reads ? {} : { severity: 'info' as const }),
        object: functionObject(one),
        message: `The app role may call it, and it runs as "${owner}": ${someOpenTable(audit, owner)}. ${reads ? 'It may read tenant tables' : 'It names no tenant table'} (${one.language}).`,
        fix: `-- If it must see every tenant: REVOKE EXECUTE on it from PUBLIC and from the app role.\n${alterFunction(one, 'SECURITY INVOKER')}`,
      };
    }
  },
});

/** RLS032 is about those: nobody calls them. */
function isTriggerFunction({ result }: { readonly result: string | null }): boolean {
  return result === 'trigger' || result === 'event_trigger';
}
