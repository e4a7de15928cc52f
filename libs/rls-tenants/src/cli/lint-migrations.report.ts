import { LINT_RULES, type LintFinding, type LintReport } from '../lint/index.js';
import { paint, severityStyle, type CliOutput } from './cli-output.js';

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
      return `${JSON.stringify(sarif(report), null, 2)}\n`;
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
  const commands = report.findings.map((finding) => {
    const place = `file=${property(finding.file)},line=${finding.line},col=${finding.column}`;
    const title = property(`${finding.ruleId} ${finding.title}`);
    return `::${finding.severity} ${place},title=${title}::${data(`${finding.message}\nFix: ${finding.fix}`)}\n`;
  });
  return [...commands, ...notes(report).map((note) => `::notice::${data(note)}\n`)].join('');
}

function data(text: string): string {
  return text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
}

function property(text: string): string {
  return data(text).replaceAll(':', '%3A').replaceAll(',', '%2C');
}

/** The rules as SARIF describes them: GitHub shows `help` beside an alert, and refuses rules without descriptions. */
function sarifRules({ findings }: LintReport): object[] {
  const own = LINT_RULES.map(({ id, title, severity, reason }) => ({
    ...described(id, title, reason, `The page of the rule is ${DOCUMENTATION}/${id}.md.`),
    defaultConfiguration: { level: severity },
  }));
  const ofSquawk = new Map(
    findings
      .filter(({ ruleId }) => ruleId.startsWith('squawk/'))
      .map(({ ruleId, title }) => [
        ruleId,
        described(ruleId, title, title, `${SQUAWK_DOCUMENTATION}/${title}`),
      ]),
  );
  return [...own, ...ofSquawk.values()];
}

function described(id: string, name: string, description: string, help: string): object {
  const text = { text: description };
  return { id, name, shortDescription: text, fullDescription: text, help: { text: help } };
}

/** SARIF 2.1.0, with a place for each finding, relative to the directory that the command runs in. */
function sarif(report: LintReport): object {
  const rules = sarifRules(report);
  const results = report.findings.map(({ ruleId, severity, message, fix, file, line, column }) => ({
    ruleId,
    level: severity,
    message: { text: `${message}\nFix: ${fix}` },
    locations: [
      {
        physicalLocation: {
          artifactLocation: { uri: encodeURI(file.replaceAll('\\', '/')), uriBaseId: '%SRCROOT%' },
          region: { startLine: line, startColumn: column },
        },
      },
    ],
  }));
  const notifications = notes(report).map((text) => ({ level: 'note', message: { text } }));
  return {
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: [
      {
        tool: { driver: { name: 'rls-tenants lint-migrations', rules } },
        columnKind: 'utf16CodeUnits',
        invocations: [{ executionSuccessful: true, toolExecutionNotifications: notifications }],
        results,
      },
    ],
  };
}

function indent(text: string, margin: string): string {
  return text
    .split('\n')
    .map((line) => (line === '' ? line : `${margin}${line}`))
    .join('\n');
}
