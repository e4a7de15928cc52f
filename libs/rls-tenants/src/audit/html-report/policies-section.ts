import type { ReportedTable } from '../audit.js';
import type { CatalogPolicy } from '../catalog.js';
import { html, plural, visible, type Html } from './html.js';
import { tableTags } from './matrix-section.js';
import type { ReportModel } from './report-model.js';
import { sqlMarkup } from './sql-markup.js';

/** The policies as PostgreSQL has them, table by table. */
export function policiesSection({ tables }: ReportModel): Html {
  return html`<section id="policies" aria-labelledby="policies-h">
    <h2 id="policies-h">Policies as they are</h2>
    ${tables.map(({ table, anchor }) =>
      table && anchor !== undefined ? policiesOf(table, anchor) : undefined,
    )}
  </section>`;
}

function policiesOf(table: ReportedTable, anchor: string): Html {
  const { exists, policies } = table;
  return html`<details class="policies" id="${anchor}">
    <summary>
      <h3><code>${visible(table.table)}</code></h3>
      ${tableTags(table)}
      <span class="count">${exists ? plural(policies.length, 'policy', 'policies') : undefined}</span>
    </summary>
    <p class="state">${stateOf(table)}</p>
    ${policies.map(policy)}
  </details>`;
}

/** Row-level security of the table, in words. */
function stateOf({ exists, rlsEnabled, rlsForced, policies }: ReportedTable): string {
  if (!exists) return 'There is no table of this name.';
  if (!rlsEnabled)
    return `Row-level security is not enabled${policies.length > 0 ? ': the policies below do nothing' : ''}.`;
  const forced = rlsForced ? 'enabled, and forced for the owner' : 'enabled, but not forced for the owner';
  return `Row-level security is ${forced}.${policies.length === 0 ? ' Without a policy nobody sees a row.' : ''}`;
}

function policy({ name, permissive, command, roles, using, withCheck }: CatalogPolicy): Html {
  return html`<div class="policy">
    <h4><code>${visible(name)}</code></h4>
    <p>
      ${permissive ? 'Permissive' : 'Restrictive'}, for
      ${command === 'ALL' ? 'all commands' : html`<code>${command}</code>`}, to
      ${roles.map((role, index) => html`${index > 0 ? ', ' : undefined}<code>${visible(role)}</code>`)}
    </p>
    ${clause('USING', using)}${clause('WITH CHECK', withCheck)}
  </div>`;
}

function clause(title: string, expression: string | null): Html | undefined {
  return expression === null
    ? undefined
    : html`<pre><span class="clause">${title}</span> ${sqlMarkup(expression)}</pre>`;
}
