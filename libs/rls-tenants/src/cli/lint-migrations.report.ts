import { LINT_RULES, type LintFinding, type LintReport } from '../lint/index.js';
import { paint, severityStyle, type CliOutput } from './cli-output.js';
import { sarifPlace, sarifRule, sarifText } from './sarif.js';
import { workflowCommand } from './workflow-command.js';

/** How `lint-migrations` writes what it found. */
export const LINT_FORMATS = ['text', 'json', 'sarif', 'github'] as const;

export type LintFormat = (typeof LINT_FORMATS)[number];

const DOCUMENTATION = 'docs/lint';
const SQUAWK_DOCUMENTATION = 'https://squawkhq.com/docs';

/** The report in a format. */
export function lintReportText(
  report: LintReport,
  format: LintFormat,
  colors: Pick<CliOutput, 'colors'>,
): string {
  switch (format) {
    case 'text':
      return textReport(report, colors);
    case 'json':
      return `${JSON.stringify({ ok: !hasErrors(report), ...report }, null, 2)}\n`;
    case 'sarif':
      return sarif(report);
    case 'github':
      return githubReport(report);
  }
}

/** True if a finding fails the lint. */
export function hasErrors({ findings }: LintReport): boolean {
  return findings.some(({ severity }) => severity === 'error');
}

/** One finding: the place, the rule, why, and the correction. */
export function lintFindingText(finding: LintFinding, colors: Pick<CliOutput, 'colors'>): string {
  const { file, line, column, ruleId, title, severity, message, fix, files = [] } = finding;
  const head = `${file}:${line}:${column} ${ruleId} ${title} (${severity})`;
  const corrected = files.map(
    ({ name, text }) => `  Corrected: ${name}\n${indent(text.trimEnd(), '    ')}\n`,
  );
  return [
    `${paint(colors, severityStyle(severity), head)}\n  ${message}\n`,
    `  Fix: ${indent(fix, '       ').trimStart()}\n`,
    ...corrected,
  ].join('');
}

function textReport(report: LintReport, colors: Pick<CliOutput, 'colors'>): string {
  const findings = report.findings.map((finding) => `${lintFindingText(finding, colors)}\n`);
  const errors = report.findings.filter(({ severity }) => severity === 'error').length;
  const found = `${errors} error(s), ${report.findings.length - errors} warning(s)`;
  return [...findings, ...notes(report).map((note) => `${note}\n`), `${found}\n`].join('');
}

/** What was read and what was not, so that silence is not taken for more than it is. */
function notes({ coverage, skipped }: LintReport): string[] {
  const { files, migrations, statements, operations, unanalyzable, suppressed } = coverage;
  return [
    `Read ${files} file(s), ${migrations} migration(s): ${statements} statement(s), ${operations} operation(s) of the library, ${unanalyzable} that cannot be read; ${suppressed} finding(s) suppressed.`,
    ...skipped.map((one) => `Skipped ${one}`),
  ];
}

/** Workflow commands, which GitHub shows beside the line. */
function githubReport(report: LintReport): string {
  const commands = report.findings.map(({ ruleId, title, severity, message, fix, file, line, column }) =>
    workflowCommand(
      severity,
      { file, line, col: column, title: `${ruleId} ${title}` },
      `${message}\nFix: ${fix}`,
    ),
  );
  return [...commands, ...notes(report).map((note) => workflowCommand('notice', {}, note))].join('');
}

/** The rules as SARIF describes them. */
function sarifRules({ findings }: LintReport): object[] {
  const own = LINT_RULES.map(({ id, title, severity, reason }) => ({
    ...sarifRule(id, title, reason, `The page of the rule is ${DOCUMENTATION}/${id}.md.`),
    defaultConfiguration: { level: severity },
  }));
  const ofSquawk = new Map(
    findings
      .filter(({ ruleId }) => ruleId.startsWith('squawk/'))
      .map(({ ruleId, title }) => [
        ruleId,
        sarifRule(ruleId, title, title, `${SQUAWK_DOCUMENTATION}/${title}`),
      ]),
  );
  return [...own, ...ofSquawk.values()];
}

/** SARIF 2.1.0, with a place for each finding. */
function sarif(report: LintReport): string {
  return sarifText({
    name: 'rls-tenants lint-migrations',
    rules: sarifRules(report),
    results: report.findings.map(({ ruleId, severity, message, fix, file, line, column }) => ({
      ruleId,
      level: severity,
      message: { text: `${message}\nFix: ${fix}` },
      locations: [{ physicalLocation: sarifPlace(file, line, column) }],
    })),
    notifications: notes(report).map((text) => ({ level: 'note', text })),
  });
}

function indent(text: string, margin: string): string {
  return text
    .split('\n')
    .map((line) => (line === '' ? line : `${margin}${line}`))
    .join('\n');
}
