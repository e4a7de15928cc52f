import type { ReportedTable } from '../audit.js';
import { SEVERITIES } from '../finding.js';
import { html, plural, visible, type Html } from './html.js';
import { worstOf, type ReportModel, type ReportRow } from './report-model.js';
import { symbol } from './symbols.js';

/** Up to here every table has its row, in the order of the report; beyond, the worst do and the rest is to open. */
const MAX_TABLES = 60;

/** Tables against tiers: what was found where. */
export function matrixSection(model: ReportModel): Html {
  const groups = groupsOf(model.tables);
  const isLarge = groups.length > MAX_TABLES;
  const found = isLarge
    ? groups.filter((group) => weightOf(group) < CLEAN).sort((a, b) => weightOf(a) - weightOf(b))
    : groups;
  const clean = isLarge ? groups.filter((group) => weightOf(group) === CLEAN) : [];
  const more = found.slice(MAX_TABLES);
  return html`<section id="matrix" aria-labelledby="matrix-h">
    <h2 id="matrix-h">Tables and tiers</h2>
    <p class="lead">
      Each cell is the worst of what was found about a table in one kind of hole, and how many findings there
      are. It leads to them; the name leads to the policies.
    </p>
    ${matrix(found.slice(0, MAX_TABLES).flat(), model.others, model)}
    ${
      more.length > 0
        ? html`<details class="more">
            <summary>${plural(more.length, 'more table')} with findings that are no worse</summary>
            ${matrix(more.flat(), [], model)}
          </details>`
        : undefined
    }
    ${clean.length > 0 ? cleanTables(clean) : undefined}
  </section>`;
}

/** A table with its partitions. */
type Group = readonly [ReportRow, ...ReportRow[]];

function groupsOf(rows: readonly ReportRow[]): Group[] {
  const groups: [ReportRow, ...ReportRow[]][] = [];
  for (const row of rows) {
    if (row.partition) groups.at(-1)!.push(row);
    else groups.push([row]);
  }
  return groups;
}

const CLEAN = SEVERITIES.length + 1;

/** The lighter the worse. Accepted findings are more than none. */
function weightOf(group: Group): number {
  const worst = worstOf(group.flatMap(({ findings }) => findings));
  if (worst) return SEVERITIES.indexOf(worst);
  return group.some(({ accepted }) => accepted.length > 0) ? SEVERITIES.length : CLEAN;
}

function matrix(
  rows: readonly ReportRow[],
  others: readonly ReportRow[],
  model: ReportModel,
): Html | undefined {
  if (rows.length + others.length === 0) return undefined;
  const headings = model.tiers.map(
    ({ title, ran }, tier) =>
      html`<th scope="col">
        <span class="tier">${tier}</span> ${title}<small
          >${ran === 0 ? 'not checked' : plural(ran, 'rule')}</small
        >
      </th>`,
  );
  return html`<div class="scroll" role="region" aria-label="Tables and tiers" tabindex="0">
    <table class="matrix">
      <thead>
        <tr>
          <th scope="col">Table</th>
          ${headings}
        </tr>
      </thead>
      <tbody>
        ${rows.map((row) => tableRow(row, model))}
      </tbody>
      ${others.length > 0 ? otherRows(others, model) : undefined}
    </table>
  </div>`;
}

function tableRow(row: ReportRow, model: ReportModel): Html {
  const name = html`<code>${visible(row.label)}</code>`;
  return html`<tr>
    <th scope="row" class="${row.partition ? 'partition' : 'table'}">
      ${row.anchor === undefined ? name : html`<a href="#${row.anchor}">${name}</a>`}
      ${row.partition ? tag('partition') : undefined} ${row.table && tableTags(row.table)}
    </th>
    ${model.tiers.map((_, tier) => cell(row, tier, model))}
  </tr>`;
}

/** What kind of table it is, where that is not the ordinary. */
export function tableTags({ kind, exists, partitions }: ReportedTable): Html {
  return html`${kind === 'join-table' ? tag('join table') : undefined}
  ${kind === 'recognised' ? tag('undeclared') : undefined}
  ${partitions.length > 0 ? tag(plural(partitions.length, 'partition')) : undefined}
  ${exists ? undefined : tag('does not exist')}`;
}

function tag(text: string): Html {
  return html`<span class="tag">${text}</span>`;
}

function cell(row: ReportRow, tier: number, model: ReportModel): Html {
  const findings = row.findings.filter((finding) => finding.tier === tier);
  const worst = worstOf(findings);
  if (worst) {
    return html`<td>
      <a class="cell ${worst}" href="#${findings.find(({ severity }) => severity === worst)!.anchor}"
        >${symbol(worst)}<span class="v">${worst}, </span>${findings.length}<span class="v">
          ${findings.length === 1 ? 'finding' : 'findings'}</span
        ></a
      >
    </td>`;
  }
  if (row.accepted.some((place) => place.tier === tier))
    return html`<td class="accepted"><a href="#accepted">accepted</a></td>`;
  if (model.tiers[tier]!.ran === 0 || row.table?.exists === false)
    return html`<td class="blank"><span aria-hidden="true">–</span><span class="v">not checked</span></td>`;
  return html`<td class="clean"><span class="v">nothing found</span></td>`;
}

/** Of these only the ones are listed about which something was found, so that an empty cell claims nothing. */
function otherRows(others: readonly ReportRow[], model: ReportModel): Html {
  return html`<tbody class="others">
    <tr>
      <th scope="rowgroup" colspan="${model.tiers.length + 1}">Around the tables</th>
    </tr>
    ${others.map(
      (row) =>
        html`<tr>
          <th scope="row"><span class="object">${visible(row.label)}</span></th>
          ${model.tiers.map((_, tier) =>
            [...row.findings, ...row.accepted].some((place) => place.tier === tier)
              ? cell(row, tier, model)
              : html`<td class="blank"></td>`,
          )}
        </tr>`,
    )}
  </tbody>`;
}

function cleanTables(groups: readonly Group[]): Html {
  return html`<details class="clean-tables">
    <summary>${symbol('clean')}${plural(groups.length, 'table')} without findings</summary>
    <ul>
      ${groups.map(
        ([{ label, anchor, table }]) =>
          html`<li>
            <a href="#${anchor}"><code>${visible(label)}</code></a> ${table && tableTags(table)}
          </li>`,
      )}
    </ul>
  </details>`;
}
