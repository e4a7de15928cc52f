import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseSync, type Node } from 'libpg-query';
import type { Catalog } from '../audit/catalog.js';
import { expectedPolicies } from '../audit/expected-policies.js';
import { fails, type Examination, type Finding, type JudgedReport } from '../audit/index.js';
import { isTable, type AuditedTable, type ExistingTable } from '../audit/rule.js';
import { differencesOf } from '../audit/rules/policy-drift.rule.js';
import { readingOptionsOf } from '../entities/index.js';
import { DEFAULT_TENANT_SETTING } from '../policies/index.js';
import { RlsConfigurationError } from '../errors.js';
import {
  pairStatements,
  renderFiles,
  splitSteps,
  type OperationStep,
  type PlannedFile,
  type RenderedFile,
  type SchemaFacts,
  type SqlStep,
  type Step,
} from '../generate/index.js';
import { operationStep } from '../generate/operation-code.js';
import {
  policyDifference,
  protectionStep,
  structureStep,
  tenantOptions,
} from '../generate/policy-difference.js';
import { parseStatement, sliceBytes } from '../generate/statement.js';
import { pathOf } from '../lint/changes.js';
import { foreignKeySteps } from './check-rls.fix-keys.js';
import { visible, type CliOutput } from './cli-output.js';

/** Migrations that make findings go away, and the findings that they leave. */
export interface FixPlan {
  /** In the order in which they run. */
  readonly files: readonly RenderedFile[];
  /** What no migration can do, or nobody should do without a decision. */
  readonly byHand: readonly Finding[];
}

/**
 * Writes the migrations of {@link planFix}, overwrites nothing and applies nothing. What it wrote and what is left goes to
 * stderr: stdout is the report's.
 */
export async function writeFix(
  report: JudgedReport,
  examination: Examination,
  directory: string,
  output: CliOutput,
): Promise<void> {
  const { files, byHand } = planFix(report, examination, Date.now());
  if (files.length > 0) await mkdir(directory, { recursive: true });
  for (const { name, text } of files) await writeFile(join(directory, name), text, { flag: 'wx' });
  const names = files.map(({ name }) => `  ${join(directory, name)}\n`);
  if (files.length > 0) {
    output.err(
      `Wrote ${files.length} migration(s), and applied none:\n${names.join('')}Read them, then: rls-tenants lint-migrations ${directory}\n`,
    );
  }
  if (byHand.length === 0) return;
  if (files.length === 0) output.err('There is nothing that a migration can fix.\n');
  const left = byHand.map(({ ruleId, object, fix }) =>
    visible(`  ${ruleId} ${object}\n    ${indent(fix)}\n`),
  );
  output.err(`By hand, ${byHand.length} finding(s):\n${left.join('')}`);
}

function indent(text: string): string {
  return text.replaceAll('\n', '\n    ');
}

/**
 * Plans migrations for the findings of a report: the library's operations where there is one, the finding's own SQL
 * otherwise. What is for information only is left as it is. libpg-query's `loadModule()` must have finished.
 *
 * @param timestamp of the first file, in milliseconds.
 * @throws RlsConfigurationError if the audited role is a superuser: policies and grants would be for it.
 */
export function planFix(report: JudgedReport, examination: Examination, timestamp: number): FixPlan {
  const { name, superuser } = examination.catalog.appRole;
  if (superuser) {
    throw new RlsConfigurationError(
      `Role "${name}" is a superuser, and a fix has to know the role that serves requests.`,
      'Connect as that role, or name it: --role app.',
    );
  }
  const fixer = new Fixer(examination);
  const wanted = report.findings.filter((finding) => fails(finding, report) || finding.severity !== 'info');
  const taken = new Set(wanted.toSorted(protectionFirst).filter((finding) => fixer.take(finding)));
  return {
    files: renderFiles(fixer.planned(), timestamp),
    byHand: wanted.filter((finding) => !taken.has(finding)),
  };
}

