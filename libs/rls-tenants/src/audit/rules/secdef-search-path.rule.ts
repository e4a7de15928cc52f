import type { DatabaseAudit } from '../database-audit.js';
import type { CatalogFunction } from '../database-catalog.js';
import { FunctionBodies, policyFunctions } from '../function-bodies.js';
import { defineDatabaseRule } from '../rule.js';
import { isSealFunction } from '../seal.js';
import { fixSearchPath, functionObject } from '../side-door-fixes.js';

/** RLS023: the caller says where a function finds what it names, unless the function says so itself. */
export const secdefSearchPath = defineDatabaseRule({
  id: 'RLS023',
  title: 'secdef-search-path',
  severity: 'error',
  reason:
    'A function that finds its tables through the caller’s search path runs the caller’s objects, with its owner’s rights or in a policy’s place.',
  *find(audit) {
    const bodies = new FunctionBodies(audit);
    const called = policyFunctions(audit, bodies);
    for (const one of audit.database.functions) {
      if (!audit.appMayCall(one) && one.result !== 'trigger') continue;
      // RLS061 compares those with the library's.
      if (isSealFunction(audit.catalog, one.oid)) continue;
      // BEGIN ATOMIC resolved its names when it was made.
      if (one.extension !== null || one.boundBody || one.owner === audit.catalog.appRole.name) continue;
      const policy = called.get(one);
      const risk = one.securityDefiner
        ? `it runs as "${one.owner}"`
        : policy !== undefined && namesUnqualified(audit, one)
          ? `${policy} calls it, and it names a table without its schema`
          : undefined;
      const flaw = searchPathFlaw(one);
      if (risk === undefined || flaw === undefined) continue;
      yield {
        object: functionObject(one),
        message: `${capitalized(risk)}, and ${flaw}: the caller puts objects of its own in front.`,
        fix: fixSearchPath(one),
      };
    }
  },
});

/** pg_temp is searched first for relations unless it is listed, and everybody with TEMP may create there. */
function searchPathFlaw({ config }: CatalogFunction): string | undefined {
  const entry = config.find((one) => one.startsWith('search_path='));
  if (entry === undefined) return 'it has no search path of its own';
  const schemas = entry
    .slice('search_path='.length)
    .split(',')
    .map((schema) => schema.trim().replaceAll('"', ''));
  if (schemas.includes('$user')) return 'its search path depends on who calls it';
  return schemas.at(-1) === 'pg_temp' ? undefined : 'pg_temp is not the last in its search path';
}

/** What stands after FROM or JOIN without a schema in front; a set-returning function does not count. */
const UNQUALIFIED =
  /\b(?:from|join)\s+(?:only\s+)?"?([\p{L}_][\p{L}\p{N}_$]*)"?(?![\p{L}\p{N}_$"])(?!\s*[.(])/giu;

function namesUnqualified({ database }: DatabaseAudit, { body }: CatalogFunction): boolean {
  const names = new Set(database.relations.map(({ name }) => name));
  return [...(body ?? '').matchAll(UNQUALIFIED)].some(
    ([, name]) => names.has(name!) || names.has(name!.toLowerCase()),
  );
}

function capitalized(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
