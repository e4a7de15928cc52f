import type { QueryRunner } from 'typeorm';
import { RlsConfigurationError } from '../../errors.js';
import {
  DEFAULT_ADMIN_ROLE,
  DEFAULT_TENANT_SETTING,
  installSealSql,
  sealObjectsOf,
  uninstallSealSql,
  type SealInstallation,
} from '../../policies/index.js';
import { checkRolesExist } from '../catalog.js';
import { operation, runAll, type RlsOperation } from '../rls-operation.js';
import { checkSealInstalled, sealedPolicies, sealStateOf } from '../seal.js';

/**
 * Puts into the database what verifies seals: a schema, a table of keys that nobody but the migration's role can read, and
 * two functions. No policy asks for a seal yet: `sealKeys`, and then `sealTable` for each table, come after it.
 *
 * `down` takes it out again, with its keys.
 *
 * @throws RlsConfigurationError if a schema of that name is there, or a role is not; in `down`, while a policy calls one
 * of the functions.
 */
export function installSeal(options: SealInstallation): RlsOperation {
  return operation(
    `install the tenant seal of ${settingOf(options)}`,
    (queryRunner) => install(queryRunner, options),
    (queryRunner) => remove(queryRunner, options),
  );
}

/**
 * The reverse of {@link installSeal}, once no policy asks for a seal: `sealTable` was reverted for every table. The keys
 * are gone with it. `down` installs the seal again, without keys.
 *
 * @throws RlsConfigurationError that names the tables whose policies still call the functions.
 */
export function removeSeal(options: SealInstallation): RlsOperation {
  return operation(
    `remove the tenant seal of ${settingOf(options)}`,
    (queryRunner) => remove(queryRunner, options),
    (queryRunner) => install(queryRunner, options),
  );
}

function settingOf({ tenantSetting = DEFAULT_TENANT_SETTING }: SealInstallation): string {
  return tenantSetting;
}

async function install(queryRunner: QueryRunner, options: SealInstallation): Promise<void> {
  const { appRole, adminRole = DEFAULT_ADMIN_ROLE, otherRoles = [] } = options;
  await checkRolesExist(queryRunner, [appRole, adminRole, ...otherRoles]);
  const { schema, installed } = await sealStateOf(queryRunner, options.tenantSetting);
  if (schema) {
    throw new RlsConfigurationError(
      `Schema ${sealObjectsOf(options.tenantSetting).schema} exists, and what verifies seals has it to itself.`,
      installed
        ? 'The tenant seal is installed already: upgradeSeal() makes its functions those of this version.'
        : 'Give the schema another name, or the tenant setting another prefix.',
    );
  }
  await runAll(queryRunner, installSealSql(options));
}

async function remove(queryRunner: QueryRunner, { tenantSetting }: SealInstallation): Promise<void> {
  await checkSealInstalled(queryRunner, 'lose the tenant seal', tenantSetting);
  const sealed = await sealedPolicies(queryRunner, tenantSetting);
  const tables = [...new Set(sealed.map(({ path }) => path))];
  if (tables.length > 0) {
    throw new RlsConfigurationError(
      `The tenant seal cannot be removed: policies ask for it on table ${tables.join(', ')}.`,
      'Bring them back to the plain form first: revert sealTable() of each, or drop the table.',
    );
  }
  await runAll(queryRunner, uninstallSealSql(tenantSetting));
}
