import type { DataSource, QueryRunner } from 'typeorm';
import { auditTables } from '../audit/index.js';
import { withoutTenant } from '../context/tenant-context.js';
import { tenantTablesOf } from '../entities/index.js';
import { RlsConfigurationError } from '../errors.js';
import { explain, type CliOutput } from './cli-output.js';
import { initializeUntouched } from './data-source-file.js';
import { ExitCode } from './exit-code.js';
import {
  explanationOf,
  planJoinTables,
  type JoinTablePlan,
  type JoinTableRoles,
} from './setup-m2m-rls.plan.js';
import { recorded } from './setup-m2m-rls.recorder.js';
import {
  policiesText,
  protectedText,
  refusedText,
  totalText,
  type JoinTableOutcome,
} from './setup-m2m-rls.report.js';

/** What `setup-m2m-rls` is told. */
export interface SetupM2mRlsOptions {
  /** The login that serves requests: policies and grants are for it. */
  appRole?: string | undefined;
  /** The role whose policies see all rows. */
  adminRole?: string | undefined;
  /** Shows what would be done and changes nothing. */
  dryRun?: boolean | undefined;
  /** Shows the SQL that was run, and each join table's live policies afterwards. */
  verbose?: boolean | undefined;
}

/** Whoever queues behind a lock that is waited for waits as long. */
const LOCK_TIMEOUT = '2s';

/**
 * Protects the join tables that the audit finds bare, each in a transaction of its own, and reports. What is done goes to
 * stdout, what is not and why to stderr. Counterpart of django-rls-tenants' `setup_m2m_rls`.
 *
 * @param load gives the migration role's data source; it is initialized here if it is not yet, and destroyed in any case.
 * @returns the exit code: 1 if a join table stays unprotected, 2 if it could not run. It never throws.
 */
export async function setupM2mRls(
  load: () => Promise<DataSource>,
  options: SetupM2mRlsOptions,
  output: CliOutput,
): Promise<ExitCode> {
  try {
    const roles = rolesOf(options);
    const dataSource = await load();
    if (!dataSource.isInitialized) await initializeUntouched(dataSource);
    try {
      return await withoutTenant(() => protectAll(dataSource, roles, options, output));
    } finally {
      await dataSource.destroy();
    }
  } catch (error) {
    output.err(`setup-m2m-rls could not run: ${explain(error)}\n`);
    return ExitCode.CouldNotRun;
  }
}

function rolesOf({ appRole, adminRole }: SetupM2mRlsOptions): JoinTableRoles {
  if (appRole !== undefined) return { appRole, adminRole };
  throw new RlsConfigurationError(
    'No --app-role is given, and protected tables are granted to the login that serves requests.',
    'Name it: --app-role app.',
  );
}

async function protectAll(
  dataSource: DataSource,
  roles: JoinTableRoles,
  { dryRun = false, verbose = false }: SetupM2mRlsOptions,
  output: CliOutput,
): Promise<ExitCode> {
  const queryRunner = dataSource.createQueryRunner('master');
  try {
    // The connection is closed afterwards.
    await queryRunner.query(`SELECT set_config('lock_timeout', $1, false)`, [LOCK_TIMEOUT]);
    const plans = await planJoinTables(queryRunner, dataSource, roles);
    const outcomes: JoinTableOutcome[] = [];
    for (const plan of plans) {
      const outcome = await carryOut(queryRunner, plan, dryRun);
      if (outcome.state === 'refused') output.err(refusedText(outcome, output));
      else output.out(protectedText(outcome, dryRun || verbose, output));
      outcomes.push(outcome);
    }
    if (verbose) output.out(`\n${await livePolicies(queryRunner, dataSource, roles, output)}`);
    output.out(
      plans.length === 0
        ? 'There are no join tables among the tenant-scoped entities.\n'
        : totalText(outcomes, dryRun),
    );
    return outcomes.some(({ state }) => state === 'refused') ? ExitCode.Findings : ExitCode.Ok;
  } finally {
    await queryRunner.release();
  }
}

/** A failure is rolled back, and is this table's alone. */
async function carryOut(
  queryRunner: QueryRunner,
  plan: JoinTablePlan,
  dryRun: boolean,
): Promise<JoinTableOutcome> {
  if (plan.state !== 'bare') return plan;
  const { table, how, operation } = plan;
  const recorder = recorded(queryRunner, { dryRun });
  await queryRunner.startTransaction();
  try {
    if (dryRun) await queryRunner.query('SET TRANSACTION READ ONLY');
    await operation.up(recorder.queryRunner);
    await queryRunner.commitTransaction();
    return { table, how, state: dryRun ? 'planned' : 'applied', statements: recorder.statements };
  } catch (error) {
    await queryRunner.rollbackTransaction();
    return { table, state: 'refused', ...explanationOf(error) };
  }
}

async function livePolicies(
  queryRunner: QueryRunner,
  dataSource: DataSource,
  { appRole, adminRole }: JoinTableRoles,
  output: CliOutput,
): Promise<string> {
  const { tables } = await auditTables(
    (sql, parameters) => queryRunner.query(sql, parameters),
    tenantTablesOf(dataSource),
    { role: appRole, adminRole, scope: 'declared' },
  );
  return tables
    .filter(({ kind }) => kind === 'join-table')
    .map((table) => policiesText(table, output))
    .join('');
}
