import { TENANT_TABLES, type TenantSize } from './data.sql.js';
import type { QueryName } from './queries.sql.js';
import type { RawWay } from './ways.js';

/** A node of a plan, as far as it tells how rows of the tenant are found. */
export interface PlanNode {
  node: string;
  relation?: string;
  index?: string;
  /** What the index was asked for. */
  indexCond?: string;
  filter?: string;
  oneTimeFilter?: string;
  /** As the planner estimated. */
  rows: number;
}

export interface Plan {
  way: RawWay;
  query: QueryName;
  size: TenantSize;
  nodes: PlanNode[];
}

interface ExplainedNode {
  'Node Type': string;
  'Relation Name'?: string;
  'Index Name'?: string;
  'Index Cond'?: string;
  'Recheck Cond'?: string;
  Filter?: string;
  'One-Time Filter'?: string;
  'Plan Rows': number;
  'Parallel Aware'?: boolean;
  Plans?: ExplainedNode[];
}

/** The nodes of `EXPLAIN (FORMAT JSON)`, outermost first. */
export function planNodes(rows: unknown[]): PlanNode[] {
  const [{ 'QUERY PLAN': explained }] = rows as [{ 'QUERY PLAN': [{ Plan: ExplainedNode }] }];
  return flatten(explained[0].Plan);
}

function flatten(node: ExplainedNode): PlanNode[] {
  const indexCond = node['Index Cond'] ?? node['Recheck Cond'];
  return [
    {
      node: `${node['Parallel Aware'] ? 'Parallel ' : ''}${node['Node Type']}`,
      ...(node['Relation Name'] && { relation: node['Relation Name'] }),
      ...(node['Index Name'] && { index: node['Index Name'] }),
      ...(indexCond && { indexCond }),
      ...(node.Filter && { filter: node.Filter }),
      ...(node['One-Time Filter'] && { oneTimeFilter: node['One-Time Filter'] }),
      rows: node['Plan Rows'],
    },
    ...(node.Plans ?? []).flatMap(flatten),
  ];
}

/** Forms that no index serves. */
const NOT_INDEXABLE: readonly RawWay[] = ['or', 'case', 'prowler'];
const OF_TENANT = /tenant_id = /;
const BY_ID = /\bid = /;

export interface Expected {
  /** Tables that a scan of all pages may be right for. */
  smallTables: ReadonlySet<string>;
}

/**
 * The plans must be what the text claims: under the library's policy every table of a tenant is read through an index
 * that is asked for the tenant or for single rows; the largest tenant's, and those of a few pages, may be scanned with
 * a filter of bare equality. Under CASE and OR no index is asked for the tenant.
 *
 * @throws Error with the plan that is not.
 */
export function checkPlan(plan: Plan, expected: Expected): void {
  const wrong = NOT_INDEXABLE.includes(plan.way)
    ? plan.nodes.find(({ indexCond }) => indexCond && OF_TENANT.test(indexCond))
    : plan.way === 'library'
      ? plan.nodes.find((node) => isTenantTable(node) && !isServed(node, plan.size, expected))
      : undefined;
  if (wrong)
    throw new Error(`Not the plan that was expected, at ${JSON.stringify(wrong)}: ${JSON.stringify(plan)}`);
}

function isTenantTable({ relation }: PlanNode): boolean {
  return (TENANT_TABLES as readonly (string | undefined)[]).includes(relation);
}

function isServed(
  { relation, indexCond = '', filter = '' }: PlanNode,
  size: TenantSize,
  { smallTables }: Expected,
): boolean {
  if (OF_TENANT.test(indexCond)) return true;
  const bareEquality = OF_TENANT.test(filter) && !/\b(CASE|OR)\b/.test(filter);
  return bareEquality && (BY_ID.test(indexCond) || size === 'largest' || smallTables.has(relation!));
}
