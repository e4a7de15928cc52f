import { apiAs } from './api.js';
import { element, fill, initials } from './dom.js';

const STATUSES = [
  ['todo', 'To do'],
  ['in_progress', 'In progress'],
  ['done', 'Done'],
];

const byId = (id) => document.getElementById(id);
const day = new Intl.DateTimeFormat('en', { day: 'numeric', month: 'short' });

let session;
let guarded;
let wired = false;
let loads = 0;

/** Shows the tasks of whoever is signed in. */
export async function showBoard(currentSession, guard) {
  session = currentSession;
  guarded = guard;
  wire();
  await load();
}

async function load() {
  const ticket = ++loads;
  const container = byId('projects');
  container.setAttribute('aria-busy', 'true');
  try {
    const rows = await rowsOf(session, byId('status-filter').value);
    // A later load wins: somebody else may have signed in meanwhile.
    if (ticket === loads) render(rows);
  } finally {
    if (ticket === loads) container.removeAttribute('aria-busy');
  }
}

async function rowsOf(session, status) {
  const paths = [
    '/api/me',
    '/api/projects',
    status ? `/api/tasks?status=${status}` : '/api/tasks',
    '/api/tags',
    '/api/users',
  ];
  const [me, projects, tasks, tags, users] = await Promise.all(
    paths.map((path) => apiAs(session, 'GET', path)),
  );
  return { me, projects, tasks, tags, users };
}

function render({ me, projects, tasks, tags, users }) {
  byId('workspace-name').textContent = me.workspace.name;
  byId('workspace-facts').textContent =
    `${tasks.length} tasks in ${projects.length} projects, ${tags.length} tags, ${users.length} members. Signed in as ${me.name}.`;
  fill(
    byId('projects'),
    projects.map((project) =>
      projectSection(
        project,
        tasks.filter((task) => task.project.id === project.id),
      ),
    ),
  );
  renderForm(projects, users, tags);
}

function projectSection(project, tasks) {
  const done = tasks.filter(({ status }) => status === 'done').length;
  return element('section', { class: 'project', 'aria-label': project.name }, [
    element('div', { class: 'project-head' }, [
      element('h2', {}, project.name),
      element('p', { class: 'muted' }, project.description),
      element('p', { class: 'project-progress' }, `${done} of ${tasks.length} done`),
    ]),
    element(
      'div',
      { class: 'columns' },
      STATUSES.map(([status, label]) =>
        column(
          label,
          tasks.filter((task) => task.status === status),
        ),
      ),
    ),
  ]);
}

function column(label, tasks) {
  return element('div', { class: 'column' }, [
    element('h3', {}, [
      label,
      element('span', { 'aria-label': `${tasks.length} tasks` }, String(tasks.length)),
    ]),
    element('ul', {}, tasks.map(taskCard)),
  ]);
}

function taskCard(task) {
  return element(
    'li',
    {
      class: 'task',
      'data-priority': task.priority,
      'data-status': task.status,
      'data-tenant': task.tenantId,
    },
    [
      element('p', { class: 'task-title' }, task.title),
      element('div', { class: 'task-row' }, [
        task.priority === 'high' ? element('span', { class: 'chip chip-high' }, 'High') : null,
        dueChip(task),
        ...task.tags.map(({ name }) => element('span', { class: 'chip' }, name)),
      ]),
      element('div', { class: 'task-row task-foot' }, [
        element('span', { class: 'who' }, [
          task.assignee
            ? element(
                'span',
                { class: 'avatar avatar-small', 'aria-hidden': 'true' },
                initials(task.assignee.name),
              )
            : null,
          task.assignee ? task.assignee.name.split(' ')[0] : 'Nobody yet',
        ]),
        element('span', {}, [statusSelect(task), deleteButton(task)]),
      ]),
    ],
  );
}

function dueChip({ dueDate, status }) {
  if (!dueDate) return null;
  const late = status !== 'done' && dueDate < new Date().toISOString().slice(0, 10);
  const text = day.format(new Date(`${dueDate}T12:00:00`));
  return element(
    'span',
    { class: late ? 'chip chip-late' : 'chip chip-plain' },
    late ? `${text}, late` : text,
  );
}

function statusSelect(task) {
  const select = element(
    'select',
    { 'aria-label': `Status of ${task.title}` },
    STATUSES.map(([value, label]) => element('option', { value, selected: value === task.status }, label)),
  );
  select.addEventListener('change', () => change('PATCH', task, { status: select.value }));
  return select;
}

function deleteButton(task) {
  const button = element(
    'button',
    { type: 'button', class: 'icon-button', 'aria-label': `Delete ${task.title}` },
    '✕',
  );
  button.addEventListener('click', () => change('DELETE', task));
  return button;
}

function change(method, { id }, body) {
  return guarded(async () => {
    await apiAs(session, method, `/api/tasks/${id}`, body);
    await load();
  });
}

function renderForm(projects, users, tags) {
  const form = byId('new-task');
  const options = (rows) => rows.map(({ id, name }) => element('option', { value: id }, name));
  fill(form.elements.projectId, options(projects));
  fill(form.elements.assigneeId, [element('option', { value: '' }, 'Nobody yet'), ...options(users)]);
  fill(
    byId('new-task-tags'),
    tags.map(({ id, name }) =>
      element('label', {}, [
        element('input', { type: 'checkbox', name: 'tagIds', value: id }),
        element('span', {}, name),
      ]),
    ),
  );
}

function wire() {
  if (wired) return;
  wired = true;
  const form = byId('new-task');
  const toggle = byId('new-task-toggle');
  byId('status-filter').addEventListener('change', () => guarded(load));
  toggle.addEventListener('click', () => showForm(form.hidden));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    guarded(async () => {
      await apiAs(session, 'POST', '/api/tasks', newTask(new FormData(form)));
      form.reset();
      showForm(false);
      toggle.focus();
      await load();
    });
  });

  function showForm(open) {
    form.hidden = !open;
    toggle.setAttribute('aria-expanded', String(open));
    if (open) form.elements.title.focus();
  }
}

function newTask(data) {
  return {
    title: data.get('title'),
    projectId: data.get('projectId'),
    priority: data.get('priority'),
    assigneeId: data.get('assigneeId') || null,
    dueDate: data.get('dueDate') || null,
    tagIds: data.getAll('tagIds'),
  };
}
