import { readFile } from 'node:fs/promises';
import type { DataSource } from 'typeorm';
import {
  consolidate,
  parseMapping,
  planConsolidation,
  verifyConsolidation,
  type ConsolidationOptions,
  type SchemaMapping,
  type Verification,
} from '../consolidate/index.js';
import { RlsConfigurationError } from '../errors.js';
import { checkMigratable } from '../migrations/migration-data-source.js';
import { explain, type CliOutput } from './cli-output.js';
import { appliedText, planText, problemsText, verifiedText } from './consolidate-schemas.report.js';
import { ExitCode } from './exit-code.js';

/** How `consolidate-schemas` is called. Exactly one of `mapping` and `pattern` says whose rows each schema holds. */
export interface ConsolidateSchemasOptions extends Omit<ConsolidationOptions, 'mapping' | 'tables'> {
  /** A JSON file: `{"schema": "tenant id"}`. */
  mapping?: string | undefined;
  pattern?: string | undefined;
  table?: readonly string[] | undefined;
  /** Copies; default is to say what would be copied. */
  apply?: boolean | undefined;
  /** Only compares the old schemas with what was copied. */
  verify?: boolean | undefined;
}

/**
 * Plans, copies or compares, and reports. What was found goes to stdout, what stands in the way to stderr.
 *
 * @param load gives the migration role's data source; it is initialized here if it is not yet, and destroyed in any case.
 * @returns the exit code: 1 if something is refused or differs, 2 if it could not run. It never throws.
 */
export async function consolidateSchemas(
  load: () => Promise<DataSource>,
  { mapping, pattern, table, apply, verify, ...rest }: ConsolidateSchemasOptions,
  output: CliOutput,
): Promise<ExitCode> {
  try {
    if (apply && verify) {
      throw new RlsConfigurationError(
        '--apply and --verify are both given.',
        '--apply compares what it copied; --verify does nothing else.',
      );
    }
    const options = { ...rest, tables: table, mapping: await mappingOf(mapping, pattern) };
    const dataSource = await load();
    checkMigratable(dataSource.options);
    try {
      if (!dataSource.isInitialized) await dataSource.initialize();
      return await (apply ? copy : verify ? compare : dryRun)(dataSource, options, output);
    } finally {
      if (dataSource.isInitialized) await dataSource.destroy();
    }
  } catch (error) {
    output.err(`consolidate-schemas: ${explain(error)}\n`);
    return ExitCode.CouldNotRun;
  }
}

async function mappingOf(file: string | undefined, pattern: string | undefined): Promise<SchemaMapping> {
  if ((file === undefined) === (pattern === undefined)) {
    throw new RlsConfigurationError(
      `${file === undefined ? 'Neither' : 'Both'} of --mapping and --pattern ${file === undefined ? 'is' : 'are'} given.`,
      "Say whose rows each schema holds in one way: --mapping tenants.json or --pattern 'tenant_{id}'.",
    );
  }
  return pattern === undefined ? parseMapping(await readFile(file!, 'utf8'), file!) : { pattern };
}

async function dryRun(
  dataSource: DataSource,
  options: ConsolidationOptions,
  output: CliOutput,
): Promise<ExitCode> {
  const plan = await planConsolidation(dataSource, options);
  output.out(planText(plan, output));
  output.err(problemsText(plan, output));
  if (plan.problems.length > 0) return ExitCode.Findings;
  output.out('Nothing was written. Run it again with --apply.\n');
  return ExitCode.Ok;
}

async function copy(
  dataSource: DataSource,
  options: ConsolidationOptions,
  output: CliOutput,
): Promise<ExitCode> {
  const { plan, rows, verified } = await consolidate(dataSource, options);
  if (!verified) {
    output.err(problemsText(plan, output));
    return ExitCode.Findings;
  }
  output.out(appliedText(plan, rows));
  return report(verified, output);
}

async function compare(
  dataSource: DataSource,
  options: ConsolidationOptions,
  output: CliOutput,
): Promise<ExitCode> {
  const { plan, verified } = await verifyConsolidation(dataSource, options);
  if (verified) return report(verified, output);
  output.err(problemsText(plan, output));
  return ExitCode.Findings;
}

function report(verified: readonly Verification[], output: CliOutput): ExitCode {
  const failed = verified.some(({ same }) => !same);
  output[failed ? 'err' : 'out'](verifiedText(verified, output));
  return failed ? ExitCode.Findings : ExitCode.Ok;
}
