import { formatFinding, isFailure, type AuditReport, type ReportedTable } from '../audit/index.js';
import { paint, severityStyle, type CliOutput } from './cli-output.js';

type Colors = Pick<CliOutput, 'colors'>;

/** Every table with its policies; with `verbose`, each policy's live expressions as well. */
export function tablesText(report: AuditReport, verbose: boolean, colors: Colors): string {
  const section = (title: string, kind: ReportedTable['kind']) => {
    const tables = report.tables.filter((table) => table.kind === kind);
    return tables.length === 0
      ? ''
      : `${paint(colors, 'bold', title)}\n${tables.map((table) => tableText(table, verbose, colors)).join('')}\n`;
  };
  const subject = `Role "${report.role}" on database "${report.database}" (PostgreSQL ${report.serverVersion})`;
  return `${subject}\n\n${section('Tenant-scoped tables:', 'entity')}${section('Join tables:', 'join-table')}${section('Tables that no entity declares:', 'recognised')}`;
}

function tableText(
  { entityName, table, exists, policies }: ReportedTable,
  verbose: boolean,
  colors: Colors,
): string {
  const names = policies.map(({ name }) => name).join(', ');
  const line = `  ${entityName} (${table}): ${exists ? names || paint(colors, 'red', 'no policies') : paint(colors, 'red', 'does not exist')}\n`;
  if (!verbose) return line;
  const details = policies.map(({ name, command, permissive, roles, using, withCheck }) => {
    const kind = permissive ? '' : ' RESTRICTIVE';
    const head = `    ${name} [${command}]${kind} TO ${roles.join(', ')}\n`;
    const clauses = [
      ['USING', using],
      ['WITH CHECK', withCheck],
    ] as const;
    const lines = clauses
      .filter(([, text]) => text !== null)
      .map(([clause, text]) => paint(colors, 'dim', `      ${clause} ${oneLine(text!)}`) + '\n');
    return head + lines.join('');
  });
  return line + details.join('');
}

/** Every finding, worst first, under its number. */
export function findingsText({ findings }: AuditReport, colors: Colors): string {
  if (findings.length === 0) return '';
  const texts = findings.map((finding) => {
    const [head, ...rest] = formatFinding(finding).split('\n');
    return [paint(colors, severityStyle(finding.severity), head!), ...rest].join('\n');
  });
  return `Found ${findings.length} issue(s):\n\n${texts.join('\n\n')}\n`;
}

/** The last line of an audit without failures. */
export function verifiedText({ counts }: AuditReport, colors: Colors): string {
  return `${paint(colors, 'green', `All ${counts.tables + counts.joinTables} RLS-protected tables verified.`)}\n`;
}

/** The whole report for machines. `ok` is what the exit code says. */
export function jsonText(report: AuditReport): string {
  return `${JSON.stringify({ ok: !report.findings.some(isFailure), ...report }, null, 2)}\n`;
}

function oneLine(expression: string): string {
  return expression.replaceAll(/\s+/g, ' ');
}
