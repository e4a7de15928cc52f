import { task, type SeedProject, type SeedTask, type SeedWorkspace } from './seed-workspace.js';
import { uuidOf } from './uuid-of.js';

const NEIGHBOURS = 60;
const TASKS_PER_PROJECT = 13;

const PLACES = [
  'Alder',
  'Birch',
  'Cedar',
  'Dune',
  'Elm',
  'Fjord',
  'Granite',
  'Heath',
  'Inlet',
  'Juniper',
  'Kestrel',
  'Lagoon',
];
const TRADES = ['Bakery', 'Books', 'Dental', 'Freight', 'Vineyard'];
const PROJECTS = ['Operations', 'Customers', 'Move to the new site'];
const TAGS = ['admin', 'finance', 'hiring', 'legal', 'maintenance', 'sales', 'stock', 'urgent'];
const VERBS = ['Review', 'Renew', 'Order', 'Plan', 'Clean up', 'Document', 'Repair'];
const THINGS = [
  'the insurance',
  'the price list',
  'spare parts',
  'the opening hours',
  'the delivery van',
  'old invoices',
];
const STATUSES = ['todo', 'todo', 'in_progress', 'done', 'done'] as const;
const PRIORITIES = ['normal', 'low', 'normal', 'high'] as const;

/**
 * Sixty more tenants in the same tables. Nobody signs in to them; they are what an unfiltered query would spill, and
 * enough rows for the planner to prefer an index. Made by counting, so that every run makes the same.
 */
export const neighbours: readonly SeedWorkspace[] = Array.from({ length: NEIGHBOURS }, (_, index) => ({
  id: uuidOf(`neighbour ${index}`),
  name: `${PLACES[index % PLACES.length]} ${TRADES[Math.floor(index / PLACES.length)]}`,
  users: [],
  tags: TAGS,
  projects: PROJECTS.map((name, project) => projectOf(name, index + project)),
}));

function projectOf(name: string, offset: number): SeedProject {
  const tasks = Array.from({ length: TASKS_PER_PROJECT }, (_, index) => taskOf(offset + index * 3 + 1));
  return { name, description: '', tasks };
}

function taskOf(number: number): SeedTask {
  return task(
    `${pick(VERBS, number)} ${pick(THINGS, number)}`,
    pick(STATUSES, number),
    pick(PRIORITIES, number),
    (number % 40) - 10,
    null,
    [pick(TAGS, number), pick(TAGS, number + 3)],
  );
}

function pick<T>(values: readonly T[], number: number): T {
  return values[number % values.length]!;
}