/** The `down` of what has no mechanical inverse, or only in part: reverting it opens no hole again. */
const STAYS = "SELECT 'what was closed stays closed'";

/** Findings about a table's protection as a whole, which operations put right. */
const PROTECTION_RULES: ReadonlySet<string> = new Set(['RLS004', 'RLS005', 'RLS080']);

function protectionFirst(a: Finding, b: Finding): number {
  return Number(PROTECTION_RULES.has(b.ruleId)) - Number(PROTECTION_RULES.has(a.ruleId));
}

class Fixer {
  /** Policies, switches, privileges and functions: they change together or not at all. */
  private readonly together: OperationStep[] = [];
  /** Indexes and constraints of tables in use, which have files of their own. */
  private readonly apart: Step[] = [];
  /** Policies that move to the sealed form, in a file of its own: applications have the option `seal` before it runs. */
  private readonly sealing: OperationStep[] = [];
  private readonly protectedTables = new Map<AuditedTable, boolean>();
  /** Statements that are there already, in one form or another. */
  private readonly taken = new Set<string>();
  private readonly facts: SchemaFacts;

  constructor(private readonly examination: Examination) {
    this.facts = factsOf(examination);
  }

  /** Plans what fixes the finding. False if nothing mechanical does. */
  take(finding: Finding): boolean {
    const table = this.tableOf(finding);
    if (table && PROTECTION_RULES.has(finding.ruleId) && this.protect(table)) return true;
    if (table && finding.ruleId === 'RLS043') return this.takeNotNull(table);
    if (finding.ruleId === 'RLS040' && this.takeForeignKey(finding)) return true;
    if (finding.ruleId === 'RLS061' && this.takeUpgrade(finding)) return true;
    if (finding.ruleId === 'RLS064') return this.takeSealing(finding, table);
    return this.takeSql(finding);
  }

  private takeForeignKey(finding: Finding): boolean {
    const { database } = this.examination.context;
    const steps = database && foreignKeySteps(finding, database);
    if (!steps) return false;
    for (const step of steps) {
      // Several keys may reference the same columns.
      if (!this.taken.has(step.code)) this.apart.push(step);
      this.taken.add(step.code);
    }
    return true;
  }

  /** Once for each tenant setting. */
  private takeUpgrade({ object, fix }: Finding): boolean {
    const seal = this.examination.catalog.seals.find(({ schema }) => object.includes(`"${schema}.`));
    if (!seal || !fix.includes('upgradeSeal')) return false;
    const { setting: tenantSetting } = seal;
    const options = tenantSetting === DEFAULT_TENANT_SETTING ? [] : [{ tenantSetting }];
    const step = structureStep('objects', 'upgradeSeal', options);
    if (!this.taken.has(step.code)) this.together.push(step);
    this.taken.add(step.code);
    return true;
  }

  /** The operation is for a table whose policies are all the library's plain ones; a partition's is altered by itself. */
  private takeSealing({ fix }: Finding, table: ExistingTable | undefined): boolean {
    const step = table && sealingStep(table, this.examination.catalog);
    const steps = step
      ? [step]
      : (refusedAsUndefined(() => this.planSql(fix)) ?? []).map((one) => runSqlStep(one.step));
    for (const one of steps) {
      if (!this.taken.has(one.code)) this.sealing.push(one);
      this.taken.add(one.code);
    }
    return steps.length > 0;
  }

  planned(): PlannedFile[] {
    const together: PlannedFile[] =
      this.together.length === 0
        ? []
        : [{ phase: 'structure', slug: 'fix-isolation', steps: this.together, transaction: true }];
    const sealing: PlannedFile[] =
      this.sealing.length === 0
        ? []
        : [{ phase: 'structure', slug: 'seal-tables', steps: this.sealing, transaction: true }];
    const apart = splitSteps(this.apart, this.facts).map((file) => ({ ...file, slug: `fix-${file.slug}` }));
    return [...together, ...apart, ...sealing];
  }

