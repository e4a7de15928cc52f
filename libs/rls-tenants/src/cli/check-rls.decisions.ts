import { readFile, writeFile } from 'node:fs/promises';
import {
  AUDIT_RULES,
  baselineText,
  judgeReport,
  NO_CONFIGURATION,
  parseBaseline,
  parseConfiguration,
  PROBE_RULES,
  type AuditConfiguration,
  type AuditOptions,
  type AuditReport,
  type BaselineEntry,
  type Severity,
} from '../audit/index.js';
import { isAtLeast, type JudgedReport } from '../audit/report.js';
import { RlsConfigurationError } from '../errors.js';

/** The configuration file that is read where none is named. */
export const DEFAULT_CONFIGURATION_FILE = 'rls-tenants.config.json';

/** Where a project's decisions are, and how a run is judged. */
export interface DecisionOptions {
  /** A configuration file. Default: {@link DEFAULT_CONFIGURATION_FILE}, if there is one. */
  config?: string | undefined;
  /** A file of findings that were there before. */
  baseline?: string | undefined;
  /** Writes what is found into the baseline. */
  updateBaseline?: boolean | undefined;
  /** Default `'info'`. */
  minSeverity?: Severity | undefined;
  /** Default `'error'`. */
  failOn?: Severity | undefined;
}

/** A project's decisions, read. */
export interface Decisions extends DecisionOptions {
  readonly configuration: AuditConfiguration;
  readonly entries: readonly BaselineEntry[];
}

/**
 * Reads the configuration file and the baseline.
 *
 * @throws RlsConfigurationError if one of them is missing or malformed, or if options contradict each other.
 */
export async function readDecisions(options: DecisionOptions): Promise<Decisions> {
  const { baseline, updateBaseline, minSeverity = 'info', failOn = 'error' } = options;
  if (updateBaseline && baseline === undefined) {
    throw new RlsConfigurationError(
      '--update-baseline is given, and no --baseline.',
      'Name the file to write: --baseline rls-baseline.json --update-baseline.',
    );
  }
  if (!isAtLeast(failOn, minSeverity)) {
    throw new RlsConfigurationError(
      `Findings of severity ${failOn} fail the audit, and --min-severity ${minSeverity} would not show them.`,
      `Give --fail-on ${minSeverity} as well, or a lower --min-severity.`,
    );
  }
  return {
    ...options,
    configuration: await readConfiguration(options.config),
    entries: baseline === undefined ? [] : await readBaseline(baseline, updateBaseline === true),
  };
}

/** The options of an audit that runs no rule which the configuration turns off; one that is asked for runs. */
export function withConfiguredRules(options: AuditOptions, { configuration }: Decisions): AuditOptions {
  const off = AUDIT_RULES.map(({ id }) => id).filter((id) => configuration.severities.get(id) === 'off');
  const asked = options.rules ?? [];
  return {
    ...options,
    excludeRules: [...(options.excludeRules ?? []), ...off.filter((id) => !asked.includes(id))],
  };
}

/** Judges a report by the decisions, after writing the baseline where that is asked for. */
export async function decide(report: AuditReport, decisions: Decisions): Promise<JudgedReport> {
  const { configuration, minSeverity, failOn, baseline, updateBaseline } = decisions;
  if (!updateBaseline || baseline === undefined) {
    return judgeReport(report, { configuration, baseline: decisions.entries, minSeverity, failOn });
  }
  const open = judgeReport(report, { configuration }).findings;
  const ran = new Set(report.rules.map(({ id }) => id));
  // What was not looked at may still be there.
  const kept = decisions.entries.filter(({ ruleId }) => !ran.has(ruleId));
  const text = baselineText([...kept, ...open]);
  await writeFile(baseline, text);
  return judgeReport(report, {
    configuration,
    baseline: parseBaseline(text, baseline),
    minSeverity,
    failOn,
  });
}

async function readConfiguration(file: string | undefined): Promise<AuditConfiguration> {
  const text = await readText(file ?? DEFAULT_CONFIGURATION_FILE);
  const ruleIds = new Set([...AUDIT_RULES, ...PROBE_RULES].map(({ id }) => id));
  if (text !== undefined) return parseConfiguration(text, file ?? DEFAULT_CONFIGURATION_FILE, ruleIds);
  if (file === undefined) return NO_CONFIGURATION;
  throw new RlsConfigurationError(
    `There is no configuration file ${file}.`,
    'Name one, or leave --config out.',
  );
}

async function readBaseline(file: string, mayBeMissing: boolean): Promise<BaselineEntry[]> {
  const text = await readText(file);
  if (text !== undefined) return parseBaseline(text, file);
  if (mayBeMissing) return [];
  throw new RlsConfigurationError(`There is no baseline ${file}.`, 'Write it with --update-baseline.');
}

async function readText(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
