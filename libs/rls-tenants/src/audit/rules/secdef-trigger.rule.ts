import { someOpenTable } from '../effective-role.js';
import { FunctionBodies } from '../function-bodies.js';
import { defineDatabaseRule } from '../rule.js';
import { alterFunction } from '../side-door-fixes.js';

/** RLS032: a trigger's function runs as whoever writes, unless it is SECURITY DEFINER. */
export const secdefTrigger = defineDatabaseRule({
  id: 'RLS032',
  title: 'secdef-trigger',
  severity: 'warning',
  reason:
    'A SECURITY DEFINER trigger function reads and writes as its owner, whose policies show every tenant’s rows, in the writes of one tenant.',
  *find(audit) {
    const bodies = new FunctionBodies(audit);
    for (const relation of audit.protectedRelations) {
      for (const { name, function: oid, enabled, inherited } of audit.triggersOf(relation)) {
        const called = audit.function(oid);
        if (!called?.securityDefiner || called.extension !== null || inherited || enabled === 'D') continue;
        const why = someOpenTable(audit, called.owner);
        if (why === undefined || !bodies.mayReadTenants(called)) continue;
        yield {
          object: `trigger "${name}" on table "${audit.nameOf(relation)}"`,
          message: `Its function "${called.schema}.${called.name}" runs as "${called.owner}" and may read tenant tables: ${why}.`,
          fix: alterFunction(called, 'SECURITY INVOKER'),
        };
      }
    }
  },
});
