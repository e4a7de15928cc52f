import { parseSync } from 'libpg-query';
import type { Catalog, CatalogPolicy } from '../audit/catalog.js';
import {
  expectedPolicies,
  expectedPredicate,
  isExpectedName,
  predicateScope,
  type ExpectedPolicy,
} from '../audit/expected-policies.js';
import { replacePolicy } from '../audit/fix-sql.js';
import { widening } from '../audit/predicate.js';
import type { ExistingTable } from '../audit/rule.js';
import { differencesOf } from '../audit/rules/policy-drift.rule.js';
import { RlsConfigurationError } from '../errors.js';
import { names, nodesOf, pathOf } from '../lint/changes.js';
import {
  createPolicySql,
  DEFAULT_ADMIN_ROLE,
  DEFAULT_TENANT_COLUMN,
  DEFAULT_TENANT_SETTING,
  disableRlsSql,
  dropPolicySql,
  enableRlsSql,
} from '../policies/index.js';
import { readingOptionsOf, type TenantScopedTable } from '../entities/index.js';
import { typeScriptLiteral } from './operation-code.js';
import type { Note, OperationStep } from './step.js';

/** The roles that policies and grants are for. */
export interface ProtectionRoles {
  /** The login that serves requests. */
  readonly appRole: string;
  /** Default `'rls_admin'`. */
  readonly adminRole?: string | undefined;
}

/** An operation of a table's structure: in one file with the statements that create the table. */
export function structureStep(
  table: string,
  name: string,
  values: readonly unknown[],
  references: readonly string[] = [],
): OperationStep {
  return {
    kind: 'operation',
    phase: 'structure',
    table: stepTable(table),
    code: `${name}(${values.map(typeScriptLiteral).join(', ')})`,
    imports: [name],
    references: references.map(stepTable),
  };
}

/** The one name that a table has in all steps, whether or not it is qualified. */
function stepTable(table: string): string {
  return pathOf(table.split('.'));
}

/** What an operation must be told of a table; what is the library's default is left out. */
export function tenantOptions({ tenantColumn, tenantIdType, tenantSetting, sealed }: TenantScopedTable) {
  return {
    tenantIdType,
    ...(tenantColumn !== DEFAULT_TENANT_COLUMN && { tenantColumn }),
    ...(tenantSetting !== DEFAULT_TENANT_SETTING && { tenantSetting }),
    ...(sealed && { sealed }),
  };
}

/** Protects a table whose tenant column is there by then: policies, grants, enabled and forced. */
export function protectionStep(
  declared: TenantScopedTable,
  { appRole, adminRole }: ProtectionRoles,
): OperationStep {
  const { table, kind, sides } = declared;
  const { tenantColumn, ...options } = tenantOptions(declared);
  const reading = readingOptionsOf(declared);
  const roles = {
    ...(adminRole !== undefined && adminRole !== DEFAULT_ADMIN_ROLE && { adminRole }),
    appRole,
  };
  if (kind === 'entity') {
    return structureStep(table, 'protectTable', [{ table, tenantColumn, ...options, ...reading, ...roles }]);
  }
  if (!sides) {
    const form = 'existing-column';
    return structureStep(table, 'protectJoinTable', [
      { joinTable: table, form, tenantColumn, ...options, ...reading, ...roles },
    ]);
  }
  const through = sides.map((side) => ({
    table: side.table,
    columns: side.columns,
    ...(side.tenantColumn !== DEFAULT_TENANT_COLUMN && { tenantColumn: side.tenantColumn }),
  }));
  return structureStep(
    table,
    'protectJoinTable',
    [{ joinTable: table, form: 'exists', sides: through, ...options, ...roles }],
    sides.map((side) => side.table),
  );
}

/** What a table's policies lack. */
export interface PolicyDifference {
  readonly steps: readonly OperationStep[];
  readonly notes: readonly Note[];
  /** Nothing of the library's is there: the steps protect the table as a whole, grants included. */
  readonly isUnprotected: boolean;
}

/**
 * What it takes to make the policies of an existing table, and what of row-level security is switched on, what the entities
 * declare. Policies are compared as `check-rls` compares them: by meaning, and not by text.
 *
 * @throws RlsConfigurationError for a policy that ALTER POLICY cannot make right, with the SQL that can.
 */
