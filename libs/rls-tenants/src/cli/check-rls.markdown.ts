import type { Finding, JudgedReport } from '../audit/index.js';
import { countsText, findingsByTier, remarksOf } from './check-rls.remarks.js';

/** A comment for a pull request, or a job's summary: counts, findings by tier with their fix, and what was not checked. */
export function markdownReport(report: JudgedReport): string {
  const { role, database, serverVersion, rules, skipped, tables } = report;
  const head = `## check-rls: ${countsText(report)}\n\nRole ${plain(role)} on database ${plain(database)} (PostgreSQL ${plain(serverVersion)}): ${tables.length} table(s), ${rules.length} rule(s), ${skipped.length} skipped.\n`;
  const tiers = findingsByTier(report).map(
    ({ title, findings }) => `\n### ${title}\n${findings.map(findingText).join('')}`,
  );
  const remarks = remarksOf(report).map(({ text }) => `- ${plain(text)}\n`);
  const rest = remarks.length === 0 ? '' : `\n### Not checked, accepted, stale\n\n${remarks.join('')}`;
  return `${head}${tiers.join('')}${rest}`;
}

function findingText({ ruleId, title, severity, object, message, fix }: Finding): string {
  return `\n#### ${plain(`${severity}: ${ruleId} ${title} ${object}`)}\n\n${plain(message)}\n\n${fenced(fix)}\n`;
}

/** Text that stays text: no markup, no HTML, no links, no mentions, and one line. */
function plain(text: string): string {
  return text
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/[\\`*_{}[\]()#+!|~-]/g, '\\$&')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('@', '@\u200B');
}

/** SQL in a fence that is longer than any within it. */
function fenced(sql: string): string {
  const longest = Math.max(2, ...[...sql.matchAll(/`+/g)].map(([ticks]) => ticks.length));
  const fence = '`'.repeat(longest + 1);
  return `${fence}sql\n${sql}\n${fence}`;
}
