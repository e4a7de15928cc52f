import { RlsTenantsError } from '../errors.js';
import { runIn } from './tenant-context.js';
import { checkTenantId, type TenantId } from './tenant-id.js';

/** Most tenants of a set. PostgreSQL reads the list again for each row where the policy is a filter and no index condition. */
export const MAX_TENANTS_OF_SET = 100;

/**
 * Runs `fn` for a home tenant that reads the rows of several tenants: a parent organisation and its children. On tables
 * that are `readableBySet`, statements see the rows of every tenant in the set; on all other tables, and for whatever
 * they write, they are the home tenant's alone. A context inside of it has nothing of the set.
 *
 * Nobody is asked whether the home tenant may read the others: take the set from data of your own.
 *
 * @param homeTenantId whom `fn` acts for: it must be in the set.
 * @param tenantIds whose rows `fn` may read, 1 to 100 of them.
 * @returns what `fn` returns.
 * @throws InvalidTenantIdError for what is no tenant id of any type. A data source whose `tenantIdType` one of them does
 * not fit refuses the first statement, before any I/O.
 * @throws RlsTenantsError for a set that is empty or too large, that names a tenant twice, or not the home tenant.
 */
export function tenantSetContext<T>(homeTenantId: TenantId, tenantIds: readonly TenantId[], fn: () => T): T {
  const tenantId = checkTenantId(homeTenantId);
  if (!Array.isArray(tenantIds)) throw refused('is no array');
  if (tenantIds.length === 0) throw refused('is empty');
  if (tenantIds.length > MAX_TENANTS_OF_SET)
    throw refused(`has ${tenantIds.length} tenants, more than ${MAX_TENANTS_OF_SET}`);
  // Not map(), which skips holes.
  const readableTenantIds = Object.freeze(Array.from(tenantIds, checkTenantId));
  if (new Set(readableTenantIds).size < readableTenantIds.length) throw refused('names a tenant twice');
  if (!readableTenantIds.includes(tenantId))
    throw refused(`does not include the home tenant ${JSON.stringify(tenantId)}`);
  return runIn(Object.freeze({ kind: 'tenant', tenantId, readableTenantIds }), fn);
}

function refused(cause: string): RlsTenantsError {
  return new RlsTenantsError(
    `The set of tenants ${cause}.`,
    `Pass the home tenant and the other tenants that it reads, each once, ${MAX_TENANTS_OF_SET} at most; to read more of them, adminContext(reason, fn).`,
  );
}
