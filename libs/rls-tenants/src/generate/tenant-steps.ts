import type { QueryRunner } from 'typeorm';
import { readCatalog, type Catalog } from '../audit/catalog.js';
import { isTable, type ExistingTable } from '../audit/rule.js';
import type { TenantScopedTable } from '../entities/index.js';
import { RlsConfigurationError } from '../errors.js';
import { DEFAULT_ADMIN_ROLE, quoteRole, quoteTable } from '../policies/index.js';
import { checkBackfilled } from './column-difference.js';
import { grantDifference } from './grant-difference.js';
import { policyDifference, protectionStep, type ProtectionRoles } from './policy-difference.js';
import { inTheirForms } from './sealed-tables.js';
import type { Note, OperationStep } from './step.js';

/**
 * What protects the tables of tenant-scoped entities and is not in the database: operations for new tables, for tables that
 * nobody protected yet, and for policies, switches and grants that are not what the entities declare.
 *
 * @throws RlsConfigurationError if a role does not exist, the app role is the one that connects, a name is no table, rows have
 * no tenant yet, or a policy cannot be made right by an operation.
 */
export async function tenantSteps(
  queryRunner: QueryRunner,
  declared: readonly TenantScopedTable[],
  roles: ProtectionRoles,
): Promise<{ steps: OperationStep[]; notes: Note[] }> {
  // PostgreSQL would cut a longer name off and make the table, and what protects it would not find it.
  declared.forEach(({ table }) => quoteTable(table));
  const catalog = await catalogOf(queryRunner, declared, roles);
  if (catalog.auditsOwnConnection) {
    throw new RlsConfigurationError(
      `The data source connects as "${roles.appRole}", the login that serves requests.`,
      "Name a data source with the migration role's login, which owns the tables: see migrationDataSourceOptions().",
    );
  }
  await checkBackfilled(queryRunner, declared, catalog);
  const steps: OperationStep[] = [];
  const notes: Note[] = [];
  const inUse: string[] = [];
  for (const table of inTheirForms(declared, catalog)) {
    const existing = existingTable(table, catalog, roles);
    if (!existing) {
      steps.push(protectionStep(table, roles));
      continue;
    }
    const difference = policyDifference(existing, catalog, roles);
    steps.push(...difference.steps);
    notes.push(...difference.notes);
    // protectTable() grants what is lacking by itself.
    if (difference.isUnprotected) inUse.push(`"${table.table}"`);
    else steps.push(...(await grantDifference(queryRunner, table.table, roles)));
  }
  return { steps, notes: inUse.length === 0 ? notes : [...notes, contextFirst(inUse)] };
}

function contextFirst(tables: readonly string[]): Note {
  return {
    kind: 'advice',
    statements: [],
    reason: `Once its alter file has run, a table shows rows to a tenant only: table ${tables.join(', ')}. Deploy code that works in a tenant context first.`,
  };
}

function catalogOf(
  queryRunner: QueryRunner,
  declared: readonly TenantScopedTable[],
  { appRole, adminRole = DEFAULT_ADMIN_ROLE }: ProtectionRoles,
): Promise<Catalog> {
  quoteRole(appRole);
  quoteRole(adminRole);
  return readCatalog((sql, parameters) => queryRunner.query(sql, parameters), declared, {
    role: appRole,
    adminRoles: [adminRole],
    settings: [],
    tenantSettings: declared.map(({ tenantSetting }) => tenantSetting),
    scope: 'declared',
  });
}

/** Undefined for a table that is not there yet. */
function existingTable(
  declared: TenantScopedTable,
  catalog: Catalog,
  { adminRole = DEFAULT_ADMIN_ROLE }: ProtectionRoles,
): ExistingTable | undefined {
  const live = catalog.table(declared.table);
  if (!live) return undefined;
  if (!isTable(live)) {
    throw new RlsConfigurationError(
      `"${live.schema}.${live.name}", the table of the tenant-scoped entity ${declared.entityName}, is no table.`,
      'Row-level security protects tables only. Mark the entities of the tables below it @TenantScoped(), not this one.',
    );
  }
  return { declared, recognised: false, live, path: `${live.schema}.${live.name}`, adminRole };
}
