import type { DataSource } from 'typeorm';
import {
  auditDatabase,
  auditDataSource,
  isFailure,
  type AuditOptions,
  type AuditReport,
} from '../audit/index.js';
import { findingsText, jsonText, tablesText, verifiedText } from './check-rls.report.js';
import { explain, type CliOutput } from './cli-output.js';
import { initializeUntouched } from './data-source-file.js';
import { ExitCode } from './exit-code.js';

/** How `check-rls` shows what it found. */
export interface CheckRlsOptions extends AuditOptions {
  /** Shows each policy's live expressions. */
  verbose?: boolean | undefined;
  /** Writes nothing unless something is found; wins over `verbose`. */
  quiet?: boolean | undefined;
  format?: 'text' | 'json' | undefined;
  /** Connection string of a database whose entities are not at hand: its tenant tables are recognised. */
  url?: string | undefined;
}

/**
 * Audits a data source and reports. The report goes to stdout; findings in text form and errors go to stderr.
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
    const report = await auditOnce(await load(), options);
    const failed = report.findings.some(isFailure);
    write(report, failed, options, output);
    return failed ? ExitCode.Findings : ExitCode.Ok;
  } catch (error) {
    output.err(`check-rls could not check: ${explain(error)}\n`);
    return ExitCode.CouldNotRun;
  }
}

function write(
  report: AuditReport,
  failed: boolean,
  { quiet, verbose, format }: CheckRlsOptions,
  output: CliOutput,
): void {
  if (format === 'json') {
    if (failed || !quiet) output.out(jsonText(report));
    return;
  }
  if (!quiet) output.out(tablesText(report, verbose ?? false, output));
  if (failed || !quiet) output.err(findingsText(report, output));
  if (!failed && !quiet) output.out(verifiedText(report, output));
}

async function auditOnce(dataSource: DataSource, { url, ...options }: CheckRlsOptions): Promise<AuditReport> {
  if (!dataSource.isInitialized) await initializeUntouched(dataSource);
  try {
    return await (url === undefined ? auditDataSource : auditDatabase)(dataSource, options);
  } finally {
    await dataSource.destroy();
  }
}
