import { apiAs } from './api.js';
import { element, fill, initials } from './dom.js';

const KEYWORDS =
  /\b(SELECT|FROM|WHERE|JOIN|ON|AS|ORDER BY|GROUP BY|DISTINCT|UPDATE|SET|DELETE|INSERT INTO|VALUES|OR|AND|count)\b|('[^']*'|\$\d+|\b\d+\b)/g;
const UUID = /^[0-9a-f]{8}-[0-9a-f-]{27}$/;

const byId = (id) => document.getElementById(id);
const count = new Intl.NumberFormat('en');

let context;
let queries;
let selected;
let runs = 0;

/** Shows the laboratory, and runs the selected statement for whoever is signed in now. */
export async function showLab(labContext) {
  context = labContext;
  if (!queries) {
    queries = await apiAs(context.state.session, 'GET', '/api/lab');
    selected = queries[0];
    renderQueries();
    for (const radio of document.querySelectorAll('input[name=mode]')) {
      radio.addEventListener('change', () => context.guarded(run));
    }
  }
  await run();
}

function renderQueries() {
  fill(
    byId('queries'),
    queries.map((query) => {
      const button = element(
        'button',
        { type: 'button', class: 'query', 'data-query': query.id },
        query.title,
      );
      button.addEventListener('click', () => {
        selected = query;
        return context.guarded(run);
      });
      return button;
    }),
  );
}

async function run() {
  const query = selected;
  const ticket = ++runs;
  const results = byId('results');
  results.setAttribute('aria-busy', 'true');
  renderStatement(query);
  try {
    const sessions = context.sessions(sideBySide());
    const answers = await Promise.all(
      sessions.map((session) => apiAs(session, 'POST', `/api/lab/${query.id}`)),
    );
    // A later click wins.
    if (ticket !== runs) return;
    fill(
      results,
      answers.map((answer, index) => pane(sessions[index], answer)),
    );
    byId('lab-status').textContent = `${query.title}: ${answers
      .map((answer, index) => `${sessions[index].workspace.name} ${verdict(answer)}`)
      .join('; ')}.`;
  } finally {
    if (ticket === runs) results.removeAttribute('aria-busy');
  }
}

function sideBySide() {
  return document.querySelector('input[name=mode]:checked').value === 'both';
}

function renderStatement(query) {
  for (const button of document.querySelectorAll('.query')) {
    button.setAttribute('aria-pressed', String(button.dataset.query === query.id));
  }
  byId('statement').hidden = false;
  byId('statement-title').textContent = query.title;
  byId('statement-description').textContent = query.description;
  fill(byId('statement-sql'), highlighted(query.sql));
}

function pane(session, answer) {
  return element(
    'article',
    { class: 'card pane', 'data-tone': session.workspace.tone, 'data-workspace': session.workspace.id },
    [
      element('div', { class: 'pane-head' }, [
        element('span', { class: 'avatar', 'aria-hidden': 'true' }, initials(session.user.name)),
        element('div', {}, [
          element('h3', {}, session.workspace.name),
          element('small', {}, `as ${session.user.name}`),
        ]),
        element('span', { class: 'pane-time' }, `${answer.durationMs.toFixed(1)} ms`),
      ]),
      verdictBlock(answer),
      parametersBlock(answer),
      answer.error ? refusal(answer.error) : rowsBlock(session, answer),
      planBlock(answer),
    ],
  );
}

/** What the statement reached, in words. */
function verdict({ error, affected, visible, total, rolledBack }) {
  if (error) return `was refused (SQLSTATE ${error.code})`;
  const did = affected === null ? 'sees' : 'touched';
  return `${did} ${count.format(visible)} of ${count.format(total)}${rolledBack ? ', rolled back' : ''}`;
}

