/** How bad a finding is, worst first. */
export const SEVERITIES = ['critical', 'error', 'warning', 'info'] as const;

/**
 * `critical`: isolation is off or can be switched off by the app role. `error`: a leak or a broken promise under
 * conditions that occur. `warning` and `info` never fail an audit.
 */
export type Severity = (typeof SEVERITIES)[number];

/** One thing that is wrong with one object of the database. */
export interface Finding {
  /** The rule that found it, for example `RLS004`. Its page is `docs/rules/RLS004.md`. */
  readonly ruleId: string;
  /** The rule's short name, for example `rls-not-enabled`. */
  readonly title: string;
  readonly severity: Severity;
  /** What it is about, for example `table "public.note"`. */
  readonly object: string;
  readonly message: string;
  /** The SQL or the command to run. */
  readonly fix: string;
}

/** True for findings that fail an audit and a boot. */
export function isFailure(finding: Finding): boolean {
  return finding.severity === 'critical' || finding.severity === 'error';
}

/** Worst first, then by rule; the order of the objects is kept. */
export function sortFindings(findings: readonly Finding[]): Finding[] {
  return [...findings].sort(
    (a, b) =>
      SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity) ||
      (a.ruleId < b.ruleId ? -1 : a.ruleId > b.ruleId ? 1 : 0),
  );
}

/** Findings as an error message or a log shows them, one after the other. */
export function formatFindings(findings: readonly Finding[]): string {
  return findings.map(formatFinding).join('\n');
}

/** One finding on several lines: what, why it matters, and what to run. */
export function formatFinding({ ruleId, title, severity, object, message, fix }: Finding): string {
  return [
    `${ruleId} ${title} (${severity}) ${object}`,
    `  ${message}`,
    `  Fix: ${indent(fix, '       ')}`,
  ].join('\n');
}

/** Indents every line but the first. */
function indent(text: string, margin: string): string {
  return text.replaceAll('\n', `\n${margin}`);
}
