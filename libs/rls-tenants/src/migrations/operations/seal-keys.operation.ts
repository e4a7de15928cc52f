import type { SealKey } from '../../connection/index.js';
import { DEFAULT_TENANT_SETTING } from '../../policies/index.js';
import { operation, type RlsOperation } from '../rls-operation.js';
import { checkSealInstalled } from '../seal.js';
import { storeSealKeys, unloggedQuery } from '../seal-keys.js';

/** The keys that the database shall have. */
export interface SealKeysOptions {
  /** Asked when the operation runs: `() => sealKeysFromEnvironment()`. No migration holds a secret. */
  keys: () => readonly SealKey[] | Promise<readonly SealKey[]>;
  /** Whether the database loses every other key. Default `false`. */
  prune?: boolean;
  /** Default `'rls.current_tenant'`. */
  tenantSetting?: string;
}

/**
 * Gives the database the keys of the tenant seal, as `rls-tenants seal-keys` does, for databases that are made from
 * migrations alone. The keys go out as parameters, past TypeORM's log. A rotation is not a migration: use the command.
 *
 * `down` does nothing: applications may seal with these keys, and nobody can be a tenant without them.
 *
 * @throws RlsConfigurationError if the seal is not installed, a key has another secret in the database, or every key has
 * expired.
 */
export function sealKeys({
  keys,
  prune = false,
  tenantSetting = DEFAULT_TENANT_SETTING,
}: SealKeysOptions): RlsOperation {
  return operation(
    `give the database the keys of the tenant seal of ${tenantSetting}`,
    async (queryRunner) => {
      await checkSealInstalled(queryRunner, 'hold keys', tenantSetting);
      await storeSealKeys(await unloggedQuery(queryRunner), await keys(), { prune, tenantSetting });
    },
    async () => {},
  );
}
