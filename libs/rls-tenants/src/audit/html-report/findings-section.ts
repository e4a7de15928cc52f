import { PROBE_RULES } from '../probe/index.js';
import type { AcceptedFinding } from '../report.js';
import { AUDIT_RULES } from '../rules/index.js';
import { html, plural, visible, type Html } from './html.js';
import { worstOf, type ReportFinding, type ReportModel } from './report-model.js';
import { rulePage } from './rule-page.js';
import { sqlMarkup } from './sql-markup.js';
import { chip, countBySeverity } from './symbols.js';

/** A rule with more findings than this is a line to open. */
const OPEN_FINDINGS = 12;

/** From here on the browser lays a finding out when it comes into view. */
const MANY_FINDINGS = 200;

/** Every finding, under its rule. The filter shows itself where the script runs that it needs. */
export function findingsSection(model: ReportModel): Html {
  const byRule = new Map<string, ReportFinding[]>();
  for (const finding of model.findings) {
    const found = byRule.get(finding.ruleId);
    if (found) found.push(finding);
    else byRule.set(finding.ruleId, [finding]);
  }
  const anchors = new Map(model.tables.map(({ label, anchor }) => [label, anchor]));
  return html`<section
    id="findings"
    class="${model.findings.length > MANY_FINDINGS ? 'many' : undefined}"
    aria-labelledby="findings-h"
  >
    <h2 id="findings-h">Findings</h2>
    ${
      model.findings.length === 0
        ? html`<p class="lead">Nothing was found.</p>`
        : html`${filter(model, byRule)} ${[...byRule].map(([id, findings]) => rule(id, findings, anchors))}`
    }
    ${model.report.accepted.length > 0 ? acceptedFindings(model.report.accepted) : undefined}
  </section>`;
}

/** Findings that a project's own decisions do not count: kept in sight, with who said so. */
function acceptedFindings(accepted: readonly AcceptedFinding[]): Html {
  return html`<details class="rule" id="accepted">
    <summary>
      <h3>Accepted</h3>
      <span class="count"
        >${plural(accepted.length, 'finding')} that ${accepted.length === 1 ? 'does' : 'do'} not count</span
      >
    </summary>
    ${accepted.map(
      ({ finding, by, reason, expires }) =>
        html`<div class="item">
          <h4>
            ${chip(finding.severity)} <code>${finding.ruleId}</code> ${finding.title}
            <span class="object">${visible(finding.object)}</span>
          </h4>
          <p>${visible(finding.message)}</p>
          <p>
            ${by === 'baseline' ? 'In the baseline.' : html`Allowed: ${visible(reason ?? '')}`}
            ${expires === undefined ? undefined : html`Until ${expires}.`}
          </p>
        </div>`,
    )}
  </details>`;
}

function filter({ findings }: ReportModel, byRule: ReadonlyMap<string, readonly ReportFinding[]>): Html {
  const rows = [...new Set(findings.map(({ row }) => row))].sort();
  return html`<form id="filter" role="search" aria-label="Filter the findings" hidden>
    <fieldset>
      <legend>Severity</legend>
      ${countBySeverity(findings)
        .filter(({ count }) => count > 0)
        .map(
          ({ severity }) =>
            html`<label class="check"
              ><input type="checkbox" name="severity" value="${severity}" checked />${chip(severity)}</label
            >`,
        )}
    </fieldset>
    <label
      >Rule
      <select name="rule">
        <option value="">All rules</option>
        ${[...byRule].map(([id, [first]]) => html`<option value="${id}">${id} ${first!.title}</option>`)}
      </select>
    </label>
    <label
      >Table or object <input type="search" name="row" list="rows" autocomplete="off" spellcheck="false"
    /></label>
    <datalist id="rows">${rows.map((row) => html`<option value="${row}"></option>`)}</datalist>
    <label>Text <input type="search" name="text" autocomplete="off" spellcheck="false" /></label>
    <p class="shown">
      <output id="shown">${plural(findings.length, 'finding')}</output>
      <button type="button" id="all">Show all</button>
    </p>
  </form>`;
}

function rule(
  id: string,
  findings: readonly ReportFinding[],
  anchors: ReadonlyMap<string, string | undefined>,
): Html {
  const page = rulePage(id);
  const reason = [...AUDIT_RULES, ...PROBE_RULES].find((one) => one.id === id)?.reason;
  return html`<details class="rule" id="${id}" ${findings.length > OPEN_FINDINGS ? undefined : html`open`}>
    <summary>
      <h3><code>${id}</code> ${findings[0]!.title}</h3>
      ${chip(worstOf(findings)!)} <span class="count">${plural(findings.length, 'finding')}</span>
    </summary>
    ${reason === undefined ? undefined : html`<p class="reason">${visible(reason)}</p>`}
    ${
      page === undefined
        ? undefined
        : html`<details class="page">
            <summary>What leaks, how to reproduce it, and how to fix it</summary>
            ${page}
          </details>`
    }
    ${findings.map((finding) => article(finding, anchors.get(finding.row)))}
  </details>`;
}

function article(
  { anchor, ruleId, severity, object, message, fix, row }: ReportFinding,
  policies: string | undefined,
): Html {
  return html`<article id="${anchor}" data-severity="${severity}" data-rule="${ruleId}" data-row="${row}">
    <h4>${chip(severity)} <span class="object">${visible(object)}</span></h4>
    <p>${visible(message)}</p>
    <pre class="fix" tabindex="0" aria-label="Fix">${sqlMarkup(fix)}</pre>
    ${policies === undefined ? undefined : html`<p><a href="#${policies}">Policies of the table</a></p>`}
  </article>`;
}
