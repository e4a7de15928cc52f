/** What a query is asked for beside the tenant. */
export interface Arguments {
  task: string;
  /** The tasks of a page. */
  page: string[];
  tag: string;
}

export interface RawQuery {
  title: string;
  /** `tenant(alias)` is what keeps a table to the tenant; nothing where the policy does that. */
  sql: (tenant: (alias: string) => string) => string;
  /** The value of `$1`. */
  argument: (from: Arguments) => unknown;
}

const ONE = () => 1;

/** `$1` is the query's own parameter (`1 = $1` where it has none, so that all take the same protocol), `$2` the tenant. */
export const RAW_QUERIES = {
  point: {
    title: 'point by id',
    sql: (tenant) => `SELECT * FROM task t WHERE t.id = $1${tenant('t')}`,
    argument: ({ task }) => task,
  },
  pageById: {
    title: 'page by id',
    sql: (tenant) => `SELECT * FROM task t WHERE 1 = $1${tenant('t')} ORDER BY t.id LIMIT 50`,
    argument: ONE,
  },
  pageByCreation: {
    title: 'page by created_at',
    sql: (tenant) => `SELECT * FROM task t WHERE 1 = $1${tenant('t')} ORDER BY t.created_at DESC LIMIT 50`,
    argument: ONE,
  },
  count: {
    title: 'count',
    sql: (tenant) => `SELECT count(*) FROM task t WHERE 1 = $1${tenant('t')}`,
    argument: ONE,
  },
  sum: {
    title: 'sum by status',
    sql: (tenant) =>
      `SELECT t.status, sum(t.amount) FROM task t WHERE 1 = $1${tenant('t')} GROUP BY t.status`,
    argument: ONE,
  },
  join: {
    title: 'page of three joined tables',
    sql: (tenant) => `SELECT c.id, c.body, t.title, p.name
      FROM comment c JOIN task t ON t.id = c.task_id JOIN project p ON p.id = t.project_id
      WHERE 1 = $1${tenant('c')}${tenant('t')}${tenant('p')} ORDER BY c.id LIMIT 50`,
    argument: ONE,
  },
  tagsOfPage: {
    title: 'tags of a page',
    sql: (tenant) => `SELECT l.task_id, g.name FROM task_tag l JOIN tag g ON g.id = l.tag_id
      WHERE l.task_id = ANY ($1::bigint[])${tenant('l')}${tenant('g')}`,
    argument: ({ page }) => page,
  },
  tasksOfTag: {
    title: 'tasks of a tag',
    sql: (tenant) => `SELECT t.* FROM task t JOIN task_tag l ON l.task_id = t.id
      WHERE l.tag_id = $1${tenant('t')}${tenant('l')} ORDER BY t.id LIMIT 50`,
    argument: ({ tag }) => tag,
  },
} satisfies Record<string, RawQuery>;

export type QueryName = keyof typeof RAW_QUERIES;
export const QUERY_NAMES = Object.keys(RAW_QUERIES) as QueryName[];

/** The query as it is sent. The parameters' values are known to the planner: the statement has no name. */
export function statement(query: QueryName, from: Arguments, tenantId?: string) {
  const { sql, argument } = RAW_QUERIES[query] as RawQuery;
  return {
    text: sql((alias) => (tenantId === undefined ? '' : ` AND ${alias}.tenant_id = $2`)),
    values: tenantId === undefined ? [argument(from)] : [argument(from), tenantId],
  };
}