  /** The tenant table that a finding is about, or that its policy or column belongs to. */
  private tableOf({ object }: Finding): ExistingTable | undefined {
    return this.examination.context.tables.find(
      (table): table is ExistingTable =>
        table.live !== undefined && isTable(table.live) && object.endsWith(`table "${table.path}"`),
    );
  }

  /** Once for each table. False if no operation can. */
  private protect(table: ExistingTable): boolean {
    const known = this.protectedTables.get(table);
    if (known !== undefined) return known;
    const steps = this.protectionOf(table);
    this.protectedTables.set(table, steps !== undefined);
    if (!steps) return false;
    this.together.push(...steps);
    // SQL of other findings that makes or changes these policies too would fail, or say the same again.
    for (const { name } of expectedPolicies(table)) {
      if (steps.some((step) => settles(step, name))) this.taken.add(policyKey(table.path, name));
    }
    return true;
  }

  private protectionOf(table: ExistingTable): readonly OperationStep[] | undefined {
    const roles = { appRole: this.examination.catalog.appRole.name, adminRole: table.adminRole };
    const bare = !table.live.rlsEnabled && !table.live.rlsForced && table.live.policies.length === 0;
    // What its policies should be called is known only of tables that entities declare.
    if (table.recognised) return bare ? [protectionStep(table.declared, roles)] : undefined;
    return refusedAsUndefined(() => policyDifference(table, this.examination.catalog, roles).steps);
  }

  /** The operation refuses while rows have no tenant, and says so. */
  private takeNotNull({ path, declared: { tenantColumn } }: ExistingTable): boolean {
    const step = operationStep('notNull', 'validate', { table: path, column: tenantColumn });
    this.apart.push({ ...step, table: pathOf(path.split('.')) });
    return true;
  }

  private takeSql({ fix }: Finding): boolean {
    const planned = refusedAsUndefined(() => this.planSql(fix));
    if (!planned) return false;
    for (const { step, apart } of planned) {
      const key = keyOf(step);
      if (this.taken.has(key)) continue;
      this.taken.add(key);
      if (apart) this.apart.push(step);
      else this.together.push(runSqlStep(step));
    }
    return true;
  }

  /** Undefined if the fix is not to be run as it stands. @throws RlsConfigurationError if it cannot be put into files. */
  private planSql(fix: string): { step: SqlStep; apart: boolean }[] | undefined {
    const statements = statementsOf(fix);
    if (statements === undefined) return undefined;
    const { steps } = pairStatements(statements, []);
    const undoable = steps.every(({ down }) => down.length > 0);
    const planned = steps.map((step) => {
      const apart = isApart(parseStatement(step.up).node);
      return { step: apart || undoable ? step : { ...step, down: [STAYS] }, apart };
    });
    splitSteps(
      planned.filter(({ apart }) => apart).map(({ step }) => step),
      this.facts,
    );
    return planned;
  }
}

/** Undefined for a table whose policies are not those that the operation expects. */
function sealingStep(table: ExistingTable, catalog: Catalog): OperationStep | undefined {
  const { declared, live } = table;
  const plain = { ...table, declared: { ...declared, sealed: false } };
  const isPlain = expectedPolicies(plain)
    .filter(({ role }) => role === undefined)
    .every((expected) => {
      const found = live.policies.find(({ name }) => name === expected.name);
      return found && differencesOf(found, expected, plain, catalog).length === 0;
    });
  if (!isPlain) return undefined;
  const { tenantColumn, ...options } = tenantOptions(plain.declared);
  const reading = readingOptionsOf(declared);
  if (declared.kind === 'entity')
    return structureStep(table.path, 'sealTable', [
      { table: table.path, tenantColumn, ...options, ...reading },
    ]);
  const joinTable = table.path;
  return structureStep(joinTable, 'sealJoinTable', [
    declared.sides
      ? { joinTable, form: 'exists', sides: declared.sides, ...options }
      : { joinTable, tenantColumn, ...options, ...reading },
  ]);
}