export function policyDifference(
  table: ExistingTable,
  catalog: Catalog,
  roles: ProtectionRoles,
): PolicyDifference {
  const { live, declared } = table;
  const policies = expectedPolicies(table).map((expected) => ({
    expected,
    found: live.policies.find(({ name }) => name === expected.name),
  }));
  const notes = wideningNotes(table, catalog);
  if (!live.rlsEnabled && !live.rlsForced && policies.every(({ found }) => !found)) {
    return { steps: [protectionStep(declared, roles)], notes, isUnprotected: true };
  }
  const steps = policies.flatMap(({ expected, found }) =>
    found ? alterStep(table, catalog, expected, found) : [createStep(declared.table, expected)],
  );
  return { steps: [...steps, ...switchSteps(table)], notes, isUnprotected: false };
}

function createStep(table: string, { name, predicate, role, command }: ExpectedPolicy): OperationStep {
  return structureStep(table, 'runSql', [
    createPolicySql(table, name, predicate, role, command),
    dropPolicySql(table, name),
  ]);
}

/** Nothing if the policy is as it should be. */
function alterStep(
  table: ExistingTable,
  catalog: Catalog,
  expected: ExpectedPolicy,
  found: CatalogPolicy,
): OperationStep[] {
  const differences = differencesOf(found, expected, table, catalog);
  if (differences.length === 0) return [];
  const { declared, path } = table;
  const isTenantPolicy = expected.role === undefined && !declared.sides;
  const isForAll = found.command === 'ALL' && expected.command === undefined;
  const isAlterable = found.permissive && isForAll && found.roles.join() === 'public';
  if (!isTenantPolicy || !isAlterable) {
    throw new RlsConfigurationError(
      `Policy "${expected.name}" on table "${path}" is not what the library generates, and no operation of the library can change it: ${differences.join('; ')}.`,
      `Correct it in a migration of your own, then generate again:\n  ${replacePolicy(path, expected, true, false).replaceAll('\n', '\n  ')}`,
    );
  }
  const { tenantSetting: to, ...options } = {
    tenantSetting: declared.tenantSetting,
    ...tenantOptions(declared),
  };
  const from = settingOf(found, to);
  const joinTable = declared.kind === 'join-table' ? true : undefined;
  return [
    structureStep(declared.table, 'alterTenantPolicy', [
      { table: declared.table, ...options, joinTable, from, to },
    ]),
  ];
}

/**
 * The setting that the policy reads now, for `down` to read it again, in the library's form. Where it reads several, the
 * declared one is the tenant's, and the others say who is admin.
 */
function settingOf({ using }: CatalogPolicy, declared: string): string {
  const calls = nodesOf(parseSync(`SELECT ${using ?? 'NULL'}`), 'FuncCall').filter(
    ({ funcname }) => names(funcname as Parameters<typeof names>[0]).at(-1) === 'current_setting',
  );
  const settings = new Set(
    nodesOf(
      calls.map(({ args }) => args),
      'A_Const',
    ).flatMap(({ sval }) => (sval as { sval?: string } | undefined)?.sval ?? []),
  );
  const [only] = settings;
  return only !== undefined && settings.size === 1 ? only : declared;
}

function switchSteps({ live, declared: { table } }: ExistingTable): OperationStep[] {
  const [enable, force] = enableRlsSql(table) as [string, string];
  const [noForce, disable] = disableRlsSql(table) as [string, string];
  return [
    ...(live.rlsEnabled ? [] : [structureStep(table, 'runSql', [enable, disable])]),
    ...(live.rlsForced ? [] : [structureStep(table, 'runSql', [force, noForce])]),
  ];
}

/** Policies made by hand that show the app role more than the tenant's rows: never dropped here, and never passed over. */
function wideningNotes(table: ExistingTable, catalog: Catalog): Note[] {
  const scope = predicateScope(table, catalog);
  const expected = expectedPredicate(table);
  return table.live.policies
    .filter(
      ({ name, permissive, appliesToAppRole }) =>
        permissive && appliesToAppRole && !isExpectedName(table, name),
    )
    .filter(({ using, withCheck }) =>
      [using, withCheck].some((one) => one !== null && widening(one, expected, scope) !== undefined),
    )
    .map(({ name }) => ({
      kind: 'advice',
      statements: [],
      reason: `Policy "${name}" on table "${table.path}" admits the app role to more than the tenant's rows, and nothing here drops it. Drop it in a migration of your own (check-rls: RLS009).`,
    }));
}
