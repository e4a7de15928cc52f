import type { QueryRunner } from 'typeorm';
import { RlsConfigurationError } from '../errors.js';
import { liveTable } from './live-index.js';
import { DEFAULT_TENANT_SETTING, hasValidSealKeySql, sealObjectsOf } from '../policies/index.js';

interface SealState {
  /** There is a schema with the name of the seal's. */
  readonly schema: boolean;
  readonly installed: boolean;
  /** The current role may read the keys. */
  readonly readable: boolean;
  readonly role: string;
}

/** What of the tenant seal the database has. */
export async function sealStateOf(queryRunner: QueryRunner, tenantSetting?: string): Promise<SealState> {
  const { schema, keyTable, currentTenant, readableTenants } = sealObjectsOf(tenantSetting);
  const [state] = (await queryRunner.query(
    `SELECT to_regnamespace($1) IS NOT NULL AS schema, current_user::text AS role,
       to_regclass($2) IS NOT NULL AND to_regprocedure($3) IS NOT NULL AND to_regprocedure($4) IS NOT NULL AS installed,
       coalesce(has_table_privilege(to_regclass($2), 'SELECT'), false) AS readable`,
    [schema, keyTable, currentTenant, readableTenants],
  )) as [SealState];
  return state;
}

/** @throws RlsConfigurationError if the database has nothing that verifies seals, so that no policy can ask for one. */
export async function checkSealInstalled(
  queryRunner: QueryRunner,
  what: string,
  tenantSetting = DEFAULT_TENANT_SETTING,
): Promise<SealState> {
  const state = await sealStateOf(queryRunner, tenantSetting);
  if (state.installed) return state;
  throw new RlsConfigurationError(
    `The database cannot ${what}: the tenant seal of ${tenantSetting} is not installed in it.`,
    'Put installSeal() in an earlier migration or operation.',
  );
}

/** @throws RlsConfigurationError if no seal could be genuine, so that a sealed policy would refuse every statement. */
export async function checkSealUsable(
  queryRunner: QueryRunner,
  what: string,
  tenantSetting = DEFAULT_TENANT_SETTING,
): Promise<void> {
  const { readable, role } = await checkSealInstalled(queryRunner, what, tenantSetting);
  if (!readable) {
    throw new RlsConfigurationError(
      `The database cannot ${what}: role "${role}" may not see whether there is a key of the tenant seal.`,
      `Run the migration as the role that owns table ${sealObjectsOf(tenantSetting).keyTable}.`,
    );
  }
  const [{ valid }] = (await queryRunner.query(hasValidSealKeySql(tenantSetting))) as [{ valid: boolean }];
  if (valid) return;
  throw new RlsConfigurationError(
    `The database cannot ${what}: it has no key of the tenant seal that is valid now, and would refuse every statement.`,
    'Give it the keys of the application first: `rls-tenants seal-keys`, or sealKeys() in an earlier operation.',
  );
}

/** The policies that call one of the verifying functions, and the tables they are on. */
export async function sealedPolicies(
  queryRunner: QueryRunner,
  tenantSetting?: string,
): Promise<{ name: string; path: string; table: string }[]> {
  const { currentTenant, readableTenants } = sealObjectsOf(tenantSetting);
  return (await queryRunner.query(
    `SELECT DISTINCT polname::text AS name, polrelid::regclass::text AS path, polrelid::text AS table
     FROM pg_depend d JOIN pg_policy p ON p.oid = d.objid
     WHERE d.classid = 'pg_policy'::regclass AND d.refclassid = 'pg_proc'::regclass
       AND d.refobjid IN (to_regprocedure($1), to_regprocedure($2)) ORDER BY 2, 1`,
    [currentTenant, readableTenants],
  )) as { name: string; path: string; table: string }[];
}

/** @throws RlsConfigurationError if the policy asks for a seal: it must not lose that on the way. */
export async function checkNotSealed(
  queryRunner: QueryRunner,
  table: string,
  policyName: string,
  tenantSetting: string,
): Promise<void> {
  const { oid } = await liveTable(queryRunner, table);
  const sealed = await sealedPolicies(queryRunner, tenantSetting);
  if (!sealed.some((one) => one.name === policyName && one.table === oid)) return;
  throw new RlsConfigurationError(
    `Policy "${policyName}" of table "${table}" asks for the tenant seal, which it would lose.`,
    'State `sealed: true`. To give the seal up, revert sealTable().',
  );
}