/** Every operation but runSql is about all policies of its table. */
function settles({ code, imports }: OperationStep, policyName: string): boolean {
  return imports[0] !== 'runSql' || code.includes(policyName);
}

/** What the generator refuses is for a person to do. */
function refusedAsUndefined<Result>(work: () => Result): Result | undefined {
  try {
    return work();
  } catch (error) {
    if (error instanceof RlsConfigurationError) return undefined;
    throw error;
  }
}

function runSqlStep({ up, down }: SqlStep): OperationStep {
  return structureStep(parseStatement(up).table ?? 'objects', 'runSql', [up, down.join(';\n')]);
}

/** Two findings may have the same policy made or changed; the worse one's fix comes first and is enough. */
function keyOf({ up }: SqlStep): string {
  const { node, table } = parseStatement(up);
  const statement =
    'CreatePolicyStmt' in node
      ? node.CreatePolicyStmt
      : 'AlterPolicyStmt' in node
        ? node.AlterPolicyStmt
        : undefined;
  return statement ? policyKey(qualified(table ?? ''), statement.policy_name ?? '') : up;
}

function policyKey(table: string, name: string): string {
  return JSON.stringify(['policy', table, name]);
}

/**
 * The statements of a fix, if a migration can run it as it stands: it is nothing but SQL, and of kinds that the owner of
 * the tables may run. A comment in it is something to decide first.
 */
function statementsOf(fix: string): string[] | undefined {
  if (/^\s*--/m.test(fix)) return undefined;
  let parsed;
  try {
    parsed = parseSync(fix);
  } catch {
    return undefined;
  }
  const own = (parsed.stmts ?? []).filter(({ stmt }) => stmt && !('TransactionStmt' in stmt));
  if (own.length === 0 || !own.every(({ stmt }) => isForMigration(stmt!))) return undefined;
  return own.map(({ stmt_location: start = 0, stmt_len: length }) =>
    sliceBytes(fix, start, length === undefined || length === 0 ? undefined : start + length)
      .replace(/;\s*$/, '')
      .trim(),
  );
}

/** Roles and the database itself are not the migration role's to change; and nothing is dropped that holds data or code. */
function isForMigration(node: Node): boolean {
  if ('DropStmt' in node) {
    return ['OBJECT_POLICY', 'OBJECT_INDEX'].includes(node.DropStmt.removeType ?? '');
  }
  if ('GrantStmt' in node) return node.GrantStmt.objtype !== 'OBJECT_DATABASE';
  return FOR_MIGRATION.some((kind) => kind in node);
}

const FOR_MIGRATION = [
  'AlterDefaultPrivilegesStmt',
  'AlterFunctionStmt',
  'AlterPolicyStmt',
  'AlterTableStmt',
  'CreatePolicyStmt',
  'IndexStmt',
] as const;

/** What locks a table in use if it runs among the rest. */
function isApart(node: Node): boolean {
  if ('IndexStmt' in node) return true;
  if ('DropStmt' in node) return node.DropStmt.removeType === 'OBJECT_INDEX';
  if (!('AlterTableStmt' in node)) return false;
  return (node.AlterTableStmt.cmds ?? []).some(
    (cmd) =>
      'AlterTableCmd' in cmd &&
      /Constraint$|^AT_SetNotNull$|^AT_AlterColumnType$/.test(cmd.AlterTableCmd.subtype ?? ''),
  );
}

function factsOf({ catalog, context }: Examination): SchemaFacts {
  const partitioned = new Set(
    (catalog.database?.relations ?? [])
      .filter(({ kind }) => kind === 'p')
      .map(({ schema, name }) => `${schema}.${name}`),
  );
  const paths = new Set(context.tables.map(({ path }) => path));
  return {
    exists: () => true,
    isPartitioned: (table) => partitioned.has(qualified(table)),
    isTenantTable: (table) => paths.has(qualified(table)),
  };
}

/** How the parser's names of tables in `public` are written. */
function qualified(table: string): string {
  return table.includes('.') ? table : `public.${table}`;
}
