import { QueryFailedError, type DataSource } from 'typeorm';
import { tenantContext } from '../context/tenant-context.js';
import { Isolation } from '../connection/isolation.js';
import { DEFAULT_TENANT_SETTING, quoteRole, sealObjectsOf } from '../policies/index.js';
import { withCatalogQuery, type Examination } from './audit.js';
import { readCatalog } from './catalog.js';
import type { Finding } from './finding.js';
import { unknownTenant } from './probe/tenants.js';
import { hasSealedPolicy, sealableTables } from './sealed-policies.js';

// Whether an application and its database agree about the tenant seal. Counterpart of the rules, which see the database only.

const list = (names: readonly string[]) =>
  `${names.slice(0, 3).join(', ')}${names.length > 3 ? ` and ${names.length - 3} more` : ''}`;

/** Whether the application seals exactly where the database asks for it. @param sealed the application does. */
export function checkSealMatches(
  dataSource: DataSource,
  { catalog, context }: Pick<Examination, 'catalog' | 'context'>,
  sealed: boolean,
): Finding[] {
  const rule = { ruleId: 'RLS092', title: 'seal-mismatch', severity: 'critical' } as const;
  const object = objectOf(dataSource);
  if (!sealed) {
    const asking = sealableTables(context, catalog.seals).filter(hasSealedPolicy);
    if (asking.length === 0) return [];
    const tables = list(asking.map(({ table }) => `"${table.path}"`));
    return [
      {
        ...rule,
        object,
        message: `The policies of ${tables} take a tenant with a seal only, and the application sends none: they refuse its statements.`,
        fix: 'Give the module (or isolateDataSource) the option `seal: { keys: () => sealKeysFromEnvironment() }`, with keys that the database has: `rls-tenants seal-keys`.',
      },
    ];
  }
  const settings = [...new Set(context.tables.map(({ declared }) => declared.tenantSetting))];
  return settings
    .filter((setting) => !catalog.seals.some((seal) => seal.setting === setting))
    .map((setting) => ({
      ...rule,
      object,
      message: `The application seals its tenants, and database "${catalog.server.database}" has nothing that verifies the seals of ${setting}: any SQL on its connections sets another tenant.`,
      fix: 'Put installSeal(), sealKeys() and sealTable() into migrations, or leave the option `seal` out.',
    }));
}

/**
 * Lets the database verify a seal of the application's, on a connection of its own. The app role cannot read the keys, so
 * nothing else says whether both have the same. For data sources that are isolated with a seal; the others have none.
 */
export async function trySeal(dataSource: DataSource): Promise<Finding[]> {
  const options = Isolation.get(dataSource)?.options;
  if (!options?.seal) return [];
  const tenantId = unknownTenant(options.tenantIdType);
  const { currentTenant } = sealObjectsOf(options.tenantSetting ?? DEFAULT_TENANT_SETTING);
  try {
    await tenantContext(tenantId, () => dataSource.query(`SELECT ${currentTenant}`));
    return [];
  } catch (error) {
    const refusal = refusalIn(error);
    if (!refusal) throw error;
    return [
      {
        ruleId: 'RLS093',
        title: 'seal-refused',
        severity: 'critical',
        object: objectOf(dataSource),
        message: `The database does not take the application's seals: ${refusal.message}`,
        fix: refusal.hint ?? 'Give database and application the same keys: `rls-tenants seal-keys`.',
      },
    ];
  }
}

/** What PostgreSQL refuses: 42501, and 3F000 or 42883 where the function is not there, which RLS092 explains. */
function refusalIn(error: unknown): { message: string; hint?: string } | undefined {
  const cause: unknown = error instanceof QueryFailedError ? error.driverError : error;
  const { code } = cause as { code?: unknown };
  if (!(cause instanceof Error) || (code !== '42501' && code !== '3F000' && code !== '42883'))
    return undefined;
  return cause;
}

/** Whether the login of the admin contexts' data source can do what it is there for, and is another one than the app role. */
export async function checkAdminDataSource(
  adminDataSource: DataSource,
  adminRoles: readonly string[],
  appRole: string,
): Promise<Finding[]> {
  const catalog = await withCatalogQuery(adminDataSource, (query) =>
    readCatalog(query, [], { adminRoles, settings: [], tenantSettings: [], scope: 'declared' }),
  );
  const { name } = catalog.appRole;
  const rule = { ruleId: 'RLS094', title: 'admin-login-unfit', severity: 'error' } as const;
  const object = `role "${name}"`;
  if (name === appRole) {
    return [
      {
        ...rule,
        object,
        message:
          '`adminDataSource` logs in as the app role: what may become admin must be out of reach of what serves requests.',
        fix: `Give it a login of its own: \`rls-tenants setup-roles --admin-login <name>\` makes one.`,
      },
    ];
  }
  return adminRoles.flatMap((adminRole) => {
    const role = catalog.roles.get(adminRole);
    if (role?.settable || catalog.appRole.superuser) return [];
    return [
      {
        ...rule,
        object,
        message: role
          ? `\`adminDataSource\` logs in as it, and it may not SET ROLE to "${adminRole}": admin contexts fail.`
          : `\`adminDataSource\` logs in as it, and the admin role "${adminRole}" does not exist: admin contexts fail.`,
        fix: role
          ? `GRANT ${quoteRole(adminRole)} TO ${quoteRole(name)};`
          : '-- `rls-tenants setup-roles --admin-login <name>` makes both.',
      },
    ];
  });
}

function objectOf({ driver }: DataSource): string {
  return `data source of database "${driver.database}"`;
}
