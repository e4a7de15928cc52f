import { defineRule } from '../rule.js';
import { hasSealedPolicy, sealableTables } from '../sealed-policies.js';
import type { CatalogSealKey } from '../seal-catalog.js';

/** Days before a key expires in which there should be another one. */
const SOON_DAYS = 14;
const DAY_MS = 24 * 60 * 60 * 1000;

/** RLS067: a seal by a key that has expired is refused, and with it every statement. */
export const sealKeyExpires = defineRule({
  id: 'RLS067',
  title: 'seal-key-expires',
  severity: 'warning',
  reason:
    'Once the last key of the tenant seal has expired, or with none at all, sealed policies refuse every statement of every tenant.',
  skip: ({ seals }) =>
    seals.some(({ keys, keyTable }) => keyTable && !keys)
      ? 'The connection may not read the keys of the tenant seal, and must not if it is the app role’s. Audit as their owner, with --role, to have their expiry checked.'
      : undefined,
  *find({ seals }, context) {
    for (const seal of seals) {
      const { keys = [], keyTable, readAt } = seal;
      if (!keyTable) continue;
      const object = `table "${seal.schema}.${seal.keyTableName}"`;
      const valid = keys.filter(isValidAfter(readAt, 0));
      const isSealed = sealableTables(context, [seal]).some(hasSealedPolicy);
      if (valid.length === 0) {
        yield {
          severity: isSealed ? 'critical' : 'warning',
          object,
          message: `${keys.length === 0 ? 'It has no key of the tenant seal' : `Every key of the tenant seal has expired (${names(keys)})`}: ${isSealed ? 'sealed policies refuse every statement' : 'no table can be sealed'}.`,
          fix: ADD_KEY,
        };
      } else if (!keys.some(isValidAfter(readAt, SOON_DAYS))) {
        yield { object, message: soon(valid), fix: ADD_KEY };
      }
      const expired = keys.filter((key) => !valid.includes(key));
      if (expired.length > 0 && valid.length > 0) {
        yield {
          severity: 'info',
          object,
          message: `Keys of the tenant seal that have expired are still there: ${names(expired)}.`,
          fix: '-- Once they are out of RLS_SEAL_KEYS as well: `rls-tenants seal-keys --prune`.',
        };
      }
    }
  },
});

const ADD_KEY =
  '-- `rls-tenants seal-keys --generate` makes a key: put it into RLS_SEAL_KEYS, give it to the database with `rls-tenants seal-keys`, then to the applications.';

function isValidAfter(readAt: Date, days: number): (key: CatalogSealKey) => boolean {
  const at = readAt.getTime() + days * DAY_MS;
  return ({ expiresAt }) => expiresAt === null || expiresAt.getTime() > at;
}

function soon(valid: readonly CatalogSealKey[]): string {
  const last = valid.toSorted((a, b) => (b.expiresAt?.getTime() ?? 0) - (a.expiresAt?.getTime() ?? 0))[0]!;
  return `The last key of the tenant seal, "${last.id}", expires within ${SOON_DAYS} days: ${last.expiresAt!.toISOString()}.`;
}

function names(keys: readonly CatalogSealKey[]): string {
  return keys.map(({ id }: CatalogSealKey) => `"${id}"`).join(', ');
}
