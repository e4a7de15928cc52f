// The page of the demo. Data goes into the document as text nodes only (`element`), never as markup.
import { api } from './api.js';
import { showBoard } from './board.js';
import { showConsole } from './console.js';
import { element, fill, initials } from './dom.js';
import { showLab } from './lab.js';

const TONES = ['a', 'b'];
const VIEWS = ['board', 'lab', 'console'];

const byId = (id) => document.getElementById(id);

/** Everything the views share. `session` is who is signed in at the moment. */
const state = { workspaces: [], password: '', session: undefined };

async function start() {
  const { workspaces, password } = await api('GET', '/api/auth/demo-accounts');
  state.password = password;
  state.workspaces = workspaces.map((workspace, index) => ({
    ...workspace,
    tone: TONES[index % TONES.length],
  }));
  renderAccounts();
  prepareTabs();
  await switchTo(state.workspaces[0], state.workspaces[0].users[0]);
}

function renderAccounts() {
  fill(
    byId('accounts'),
    state.workspaces.map((workspace) =>
      element(
        'div',
        { class: 'workspace', 'data-tone': workspace.tone, role: 'group', 'aria-label': workspace.name },
        [element('h3', {}, workspace.name), ...workspace.users.map((user) => accountButton(workspace, user))],
      ),
    ),
  );
}

function accountButton(workspace, user) {
  const button = element(
    'button',
    { type: 'button', class: 'account', 'aria-pressed': 'false', 'data-email': user.email },
    [
      element('span', { class: 'avatar', 'aria-hidden': 'true' }, initials(user.name)),
      element('span', { class: 'account-text' }, [
        element('span', {}, user.name),
        element('small', {}, user.jobTitle),
      ]),
    ],
  );
  button.addEventListener('click', () => guarded(() => switchTo(workspace, user)));
  return button;
}

async function switchTo(workspace, user) {
  state.session = { workspace, user, password: state.password };
  document.body.dataset.tone = workspace.tone;
  for (const button of document.querySelectorAll('.account')) {
    button.setAttribute('aria-pressed', String(button.dataset.email === user.email));
  }
  await showView(currentView());
}

/** Whom a query runs as: the current user, and for a comparison one of each other workspace. */
function sessions(sideBySide) {
  if (!sideBySide) return [state.session];
  return state.workspaces.map((workspace) =>
    workspace.id === state.session.workspace.id
      ? state.session
      : { workspace, user: workspace.users[0], password: state.password },
  );
}

function currentView() {
  const view = location.hash.slice(1);
  return VIEWS.includes(view) ? view : VIEWS[0];
}

async function showView(view) {
  for (const name of VIEWS) {
    byId(name).hidden = name !== view;
    byId(`tab-${name}`).setAttribute('aria-selected', String(name === view));
    byId(`tab-${name}`).tabIndex = name === view ? 0 : -1;
  }
  if (view === 'board') await showBoard(state.session, guarded);
  else if (view === 'lab') await showLab({ state, sessions, guarded });
  else await showConsole({ state, guarded });
}

function prepareTabs() {
  for (const [index, name] of VIEWS.entries()) {
    const tab = byId(`tab-${name}`);
    tab.addEventListener('click', () => {
      location.hash = name;
    });
    tab.addEventListener('keydown', (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (step === undefined) return;
      const next = VIEWS[(index + step + VIEWS.length) % VIEWS.length];
      location.hash = next;
      byId(`tab-${next}`).focus();
    });
  }
  addEventListener('hashchange', () => guarded(() => showView(currentView())));
}

/** Runs something that talks to the server, and says on the page what went wrong. */
async function guarded(action) {
  const problem = byId('problem');
  problem.hidden = true;
  try {
    await action();
  } catch (error) {
    problem.textContent = error.message;
    problem.hidden = false;
  }
}

guarded(start);
