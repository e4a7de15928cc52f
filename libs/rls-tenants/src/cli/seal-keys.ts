import { randomBytes } from 'node:crypto';
import type { DataSource } from 'typeorm';
import { SEAL_KEYS_VARIABLE, sealKeysFromEnvironment, type SealKey } from '../connection/index.js';
import { withoutTenant } from '../context/tenant-context.js';
import { RlsConfigurationError } from '../errors.js';
import { checkSealInstalled } from '../migrations/seal.js';
import { storedSealKeys, storeSealKeys, unloggedQuery, type StoredSealKey } from '../migrations/seal-keys.js';
import { DEFAULT_TENANT_SETTING, sealObjectsOf } from '../policies/index.js';
import { explain, type CliOutput } from './cli-output.js';
import { initializeUntouched } from './data-source-file.js';
import { ExitCode } from './exit-code.js';
import { keysJson, keysText, type ListedKey } from './seal-keys.report.js';

/** What `seal-keys` is told. */
export interface SealKeysCommandOptions {
  /** The environment variable that holds the keys. Default `'RLS_SEAL_KEYS'`. */
  from?: string | undefined;
  /** Removes the keys that the variable does not hold. */
  prune?: boolean | undefined;
  /** Changes nothing, and says by the exit code whether anything is to be changed. */
  check?: boolean | undefined;
  /** Default `'rls.current_tenant'`. */
  tenantSetting?: string | undefined;
  format?: 'text' | 'json' | undefined;
}

/** A new key as `RLS_SEAL_KEYS` holds it, its id begins with the date. */
export function newSealKey(now = new Date()): string {
  return `${now.toISOString().slice(0, 10)}-${randomBytes(2).toString('hex')}:${randomBytes(32).toString('base64')}`;
}

/**
 * Makes the database's keys those of an environment variable, and lists them. No secret is printed or logged.
 *
 * @param load gives the data source of the role that owns the keys; it is initialized here if it is not yet, and destroyed
 * in any case.
 * @returns the exit code: 1 if `check` found other keys, 2 if it could not run. It never throws.
 */
export async function sealKeys(
  load: () => Promise<DataSource>,
  options: SealKeysCommandOptions,
  output: CliOutput,
): Promise<ExitCode> {
  try {
    const { from = SEAL_KEYS_VARIABLE, tenantSetting = DEFAULT_TENANT_SETTING, format = 'text' } = options;
    const keys = sealKeysFromEnvironment(from);
    const dataSource = await load();
    try {
      if (!dataSource.isInitialized) await initializeUntouched(dataSource);
      const listed = await withoutTenant(() => align(dataSource, keys, tenantSetting, options));
      const report = { tenantSetting, from, check: options.check === true, keys: listed };
      output.out(format === 'json' ? keysJson(report) : keysText(report, output));
      const differs = listed.some(({ change }) => change !== undefined);
      return options.check && differs ? ExitCode.Findings : ExitCode.Ok;
    } finally {
      if (dataSource.isInitialized) await dataSource.destroy();
    }
  } catch (error) {
    output.err(`seal-keys could not run: ${explain(error)}\n`);
    return ExitCode.CouldNotRun;
  }
}

/** In one transaction, which is rolled back if nothing is to be changed. */
async function align(
  dataSource: DataSource,
  keys: readonly SealKey[],
  tenantSetting: string,
  { prune = false, check = false }: SealKeysCommandOptions,
): Promise<ListedKey[]> {
  const queryRunner = dataSource.createQueryRunner('master');
  try {
    const { role, readable } = await checkSealInstalled(queryRunner, 'hold keys', tenantSetting);
    if (!readable) {
      throw new RlsConfigurationError(
        `Role "${role}" may not touch the keys of the tenant seal, table ${sealObjectsOf(tenantSetting).keyTable}.`,
        'Connect as the migration role, which owns them. No other role should be able to.',
      );
    }
    const query = await unloggedQuery(queryRunner);
    await queryRunner.startTransaction();
    try {
      const before = await storedSealKeys(query, tenantSetting);
      await storeSealKeys(query, keys, { prune, tenantSetting });
      const after = await storedSealKeys(query, tenantSetting);
      if (check) await queryRunner.rollbackTransaction();
      else await queryRunner.commitTransaction();
      return listed(keys, before, after);
    } catch (error) {
      if (queryRunner.isTransactionActive) await queryRunner.rollbackTransaction();
      throw error;
    }
  } finally {
    await queryRunner.release();
  }
}

/** The keys of the environment in their order, and then those that only the database has or had. */
function listed(
  keys: readonly SealKey[],
  before: readonly StoredSealKey[],
  after: readonly StoredSealKey[],
): ListedKey[] {
  const sealing = keys.find(({ expiresAt }) => expiresAt === undefined || expiresAt.getTime() > Date.now());
  const others = before.filter(({ id }) => !keys.some((key) => key.id === id));
  return [...keys, ...others].map((key) => {
    const [was, is] = [before, after].map((stored) => stored.find(({ id }) => id === key.id));
    return {
      id: key.id,
      expiresAt: key.expiresAt ?? null,
      inDatabase: is !== undefined,
      inEnvironment: keys.some(({ id }) => id === key.id),
      seals: key.id === sealing?.id,
      change: changeOf(was, is),
    };
  });
}

function changeOf(was: StoredSealKey | undefined, is: StoredSealKey | undefined): ListedKey['change'] {
  if (!was) return 'added';
  if (!is) return 'removed';
  return was.expiresAt?.getTime() === is.expiresAt?.getTime() ? undefined : 'changed';
}
