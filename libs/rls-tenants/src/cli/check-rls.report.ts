import {
  describeProbe,
  fails,
  SEVERITIES,
  type AuditReport,
  type Finding,
  type JudgedReport,
  type ReportedTable,
} from '../audit/index.js';
import type { ReportView } from './check-rls.formats.js';
import { acceptedBecause, countsText, findingsByTier } from './check-rls.remarks.js';
import { paint, severityStyle, visible, visibleLine, type CliOutput } from './cli-output.js';

type Colors = Pick<CliOutput, 'colors'>;

/** The report for people: the tables, the findings by tier, what was not checked, and a line that sums it up. */
export function textReport(report: JudgedReport, view: ReportView): string {
  const parts = [
    tablesText(report, view.verbose, view),
    findingsText(report, view),
    remarksText(report, view.verbose),
    report.findings.some((finding) => fails(finding, report)) ? '' : verifiedText(report, view),
    summaryText(report, view),
  ];
  return parts.filter((part) => part !== '').join('\n');
}

/** Every table with its policies; with `verbose`, each policy's live expressions as well. */
export function tablesText(report: AuditReport, verbose: boolean, colors: Colors): string {
  const section = (title: string, kind: ReportedTable['kind']) => {
    const tables = report.tables.filter((table) => table.kind === kind);
    const names = tables.map(({ entityName, table }) => visibleLine(`${entityName} (${table}):`));
    const width = Math.max(0, ...names.map(({ length }) => length));
    const texts = tables.map((table, index) =>
      tableText(table, names[index]!.padEnd(width), verbose, colors),
    );
    return tables.length === 0 ? '' : `\n${paint(colors, 'bold', title)}\n${texts.join('')}`;
  };
  const subject = `Role "${report.role}" on database "${report.database}" (PostgreSQL ${report.serverVersion})`;
  return `${visibleLine(subject)}\n${section('Tenant-scoped tables:', 'entity')}${section('Join tables:', 'join-table')}${section('Tables that no entity declares:', 'recognised')}`;
}

function tableText(
  { exists, policies }: ReportedTable,
  name: string,
  verbose: boolean,
  colors: Colors,
): string {
  const names = visibleLine(policies.map((policy) => policy.name).join(', '));
  const line = `  ${name} ${exists ? names || paint(colors, 'red', 'no policies') : paint(colors, 'red', 'does not exist')}\n`;
  if (!verbose) return line;
  const details = policies.map((policy) => {
    const kind = policy.permissive ? '' : ' RESTRICTIVE';
    const head = `    ${policy.name} [${policy.command}]${kind} TO ${policy.roles.join(', ')}`;
    const clauses = [
      ['USING', policy.using],
      ['WITH CHECK', policy.withCheck],
    ] as const;
    const lines = clauses
      .filter(([, text]) => text !== null)
      .map(([clause, text]) => paint(colors, 'dim', `      ${clause} ${visibleLine(oneLine(text!))}`) + '\n');
    return `${visibleLine(head)}\n${lines.join('')}`;
  });
  return line + details.join('');
}

/** Every finding by its tier, the worst of each first. */
export function findingsText(report: JudgedReport, colors: Colors): string {
  const { length } = report.findings;
  if (length === 0) return '';
  const tiers = findingsByTier(report).map(
    ({ title, findings }) =>
      `\n${paint(colors, 'bold', title)}\n${findings.map((finding) => findingText(finding, colors)).join('\n')}`,
  );
  return `Found ${length} issue(s):\n${tiers.join('')}`;
}

const SEVERITY_WIDTH = Math.max(...SEVERITIES.map(({ length }) => length));
const MARGIN = ' '.repeat(SEVERITY_WIDTH + 4);

function findingText({ ruleId, title, severity, object, message, fix }: Finding, colors: Colors): string {
  const head = `  ${severity.padEnd(SEVERITY_WIDTH)}  ${ruleId} ${title} ${visibleLine(object)}`;
  const body = `${message}\nFix: ${fix.replaceAll('\n', '\n     ')}`;
  const lines = visible(body).replaceAll('\n', `\n${MARGIN}`);
  return `${paint(colors, severityStyle(severity), head)}\n${MARGIN}${lines}\n`;
}

/** What was tried; what was skipped, by reason; what was accepted; what is hidden; what is stale. */
function remarksText(
  { probe, skipped, accepted, belowMinimum, notes }: JudgedReport,
  verbose: boolean,
): string {
  const reasons = [...new Set(skipped.map(({ reason }) => reason))];
  const idsOf = (reason: string) => skipped.filter((rule) => rule.reason === reason).map(({ id }) => id);
  const lines = [
    ...(probe ? [describeProbe(probe)] : []),
    ...reasons.map((reason) => `Skipped ${idsOf(reason).join(', ')}: ${reason}`),
    ...(accepted.length === 0 ? [] : [`Accepted ${accepted.length} finding(s).`]),
    ...(verbose
      ? accepted.map((one) => `  ${one.finding.ruleId} ${one.finding.object}: ${acceptedBecause(one)}`)
      : []),
    ...(belowMinimum === 0 ? [] : [`Not shown: ${belowMinimum} finding(s) below the minimum severity.`]),
    ...notes,
  ];
  return lines.map((line) => `${visibleLine(line)}\n`).join('');
}

/** Of an audit without failures. */
export function verifiedText({ counts }: JudgedReport, colors: Colors): string {
  return `${paint(colors, 'green', `All ${counts.tables + counts.joinTables + counts.recognised} RLS-protected tables verified.`)}\n`;
}

function summaryText(report: JudgedReport, colors: Colors): string {
  const failed = report.findings.some((finding) => fails(finding, report));
  const counts = paint(colors, failed ? 'red' : 'green', countsText(report));
  return `${counts}; ${report.rules.length} rule(s) ran, ${report.skipped.length} skipped; ${report.tables.length} table(s).\n`;
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ');
}
