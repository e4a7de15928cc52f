/**
 * What the page does beyond showing itself: filter the findings, copy a fix, open what a link leads into. Without it
 * everything can be read. Plain JavaScript, allowed by its hash; it takes nothing but text out of the page.
 */
export const REPORT_SCRIPT = `'use strict';
const form = document.getElementById('filter');
const articles = [...document.querySelectorAll('article')].map((node) => ({
  node, ...node.dataset, text: node.textContent.toLowerCase(),
}));
const rules = [...document.querySelectorAll('.rule')];
const rows = new Set(articles.map(({ row }) => row));

function apply() {
  const data = new FormData(form);
  const severities = data.getAll('severity');
  const rule = data.get('rule');
  const row = data.get('row').trim();
  const words = data.get('text').toLowerCase().split(/\\s+/);
  const isRow = rows.has(row) ? (one) => one === row : (one) => one.toLowerCase().includes(row.toLowerCase());
  let shown = 0;
  for (const one of articles) {
    const fits = severities.includes(one.severity) && (rule === '' || one.rule === rule) && isRow(one.row) &&
      words.every((word) => one.text.includes(word));
    one.node.hidden = !fits;
    if (fits) shown += 1;
  }
  const all = shown === articles.length;
  for (const node of rules) {
    const left = node.querySelectorAll('article:not([hidden])').length;
    node.hidden = left === 0;
    if (!all && left <= 50) node.open = true;
  }
  document.getElementById('shown').value = all
    ? articles.length.toLocaleString('en') + (articles.length === 1 ? ' finding' : ' findings')
    : shown.toLocaleString('en') + ' of ' + articles.length.toLocaleString('en') + ' findings';
}

function reveal() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  if (target.hidden) {
    form.reset();
    apply();
  }
  for (let node = target.closest('details'); node; node = node.parentElement.closest('details')) node.open = true;
  target.scrollIntoView();
}

if (form) {
  form.hidden = false;
  form.addEventListener('input', apply);
  form.addEventListener('submit', (event) => event.preventDefault());
  document.getElementById('all').addEventListener('click', () => {
    form.reset();
    apply();
  });
  // A cell of the matrix shows all that is known of its table.
  for (const link of document.querySelectorAll('a.cell')) {
    link.addEventListener('click', () => {
      form.reset();
      form.elements.row.value = document.getElementById(link.hash.slice(1)).dataset.row;
      apply();
    });
  }
  if (form.elements.row.value || form.elements.text.value || form.elements.rule.value) apply();
}
addEventListener('hashchange', reveal);
document.addEventListener('click', ({ target }) => {
  const link = target.closest('a[href^="#"]');
  if (link && link.hash === location.hash) reveal();
});
reveal();

for (const fix of document.querySelectorAll('.fix')) {
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'copy';
  button.textContent = 'Copy';
  fix.before(button);
}
document.addEventListener('click', async ({ target }) => {
  if (!target.matches('.copy')) return;
  const fix = target.nextElementSibling;
  try {
    await navigator.clipboard.writeText(fix.textContent);
    target.textContent = 'Copied';
  } catch {
    getSelection().selectAllChildren(fix);
    target.textContent = 'Selected';
  }
  setTimeout(() => { target.textContent = 'Copy'; }, 2000);
});

let closed = [];
addEventListener('beforeprint', () => {
  closed = [...document.querySelectorAll('details:not([open])')];
  for (const node of closed) node.open = true;
});
addEventListener('afterprint', () => {
  for (const node of closed) node.open = false;
});
`;
