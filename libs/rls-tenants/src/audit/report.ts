import { isExpired, matches, type AllowEntry } from './allow-list.js';
import type { AuditReport, SkippedRule } from './audit.js';
import { fingerprint, type BaselineEntry } from './baseline.js';
import { NO_CONFIGURATION, type AuditConfiguration } from './configuration.js';
import { SEVERITIES, sortFindings, type Finding, type Severity } from './finding.js';

/** A finding that does not count, and who said so. */
export interface AcceptedFinding {
  readonly finding: Finding;
  readonly by: 'allow-list' | 'baseline';
  /** Of the allow list. */
  readonly reason?: string | undefined;
  /** The last day on which it is accepted. */
  readonly expires?: string | undefined;
}

/** A report after a project's own decisions. Its `findings` are those that count. */
export interface JudgedReport extends AuditReport {
  readonly accepted: readonly AcceptedFinding[];
  /** How many findings are below the minimum severity. */
  readonly belowMinimum: number;
  /** Findings of this severity and worse fail the audit. */
  readonly failOn: Severity;
  /** What is wrong with the decisions: entries that match nothing any more. */
  readonly notes: readonly string[];
}

/** A project's decisions, and how this run is judged. */
export interface Judgement {
  readonly configuration?: AuditConfiguration | undefined;
  readonly baseline?: readonly BaselineEntry[] | undefined;
  /** Findings below it are counted and not shown. Default `'info'`. */
  readonly minSeverity?: Severity | undefined;
  /** Findings of this severity and worse fail the audit. Default `'error'`. */
  readonly failOn?: Severity | undefined;
  /** In UTC, `2026-11-21`. Default: the day it is. */
  readonly today?: string | undefined;
}

/**
 * Applies a configuration and a baseline to a report: severities, then the allow list, then the baseline. What is accepted
 * is kept apart and never dropped. A finding whose allow list entry has expired is a finding again, and says so.
 */
export function judgeReport(report: AuditReport, judgement: Judgement = {}): JudgedReport {
  const { configuration = NO_CONFIGURATION, baseline = [] } = judgement;
  const { minSeverity = 'info', failOn = 'error' } = judgement;
  const { today = new Date().toISOString().slice(0, 10) } = judgement;
  const severityOf = (id: string, severity: Severity) => {
    const configured = configuration.severities.get(id);
    return configured === undefined || configured === 'off' ? severity : configured;
  };
  const isOff = (id: string) => configuration.severities.get(id) === 'off';
  const found = report.findings
    .filter(({ ruleId }) => !isOff(ruleId))
    .map((finding) => ({ ...finding, severity: severityOf(finding.ruleId, finding.severity) }));
  const known = new Map(baseline.map((entry) => [fingerprint(entry), entry]));
  const judged = found.map((finding) => judge(finding, configuration.allow, known, today));
  const open = judged.flatMap((one) => ('accepted' in one ? [] : [one.finding]));
  const shown = open.filter(({ severity }) => isAtLeast(severity, minSeverity));
  return {
    ...report,
    findings: sortFindings(shown),
    rules: report.rules
      .filter(({ id }) => !isOff(id))
      .map((rule) => ({ ...rule, severity: severityOf(rule.id, rule.severity) })),
    skipped: [...report.skipped, ...report.rules.filter(({ id }) => isOff(id))]
      .map((rule) => (isOff(rule.id) ? { ...rule, reason: OFF } : (rule as SkippedRule)))
      .sort((a, b) => (a.id < b.id ? -1 : 1)),
    accepted: judged.flatMap((one) => ('accepted' in one ? [one.accepted] : [])),
    belowMinimum: open.length - shown.length,
    failOn,
    notes: staleNotes(found, report, configuration.allow, baseline),
  };
}

const OFF = 'The configuration file turns it off.';

/** True for findings that fail the audit they are of. */
export function fails({ severity }: Pick<Finding, 'severity'>, { failOn }: JudgedReport): boolean {
  return isAtLeast(severity, failOn);
}

/** True if a severity is the other one or worse. */
export function isAtLeast(severity: Severity, other: Severity): boolean {
  return SEVERITIES.indexOf(severity) <= SEVERITIES.indexOf(other);
}

function judge(
  finding: Finding,
  allow: readonly AllowEntry[],
  baseline: ReadonlyMap<string, BaselineEntry>,
  today: string,
): { accepted: AcceptedFinding } | { finding: Finding } {
  const entries = allow.filter((entry) => matches(entry, finding));
  const valid = entries.find((entry) => !isExpired(entry, today));
  if (valid) {
    const { reason, expires } = valid;
    return { accepted: { finding, by: 'allow-list', reason, expires } };
  }
  const [expired] = entries;
  // Somebody wanted to look again on this day; a baseline does not decide that for them.
  if (expired) return { finding: { ...finding, message: `${finding.message} ${expiredText(expired)}` } };
  const before = baseline.get(fingerprint(finding));
  // What got worse is news.
  return before && isAtLeast(before.severity, finding.severity)
    ? { accepted: { finding, by: 'baseline' } }
    : { finding };
}

function expiredText({ expires, reason }: AllowEntry): string {
  return `The allow list accepted it until ${expires} (${reason}): that entry has expired.`;
}

/** Only of rules that ran: the others cannot have found anything. */
function staleNotes(
  found: readonly Finding[],
  { rules }: AuditReport,
  allow: readonly AllowEntry[],
  baseline: readonly BaselineEntry[],
): string[] {
  const ran = new Set(rules.map(({ id }) => id));
  const staleAllow = allow.filter(
    (entry) => ran.has(entry.rule) && !found.some((finding) => matches(entry, finding)),
  );
  const present = new Set(found.map(fingerprint));
  const gone = baseline.filter((entry) => ran.has(entry.ruleId) && !present.has(fingerprint(entry)));
  return [
    ...staleAllow.map(
      ({ rule, object }) => `The allow list accepts ${rule} of ${object}, which nothing matches: remove it.`,
    ),
    ...gone.map(
      ({ ruleId, object }) =>
        `The baseline has ${ruleId} of ${object}, which is no longer found: --update-baseline removes it.`,
    ),
  ];
}
