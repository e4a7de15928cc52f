import { writeFile } from 'node:fs/promises';
import { relative } from 'node:path';
import type { DataSource } from 'typeorm';
import {
  examineDatabase,
  examineDataSource,
  fails,
  probeIsolation,
  type AuditOptions,
  type Examination,
  type JudgedReport,
  type ProbeMode,
} from '../audit/index.js';
import { SEAL_KEYS_VARIABLE, sealKeysFromEnvironment, type SealKey } from '../connection/index.js';
import { RlsConfigurationError } from '../errors.js';
import {
  decide,
  DEFAULT_CONFIGURATION_FILE,
  readDecisions,
  withConfiguredRules,
  type DecisionOptions,
} from './check-rls.decisions.js';
import { writeFix } from './check-rls.fix.js';
import { REPORT_FORMATS, type ReportFormat } from './check-rls.formats.js';
import { explain, type CliOutput } from './cli-output.js';
import { initializeUntouched } from './data-source-file.js';
import { ExitCode } from './exit-code.js';

/** What `check-rls` audits, how it judges, and how it shows what it found. */
export interface CheckRlsOptions extends AuditOptions, DecisionOptions {
  /** Shows each policy's live expressions, and each accepted finding. */
  verbose?: boolean | undefined;
  /** Writes nothing unless the audit fails; wins over `verbose`. */
  quiet?: boolean | undefined;
  /** Default `'text'`. */
  format?: ReportFormat | undefined;
  /** Writes the report to a file, and nothing to stdout. */
  output?: string | undefined;
  /** Connection string of a database whose entities are not at hand: its tenant tables are recognised. */
  url?: string | undefined;
  /** Tries as the audited role what the catalog promises. */
  probe?: ProbeMode | undefined;
  /** Two tenants that have rows, for the probe. Default: it finds them. */
  probeTenants?: readonly string[] | undefined;
  /** Writes migrations that fix what can be fixed mechanically into this directory. */
  fix?: string | undefined;
  /** The data source file, for formats that show findings beside a file. */
  dataSource?: string | undefined;
}

/**
 * Audits a data source and reports. The report goes to stdout or to a file; everything else goes to stderr.
 *
 * @param load gives the data source, which needs no entities where `url` is given; it is initialized here if it is not yet, and destroyed in any case.
 * @returns the exit code; it never throws.
 */
export async function checkRls(
  load: () => Promise<DataSource>,
  options: CheckRlsOptions,
  output: CliOutput,
): Promise<ExitCode> {
  try {
    const decisions = await readDecisions(options);
    const examination = await examine(await load(), options, withConfiguredRules(options, decisions));
    const report = await decide(examination.report, decisions);
    const failed = report.findings.some((finding) => fails(finding, report));
    await write(report, failed, options, output);
    if (options.fix !== undefined) await writeFix(report, examination, options.fix, output);
    return failed ? ExitCode.Findings : ExitCode.Ok;
  } catch (error) {
    output.err(`check-rls could not check: ${explain(error)}\n`);
    return ExitCode.CouldNotRun;
  }
}

async function write(
  report: JudgedReport,
  failed: boolean,
  options: CheckRlsOptions,
  output: CliOutput,
): Promise<void> {
  const { quiet = false, verbose = false, format = 'text', output: file } = options;
  const text = REPORT_FORMATS[format](report, {
    colors: output.colors && file === undefined,
    verbose: verbose && !quiet,
    place: relative('', options.dataSource ?? options.config ?? DEFAULT_CONFIGURATION_FILE),
  });
  if (file !== undefined) await writeFile(file, text);
  else if (failed || !quiet) output.out(text);
}

async function examine(
  dataSource: DataSource,
  { url, probe, probeTenants }: CheckRlsOptions,
  audit: AuditOptions,
): Promise<Examination> {
  if (!dataSource.isInitialized) await initializeUntouched(dataSource);
  try {
    const examination = await (url === undefined ? examineDataSource : examineDatabase)(dataSource, audit);
    checkSomethingRan(examination);
    if (probe === undefined) return examination;
    const report = await probeIsolation(dataSource, examination, {
      mode: probe,
      tenants: probeTenants,
      sealKeys: sealKeysOf(examination),
    });
    return { ...examination, report };
  } finally {
    await dataSource.destroy();
  }
}

/**
 * The keys of the application's environment, where the database asks for seals and the variable is set. There is no
 * option for them: a command line is for everybody to read.
 */
function sealKeysOf({ catalog }: Examination): readonly SealKey[] | undefined {
  if (catalog.seals.length === 0 || !process.env[SEAL_KEYS_VARIABLE]) return undefined;
  return sealKeysFromEnvironment();
}

/** An audit in which every rule was skipped says nothing, and must not look like one that found nothing. */
function checkSomethingRan({ report: { rules, skipped } }: Examination): void {
  if (rules.length > 0) return;
  const reasons = [...new Set(skipped.map(({ reason }) => reason))].join(' ');
  throw new RlsConfigurationError(
    `Nothing was checked: every rule was skipped. ${reasons}`,
    'Ask for other rules, or give what these need.',
  );
}
