/** What the laboratory lets one run: fixed statements, none of which filters by tenant to be safe. */
export interface LabQuery {
  readonly id: string;
  readonly title: string;
  readonly description: string;
  readonly sql: string;
  /** Values for `$1`, `$2`, … that point at the other workspace. */
  readonly parameters: readonly ('otherWorkspaceId' | 'otherProjectId')[];
  /** `read` runs as it is, `write` runs in a transaction that is rolled back, `refused` is expected to fail. */
  readonly kind: 'read' | 'write' | 'refused';
  /**
   * Counts what there is over all tenants, in a column `total`. Run as admin with the same parameters, it returns
   * nothing but that number.
   */
  readonly control: string;
  /** Which number of the answer to hold against the control's. */
  readonly visible: 'rows' | 'affected' | 'sum of count';
}

const ALL_TASKS = 'SELECT count(*) AS total FROM task';
const reading = { kind: 'read', parameters: [], control: ALL_TASKS, visible: 'rows' } as const;
const writing = { kind: 'write', parameters: [], control: ALL_TASKS, visible: 'affected' } as const;

/** The statements, in the order of the page. */
export const LAB_QUERIES: readonly LabQuery[] = [
  {
    ...reading,
    id: 'all-tasks',
    title: 'Every task',
    description: 'The query that leaks in an application that forgets its WHERE clause.',
    sql: 'SELECT * FROM task',
  },
  {
    ...reading,
    id: 'join',
    title: 'A join of four tables',
    description: 'Tasks, projects, links and tags, joined by their ids only.',
    sql: `SELECT task.tenant_id, task.title, project.name AS project, tag.name AS tag
FROM task
JOIN project  ON project.id = task.project_id
JOIN task_tag ON task_tag.task_id = task.id
JOIN tag      ON tag.id = task_tag.tag_id`,
    control: 'SELECT count(*) AS total FROM task_tag',
  },
  {
    ...reading,
    id: 'count',
    title: 'A count',
    description: 'Aggregates leak as well: how busy are the neighbours?',
    sql: 'SELECT count(*) FROM task',
    visible: 'sum of count',
  },
  {
    ...reading,
    id: 'count-by-status',
    title: 'A count by status',
    description: 'A report over the whole table.',
    sql: 'SELECT status, count(*) FROM task GROUP BY status ORDER BY status',
    visible: 'sum of count',
  },
  {
    ...reading,
    id: 'tenants',
    title: 'Who else is here?',
    description: 'Asks a shared table for the tenants it holds.',
    sql: 'SELECT DISTINCT tenant_id FROM task',
    control: 'SELECT count(DISTINCT tenant_id) AS total FROM task',
  },
  {
    ...reading,
    id: 'injection',
    title: 'The classic injection',
    description: 'A condition that an attacker has made always true.',
    sql: "SELECT tenant_id, title, status FROM task WHERE title = '' OR 1 = 1",
  },
  {
    ...reading,
    id: 'other-tenant',
    title: "The neighbour's tasks, by name",
    description: 'Names the other workspace outright. The policy still comes on top.',
    sql: 'SELECT * FROM task WHERE tenant_id = $1',
    parameters: ['otherWorkspaceId'],
    control: `${ALL_TASKS} WHERE tenant_id = $1`,
  },
  {
    ...writing,
    id: 'update-all',
    title: 'UPDATE without WHERE',
    description: 'Marks every task as done, then rolls back.',
    sql: "UPDATE task SET status = 'done'",
  },
  {
    ...writing,
    id: 'delete-all',
    title: 'DELETE without WHERE',
    description: 'Deletes every task and its links, then rolls back.',
    sql: 'DELETE FROM task',
  },
  {
    ...writing,
    id: 'insert-other',
    title: 'INSERT into the neighbour',
    description: "Plants a task in the other workspace's project. The policy's WITH CHECK refuses it.",
    sql: "INSERT INTO task (tenant_id, project_id, title) VALUES ($1, $2, 'Planted by a neighbour')",
    parameters: ['otherWorkspaceId', 'otherProjectId'],
    control: `${ALL_TASKS} WHERE tenant_id = $1 AND project_id = $2`,
    kind: 'refused',
  },
];
