import type { CatalogFunction } from '../database-catalog.js';
import type { DatabaseAudit } from '../database-audit.js';
import { mustSeeNothing, type ProbeLog } from './probe-log.js';
import { functionLeaks } from './probe-rules.js';
import type { ProbeSession } from './probe-session.js';
import { tenantColumns } from './probe-target.js';
import { CALLABLE_FUNCTIONS_SQL, functionRowsSql } from './probe.sql.js';
import type { KnownTenants } from './tenants.js';

interface FunctionProbes {
  readonly session: ProbeSession;
  readonly audit: DatabaseAudit;
  readonly log: ProbeLog;
  readonly tenants: KnownTenants;
}

/** In the words of findings. */
export function functionObject(audit: DatabaseAudit, one: CatalogFunction): string {
  return `function "${audit.nameOf(one)}(${one.arguments})"`;
}

/**
 * Calls every function that the role may execute, that needs no argument and gives rows, for nobody and for each known
 * tenant. It leaks if a tenant column of its result names another tenant, or its text holds another's id.
 */
export async function probeFunctions({ session, audit, log, tenants }: FunctionProbes): Promise<void> {
  const columns = tenantColumns(audit);
  if (columns.length === 0) return;
  for (const one of await callableFunctions(session, audit)) {
    const sql = functionRowsSql(`${audit.quoted(one)}()`, columns);
    const object = functionObject(audit, one);
    const call = async (way: string, tenant: string | null) => {
      const others = tenants.all.filter((id) => id !== tenant && isLongEnough(id));
      const outcome = await session.attempt<{ seen: boolean }>({ tenant: tenant ?? '' }, sql, [
        tenant,
        others,
      ]);
      log.record(functionLeaks, object, way, mustSeeNothing(outcome));
    };
    await call('gets rows of a tenant without a tenant context', null);
    for (const tenant of tenants.all.slice(0, 2)) await call('gets rows of another tenant', tenant);
  }
}

async function callableFunctions(session: ProbeSession, audit: DatabaseAudit): Promise<CatalogFunction[]> {
  const mayCall = audit.database.functions.filter(
    (one) => one.kind === 'f' && one.extension === null && audit.appMayCall(one),
  );
  const outcome = await session.attempt<{ oid: string }>({ tenant: null }, CALLABLE_FUNCTIONS_SQL, [
    mayCall.map(({ oid }) => oid),
  ]);
  const callable = new Set(outcome.kind === 'done' ? outcome.rows.map(({ oid }) => oid) : []);
  return mayCall.filter(({ oid }) => callable.has(oid));
}

/** A short id, such as a number, would be found in any text. */
function isLongEnough(id: string): boolean {
  return id.length >= 16;
}
