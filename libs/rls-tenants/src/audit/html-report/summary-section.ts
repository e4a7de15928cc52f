import type { SkippedRule } from '../audit.js';
import { fails, type JudgedReport } from '../report.js';
import { html, plural, visible, type Html } from './html.js';
import { worstOf } from './report-model.js';
import { countBySeverity, severityCount, symbol } from './symbols.js';

/** The outcome in a sentence, which claims no more than was looked at. */
export function verdictOf(report: JudgedReport): string {
  const { findings, rules, tables } = report;
  const counts = countBySeverity(findings).filter(({ count }) => count > 0);
  const [worst] = counts;
  if (rules.length === 0) return 'Nothing was checked: no rule ran.';
  if (worst && (worst.severity === 'critical' || worst.severity === 'error')) {
    const failures = counts.filter(({ severity }) => severity === 'critical' || severity === 'error');
    const words = failures.map(({ count, severity }) => severityCount(count, severity)).join(' and ');
    return worst.severity === 'critical'
      ? `Isolation does not hold: ${words}.`
      : `Isolation leaks under conditions that occur: ${words}.`;
  }
  const hidden = uncounted(report);
  const words = counts.map(({ count, severity }) => severityCount(count, severity));
  return [
    `${plural(rules.length, 'rule')} found no leak${hidden.length > 0 ? ' that counts' : ''} in ${plural(tables.length, 'table')}.`,
    ...(words.length > 0 ? [`Besides: ${words.join(' and ')}.`] : []),
    ...(hidden.length > 0 ? [`Not counted: ${hidden.join(' and ')}.`] : []),
  ].join(' ');
}

/** What was found and is not among the findings. */
function uncounted({ accepted, belowMinimum }: JudgedReport): string[] {
  return [
    ...(accepted.length > 0 ? [`${accepted.length} accepted`] : []),
    ...(belowMinimum > 0 ? [`${belowMinimum} below the minimum severity`] : []),
  ];
}

/** Verdict, counts, what was looked at and when, and what was not. */
export function summarySection(report: JudgedReport, at: Date): Html {
  const worst = worstOf(report.findings.filter((finding) => fails(finding, report)));
  const when = at.toISOString();
  return html`<header class="summary">
    <p class="eyebrow">Tenant isolation audit</p>
    <h1 class="${worst ?? 'passed'}">${verdictOf(report)}</h1>
    <ul class="counts">
      ${countBySeverity(report.findings).map(
        ({ severity, count }) =>
          html`<li class="${count > 0 ? severity : 'none'}">
            <span class="number">${count.toLocaleString('en')}</span>
            <span class="word">${symbol(severity)}${severity}</span>
          </li>`,
      )}
    </ul>
    <dl class="facts">
      ${fact('Database', html`<code>${visible(report.database)}</code>`)}
      ${fact('Server', html`PostgreSQL ${visible(report.serverVersion)}`)}
      ${fact('Audited role', html`<code>${visible(report.role)}</code>`)}
      ${fact('When', html`<time datetime="${when}">${when.slice(0, 10)} ${when.slice(11, 16)} UTC</time>`)}
      ${fact('Tables', html`${tablesText(report)}`)}
      ${uncounted(report).length > 0 ? fact('Not counted', html`${uncounted(report).join(', ')}`) : undefined}
      ${fact('Rules', html`${report.rules.length} ran, ${report.skipped.length} did not`)}
    </dl>
    ${report.notes.map((note) => html`<p class="note">${visible(note)}</p>`)}
    ${report.skipped.length > 0 ? skippedRules(report.skipped) : undefined}
  </header>`;
}

function fact(term: string, value: Html): Html {
  return html`<div>
    <dt>${term}</dt>
    <dd>${value}</dd>
  </div>`;
}

function tablesText({ counts, tables }: JudgedReport): string {
  const partitions = tables.reduce((sum, table) => sum + table.partitions.length, 0);
  return [
    ...(counts.tables > 0 ? [plural(counts.tables, 'entity', 'entities')] : []),
    ...(counts.joinTables > 0 ? [plural(counts.joinTables, 'join table')] : []),
    ...(counts.recognised > 0 ? [`${counts.recognised.toLocaleString('en')} undeclared`] : []),
    ...(partitions > 0 ? [plural(partitions, 'partition')] : []),
  ].join(', ');
}

/** Rules that did not run for the same reason stand together. */
function skippedRules(skipped: readonly SkippedRule[]): Html {
  const byReason = new Map<string, SkippedRule[]>();
  for (const rule of skipped) byReason.set(rule.reason, [...(byReason.get(rule.reason) ?? []), rule]);
  return html`<details class="skipped">
    <summary>
      ${plural(skipped.length, 'rule')} did not run, and ${skipped.length === 1 ? 'says' : 'say'} nothing
    </summary>
    <ul>
      ${[...byReason].map(
        ([reason, rules]) =>
          html`<li>
            <p>${visible(reason)}</p>
            <p class="ids">
              ${rules.map(({ id, title }) => html`<span><code>${id}</code> ${title}</span> `)}
            </p>
          </li>`,
      )}
    </ul>
  </details>`;
}
