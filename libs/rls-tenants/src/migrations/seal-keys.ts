import type { QueryRunner } from 'typeorm';
import { checkSealKeys, type SealKey } from '../connection/index.js';
import { RlsConfigurationError } from '../errors.js';
import {
  listSealKeysSql,
  pruneSealKeysSql,
  sealKeyPads,
  sealObjectsOf,
  upsertSealKeySql,
} from '../policies/index.js';

/**
 * Runs a statement on one connection and gives its rows. It must not be TypeORM's `query()`, which logs values and puts
 * them into its errors.
 */
export type SealKeyQuery = (sql: string, values?: unknown[]) => Promise<unknown[]>;

/** Queries on the query runner's own connection, in its transaction, that TypeORM neither logs nor quotes in an error. */
export async function unloggedQuery(queryRunner: QueryRunner): Promise<SealKeyQuery> {
  const client = (await queryRunner.connect()) as {
    query(sql: string, values?: unknown[]): Promise<{ rows: unknown[] }>;
  };
  return async (sql, values) => (await client.query(sql, values)).rows;
}

/** A key that the database has, without what it consists of. */
export interface StoredSealKey {
  readonly id: string;
  readonly expiresAt: Date | null;
}

/** The keys that the database has, oldest first. */
export async function storedSealKeys(query: SealKeyQuery, tenantSetting?: string): Promise<StoredSealKey[]> {
  return (await query(listSealKeysSql(tenantSetting))) as StoredSealKey[];
}

/**
 * Gives the database the keys, and makes the dates on which they expire the given ones. The caller is in a transaction.
 *
 * @param prune whether the database loses every other key: seals made with them are refused from the commit on.
 * @returns the ids of the keys that it lost.
 * @throws RlsConfigurationError if a key has another secret in the database, or none of them is valid now.
 */
export async function storeSealKeys(
  query: SealKeyQuery,
  keys: readonly SealKey[],
  { prune, tenantSetting }: { prune: boolean; tenantSetting?: string | undefined },
): Promise<string[]> {
  checkOneIsValid(checkSealKeys(keys));
  for (const { id, secret, expiresAt } of keys) {
    const { inner, outer } = sealKeyPads(secret);
    const values = [id, inner, outer, expiresAt ?? null];
    if ((await query(upsertSealKeySql(tenantSetting), values)).length === 0)
      throw anotherSecret(id, tenantSetting);
  }
  if (!prune) return [];
  const lost = await query(pruneSealKeysSql(tenantSetting), [keys.map(({ id }) => id)]);
  return (lost as { id: string }[]).map(({ id }) => id).sort();
}

function checkOneIsValid(keys: readonly SealKey[]): void {
  if (keys.some(({ expiresAt }) => expiresAt === undefined || expiresAt.getTime() > Date.now())) return;
  throw new RlsConfigurationError(
    `Every key of the tenant seal has expired: ${keys.map(({ id }) => `"${id}"`).join(', ')}.`,
    'Add one in front of them: `rls-tenants seal-keys --generate` makes it.',
  );
}

function anotherSecret(id: string, tenantSetting: string | undefined): RlsConfigurationError {
  return new RlsConfigurationError(
    `Key "${id}" of the tenant seal has another secret in the database, table ${sealObjectsOf(tenantSetting).keyTable}.`,
    'The secret of a key never changes. Give the new secret an id of its own; the old key can go once no application has it.',
  );
}
