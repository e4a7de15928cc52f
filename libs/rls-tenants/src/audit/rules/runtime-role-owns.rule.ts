import { changeOwner } from '../fix-sql.js';
import type { DatabaseAudit } from '../database-audit.js';
import type { CatalogFunction } from '../database-catalog.js';
import { FunctionBodies, policyFunctions } from '../function-bodies.js';
import { defineRule, existingTables } from '../rule.js';
import { alterFunction, functionObject } from '../side-door-fixes.js';

/** RLS002: an owner may DISABLE ROW LEVEL SECURITY or drop a policy, whatever FORCE says. */
export const runtimeRoleOwns = defineRule({
  id: 'RLS002',
  title: 'runtime-role-owns',
  severity: 'critical',
  reason: 'The owner of a table, its schema or its database can switch isolation off with one statement.',
  *find({ server, appRole }, context) {
    const owned = (object: string, kind: 'TABLE' | 'SCHEMA' | 'DATABASE', name: string, power: string) => ({
      object,
      message: `The role "${appRole.name}" owns it and may ${power}.`,
      fix: changeOwner(kind, name),
    });
    const tables = existingTables(context);
    for (const { live, path } of tables) {
      if (live.owner === appRole.name)
        yield owned(`table "${path}"`, 'TABLE', path, 'disable row-level security or drop its policies');
    }
    const schemas = new Set(
      tables.filter(({ live }) => live.schemaOwner === appRole.name).map(({ live }) => live.schema),
    );
    for (const schema of schemas)
      yield owned(`schema "${schema}"`, 'SCHEMA', schema, 'drop or replace every table in it');
    if (server.databaseOwner === appRole.name)
      yield owned(
        `database "${server.database}"`,
        'DATABASE',
        server.database,
        'drop it or change its settings',
      );
    if (!context.database) return;
    for (const [one, use] of usedFunctions(context.database)) {
      if (one.owner !== appRole.name) continue;
      yield {
        object: functionObject(one),
        message: `The role "${appRole.name}" owns it and may change what it does; ${use}.`,
        fix: alterFunction(one, 'OWNER TO <migration role>'),
      };
    }
  },
});

/** What decides for policies, and what runs in the writes of others. A start does not read functions. */
function usedFunctions(audit: DatabaseAudit): Map<CatalogFunction, string> {
  const used = new Map<CatalogFunction, string>();
  for (const [one, policy] of policyFunctions(audit, new FunctionBodies(audit)))
    used.set(one, `${policy} calls it`);
  for (const relation of audit.protectedRelations) {
    for (const { name, function: oid } of audit.triggersOf(relation)) {
      const one = audit.function(oid);
      if (one && !used.has(one))
        used.set(one, `trigger "${name}" on table "${audit.nameOf(relation)}" runs it as whoever writes`);
    }
  }
  return used;
}