function verdictBlock({ error, affected, visible, total, rolledBack, id }) {
  const things = id === 'tenants' ? 'tenants' : 'rows';
  const did = affected === null ? 'visible' : rolledBack ? 'touched, then rolled back' : 'written';
  const meter = element(
    'div',
    { class: 'meter', 'data-empty': String(visible === 0), 'aria-hidden': 'true' },
    element('span'),
  );
  meter.firstChild.style.width = `${(100 * visible) / Math.max(total, 1)}%`;
  return element('div', { class: 'verdict' }, [
    element('p', { class: 'verdict-line' }, [
      element('strong', {}, error ? 'Refused' : count.format(visible)),
      element(
        'span',
        { class: 'muted' },
        error ? `0 ${things} written` : `of ${count.format(total)} ${things} ${did}`,
      ),
    ]),
    meter,
  ]);
}

/** The values are the same statement's, and differ from tenant to tenant: each one's neighbour is another. */
function parametersBlock({ parameters }) {
  if (parameters.length === 0) return null;
  const lines = parameters.map((value, index) => {
    const workspace = context.state.workspaces.find(({ id }) => id === value);
    return element('li', {}, `$${index + 1} = ${value}${workspace ? ` (${workspace.name})` : ''}`);
  });
  return element('ul', { class: 'parameters', 'aria-label': 'Parameters' }, lines);
}

function refusal({ code, message, hint }) {
  return element('div', { class: 'refused' }, [
    element('p', {}, [element('strong', {}, code ? `SQLSTATE ${code}: ` : ''), message]),
    hint ? element('p', {}, hint) : null,
  ]);
}

function rowsBlock(session, { rows, affected }) {
  if (affected !== null) return null;
  if (rows.length === 0)
    return element('p', { class: 'no-rows' }, 'No rows. To this tenant, the others do not exist.');
  const columns = Object.keys(rows[0]);
  const scroll = {
    class: 'table-scroll',
    tabindex: '0',
    role: 'region',
    'aria-label': `Rows of ${session.workspace.name}`,
  };
  return element('div', scroll, [
    element('table', {}, [
      element(
        'thead',
        {},
        element(
          'tr',
          {},
          columns.map((column) => element('th', { scope: 'col' }, column)),
        ),
      ),
      element(
        'tbody',
        {},
        rows.map((row) =>
          element(
            'tr',
            {},
            columns.map((column) => cell(column, row[column])),
          ),
        ),
      ),
    ]),
  ]);
}

function cell(column, value) {
  if (column === 'tenant_id') return element('td', { 'data-tenant': value }, tenantChip(value));
  const text = value === null ? 'null' : String(value);
  if (UUID.test(text)) return element('td', { class: 'mono', title: text }, `${text.slice(0, 8)}…`);
  if (/_at$|_date$/.test(column)) return element('td', {}, value === null ? '' : text.slice(0, 10));
  return element('td', { title: text }, text);
}

function tenantChip(id) {
  const workspace = context.state.workspaces.find((candidate) => candidate.id === id);
  return workspace
    ? element('span', { class: 'chip', 'data-tone': workspace.tone }, workspace.name)
    : element('span', { class: 'chip chip-late' }, id);
}

function planBlock({ plan, error }) {
  const indexed = plan.some((line) => /(Index|Recheck) Cond: .*tenant_id/.test(line));
  const remark = error
    ? 'planned only'
    : indexed
      ? 'the policy is an index condition'
      : 'the policy is a filter';
  return element('div', {}, [
    element('div', { class: 'plan-head' }, [
      element('h4', {}, 'Plan PostgreSQL used'),
      element('span', { class: 'muted' }, remark),
    ]),
    element('pre', { class: 'code plan', tabindex: '0', 'aria-label': 'Query plan' }, plan.flatMap(planLine)),
  ]);
}

function planLine(line) {
  const match = /^(.*?)((?:Index|Recheck) Cond: .*)$/.exec(line);
  return match ? [match[1], element('mark', {}, match[2]), '\n'] : [line, '\n'];
}

function highlighted(sql) {
  const parts = [];
  let position = 0;
  for (const match of sql.matchAll(KEYWORDS)) {
    parts.push(sql.slice(position, match.index));
    parts.push(element('span', { class: match[1] ? 'keyword' : 'literal' }, match[0]));
    position = match.index + match[0].length;
  }
  return [...parts, sql.slice(position)];
}
