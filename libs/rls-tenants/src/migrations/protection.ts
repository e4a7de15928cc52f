import type { QueryRunner } from 'typeorm';
import { RlsConfigurationError } from '../errors.js';
import {
  commentOnPolicySql,
  DEFAULT_ADMIN_ROLE,
  DEFAULT_TENANT_COLUMN,
  dropTenantDefaultSql,
  grantSql,
  protectByPoliciesSql,
  revokeSql,
  setTenantDefaultSql,
  unprotectSql,
  type Grant,
  type PolicyDefinition,
  type TenantTable,
} from '../policies/index.js';
import { commentOf, defaultOf, grantsFor, lackingOf, rlsStateOf } from './catalog.js';
import { runAll } from './rls-operation.js';
import { checkSealInstalled } from './seal.js';

/** Everything the operations that protect a table differ in. */
export interface Protection {
  table: string;
  /** Those that admit tenants; the first one keeps what was added. */
  policies: readonly [PolicyDefinition, ...PolicyDefinition[]];
  adminRole?: string | undefined;
  appRole: string;
  /** The table's own tenant column, whose default reads the tenant setting. */
  tenantColumn?: TenantTable;
  /** Whether the policies ask for the seal of the tenant setting, which must be installed then. */
  sealed?: boolean | undefined;
  /** Default `'rls.current_tenant'`. */
  tenantSetting?: string | undefined;
}

/**
 * What {@link protect} found missing and added, beside what always comes and goes with the policies. It is kept in the
 * database, as the comment on the policy, because `down` runs in another process, perhaps years later, and must not take
 * away what was there before.
 */
interface Added {
  readonly tenantDefault: boolean;
  readonly grants: readonly Grant[];
}

const COMMENT_PREFIX = 'nestjs-rls-tenants added ';
const NOTHING: Added = { tenantDefault: false, grants: [] };

/**
 * Enables and forces row-level security, creates the policies, fills the tenant column by default, and grants the app
 * role and the admin role what serving requests takes.
 *
 * @throws RlsConfigurationError if the table already has row-level security, or the tenant column another default, or if
 * the policies ask for a seal that is not installed.
 */
export async function protect(queryRunner: QueryRunner, protection: Protection): Promise<void> {
  const { table, policies, adminRole = DEFAULT_ADMIN_ROLE, appRole } = protection;
  const state = await rlsStateOf(queryRunner, table);
  if (state.enabled || state.forced) {
    throw new RlsConfigurationError(
      `Table "${table}" already has row-level security.`,
      'Drop its policies and disable it in an operation of its own first, so that its down() can restore them.',
    );
  }
  if (protection.sealed) {
    await checkSealInstalled(
      queryRunner,
      `protect table "${table}" by sealed policies`,
      protection.tenantSetting,
    );
  }
  await runAll(queryRunner, protectByPoliciesSql(table, policies, adminRole));
  const tenantDefault =
    protection.tenantColumn !== undefined && (await setTenantDefault(queryRunner, protection.tenantColumn));
  const grants = await lackingOf(queryRunner, await grantsFor(queryRunner, table, [appRole, adminRole]));
  await runAll(queryRunner, grants.map(grantSql));
  if (!tenantDefault && grants.length === 0) return;
  const added: Added = { tenantDefault, grants };
  await queryRunner.query(
    commentOnPolicySql(table, policies[0].name, COMMENT_PREFIX + JSON.stringify(added)),
  );
}

/** The inverse of {@link protect}. @throws RlsConfigurationError if row-level security is not enabled and forced. */
export async function unprotect(
  queryRunner: QueryRunner,
  { table, policies, tenantColumn }: Protection,
): Promise<void> {
  const state = await rlsStateOf(queryRunner, table);
  if (!state.enabled || !state.forced) {
    throw new RlsConfigurationError(
      `Row-level security of table "${table}" is not enabled and forced.`,
      'ENABLE and FORCE it first, or leave the operation out.',
    );
  }
  const added = parseAdded(table, await commentOf(queryRunner, table, policies[0].name));
  // Grants go first: the app role must not reach the table once the policies are gone.
  await runAll(queryRunner, added.grants.toReversed().map(revokeSql));
  if (added.tenantDefault && tenantColumn) await queryRunner.query(dropTenantDefaultSql(tenantColumn));
  await runAll(queryRunner, unprotectSql(table, ...policies.map(({ name }) => name)));
}

/** Returns false if the column already had this default. */
async function setTenantDefault(queryRunner: QueryRunner, table: TenantTable): Promise<boolean> {
  const column = table.tenantColumn ?? DEFAULT_TENANT_COLUMN;
  const before = await defaultOf(queryRunner, table.table, column);
  await queryRunner.query(setTenantDefaultSql(table));
  if (before === undefined) return true;
  // PostgreSQL prints expressions in its own way: compare what it prints.
  if (before === (await defaultOf(queryRunner, table.table, column))) return false;
  throw new RlsConfigurationError(
    `Column "${column}" of table "${table.table}" has another default: ${before}.`,
    'Drop that default in an operation of its own first, so that its down() can restore it.',
  );
}

function parseAdded(table: string, comment: string | undefined): Added {
  if (!comment?.startsWith(COMMENT_PREFIX)) return NOTHING;
  try {
    return JSON.parse(comment.slice(COMMENT_PREFIX.length)) as Added;
  } catch (cause) {
    throw new RlsConfigurationError(
      `The comment on the policy of table "${table}" was edited: ${comment}.`,
      'It records what to take back. Restore it, or remove it and revoke the grants yourself.',
      { cause },
    );
  }
}
