import { apiAs } from './api.js';
import { element, fill, initials } from './dom.js';

const byId = (id) => document.getElementById(id);
const count = new Intl.NumberFormat('en');

let context;
let shownFor;
let runs = 0;

/** Shows the console, with attacks on the workspace that whoever is signed in does not belong to. */
export async function showConsole(consoleContext) {
  const isFirst = context === undefined;
  context = consoleContext;
  const { session } = context.state;
  const { attacks, limits } = await apiAs(session, 'GET', '/api/console');
  // Who has signed in meanwhile gets their own.
  if (session !== context.state.session) return;
  if (isFirst) prepareForm();
  byId('console-sql').maxLength = limits.characters;
  byId('console-limits').textContent =
    `A run may take ${limits.seconds} seconds and answer ${limits.bytes / 1000} kB; ${limits.rows} rows of each statement are shown.`;
  if (shownFor === session.user.email) return;
  shownFor = session.user.email;
  runs++;
  fill(byId('console-results'), []);
  byId('console-results').removeAttribute('aria-busy');
  byId('console-status').textContent = '';
  renderAttacks(attacks);
}

function prepareForm() {
  const form = byId('console-form');
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    return context.guarded(run);
  });
  byId('console-sql').addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  byId('console-sql').addEventListener('input', () => choose(undefined));
}

function renderAttacks(attacks) {
  fill(
    byId('attacks'),
    attacks.map((attack) => {
      const button = element(
        'button',
        { type: 'button', class: 'query', 'data-attack': attack.id, 'aria-pressed': 'false' },
        attack.title,
      );
      button.addEventListener('click', () => {
        byId('console-sql').value = attack.sql;
        choose(attack);
        // On a narrow screen the list is above it.
        byId('attack-why').scrollIntoView({ block: 'nearest' });
        return context.guarded(run);
      });
      return button;
    }),
  );
  byId('console-sql').value = attacks[0].sql;
  choose(attacks[0]);
}

/** Marks an attack, and says why it fails; nothing of that holds for a text that was changed. */
function choose(attack) {
  for (const button of document.querySelectorAll('[data-attack]')) {
    button.setAttribute('aria-pressed', String(button.dataset.attack === attack?.id));
  }
  byId('attack-why').hidden = attack === undefined;
  fill(
    byId('attack-why'),
    attack ? [element('strong', {}, `${attack.title}: why it fails. `), attack.why] : [],
  );
}

async function run() {
  const { session } = context.state;
  const ticket = ++runs;
  const results = byId('console-results');
  results.setAttribute('aria-busy', 'true');
  try {
    const answer = await apiAs(session, 'POST', '/api/console', { sql: byId('console-sql').value });
    // A later run, or another user, wins.
    if (ticket !== runs) return;
    fill(results, [
      summary(session, answer),
      answer.error ? refusal(answer.error) : null,
      ...answer.statements.map(statementBlock),
      answer.moreStatements > 0
        ? element('p', { class: 'muted' }, `… and ${count.format(answer.moreStatements)} statements more.`)
        : null,
    ]);
    byId('console-status').textContent = `${session.workspace.name}: ${spoken(answer)}.`;
  } finally {
    if (ticket === runs) results.removeAttribute('aria-busy');
  }
}

function spoken({ error, statements, returned }) {
  if (error) return `ended with an error${error.code ? `, SQLSTATE ${error.code}` : ''}`;
  return `${statements.length} ${plural(statements.length, 'statement')} ran, ${returned.foreign} rows of others`;
}

function plural(number, word) {
  return number === 1 ? word : `${word}s`;
}

/** Who ran it, how long it took, and the control: what there is, and what of it this workspace reaches. */
function summary(session, { durationMs, returned, reach }) {
  return element(
    'article',
    { class: 'card pane', 'data-tone': session.workspace.tone, id: 'console-summary' },
    [
      element('div', { class: 'pane-head' }, [
        element('span', { class: 'avatar', 'aria-hidden': 'true' }, initials(session.user.name)),
        element('div', {}, [
          element('h3', {}, session.workspace.name),
          element('small', {}, `as ${session.user.name}`),
        ]),
        element('span', { class: 'pane-time' }, `${durationMs.toFixed(1)} ms`),
      ]),
      element('p', { class: 'returned' }, [
        'Rows in this answer: ',
        element('strong', {}, count.format(returned.own)),
        ' with a tenant_id of yours, ',
        element(
          'strong',
          { class: returned.foreign > 0 ? 'leak' : undefined, id: 'console-foreign' },
          count.format(returned.foreign),
        ),
        ' of others.',
      ]),
      element(
        'ul',
        { class: 'reach', 'aria-label': 'What there is, and what you reach' },
        reach.map(reachLine),
      ),
    ],
  );
}

function reachLine({ table, total, reached }) {
  const meter = element('div', { class: 'meter', 'aria-hidden': 'true' }, element('span'));
  meter.firstChild.style.width = `${(100 * reached) / Math.max(total, 1)}%`;
  return element('li', { 'data-table': table }, [
    element('p', {}, [
      element('code', {}, table),
      ` ${count.format(total)} ${plural(total, 'row')} over all workspaces; you reach `,
      element('strong', {}, count.format(reached)),
    ]),
    meter,
  ]);
}

function refusal({ code, message, detail, hint, line }) {
  const at = line === null ? '' : ` (line ${line})`;
  return element('div', { class: 'card refused', role: 'group', 'aria-label': 'Error' }, [
    element('p', {}, [element('strong', {}, code ? `SQLSTATE ${code}: ` : 'Stopped: '), message, at]),
    detail ? element('p', {}, detail) : null,
    hint ? element('p', {}, `Hint: ${hint}`) : null,
    element(
      'p',
      { class: 'muted' },
      'PostgreSQL took the text back up to its last COMMIT, and no statement of it has an answer.',
    ),
  ]);
}

function statementBlock({ command, rowCount, columns, rows, shortened }, index) {
  const rowsText = rowCount === null ? '' : `${count.format(rowCount)} ${plural(rowCount, 'row')}`;
  return element('article', { class: 'card pane statement-result' }, [
    element('div', { class: 'statement-line' }, [
      element('h3', {}, `${index + 1}. ${command}`),
      element('span', { class: 'muted' }, `${rowsText}${shortened ? ', shortened' : ''}`),
    ]),
    columns.length > 0 ? resultTable(index, columns, rows) : null,
  ]);
}

function resultTable(index, columns, rows) {
  const scroll = {
    class: 'table-scroll',
    tabindex: '0',
    role: 'region',
    'aria-label': `Rows of statement ${index + 1}`,
  };
  const head = columns.map((column) => element('th', { scope: 'col' }, column));
  const body = rows.map((row) => element('tr', {}, row.map(cell)));
  return element('div', scroll, [
    element('table', {}, [element('thead', {}, element('tr', {}, head)), element('tbody', {}, body)]),
  ]);
}

function cell(value) {
  return value === null
    ? element('td', { class: 'null' }, 'null')
    : element('td', { class: 'mono', title: value }, value);
}
