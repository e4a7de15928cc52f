import { sealObjectsOf } from './seal.js';

/** Ids of the keys and when they expire; nothing of what they consist of. */
export function listSealKeysSql(tenantSetting?: string): string {
  const { keyTable } = sealObjectsOf(tenantSetting);
  return `SELECT id, expires_at AS "expiresAt" FROM ${keyTable} ORDER BY created_at, id`;
}

/** Removes all keys but some: $1 the ids of those that stay. */
export function pruneSealKeysSql(tenantSetting?: string): string {
  const { keyTable } = sealObjectsOf(tenantSetting);
  return `DELETE FROM ${keyTable} WHERE id <> ALL ($1) RETURNING id`;
}

/** Whether a seal made now could be genuine. */
export function hasValidSealKeySql(tenantSetting?: string): string {
  const { keyTable } = sealObjectsOf(tenantSetting);
  return `SELECT EXISTS (SELECT FROM ${keyTable} WHERE expires_at IS NULL OR expires_at > clock_timestamp()) AS valid`;
}

/** Sets the comment on the schema of the seal, which goes with it. `undefined`: it has none. */
export function commentOnSealSql(literal: string | undefined, tenantSetting?: string): string {
  return `COMMENT ON SCHEMA ${sealObjectsOf(tenantSetting).schema} IS ${literal ?? 'NULL'}`;
}

/** Sets the comment on one of the verifying functions. */
export function commentOnSealFunctionSql(signature: string, literal: string | undefined): string {
  return `COMMENT ON FUNCTION ${signature} IS ${literal ?? 'NULL'}`;
}
