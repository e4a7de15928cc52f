import type { DataSource, Logger } from 'typeorm';
import { tenantContext } from '../../../libs/rls-tenants/src/context/tenant-context.js';
import { tenantTablesOf } from '../../../libs/rls-tenants/src/entities/index.js';

/** A statement as TypeORM sent it. */
export interface Statement {
  sql: string;
  parameters: unknown[];
}

/** A TypeORM logger that keeps the statements that TypeORM sends. */
export class StatementLog implements Logger {
  statements: Statement[] = [];

  logQuery(sql: string, parameters: unknown[] = []): void {
    this.statements.push({ sql, parameters });
  }
  logQueryError(): void {}
  logQuerySlow(): void {}
  logSchemaBuild(): void {}
  logMigration(): void {}
  log(): void {}

  /** The statements sent while `fn` ran. */
  async during(fn: () => Promise<unknown>): Promise<Statement[]> {
    this.statements = [];
    await fn();
    return this.statements;
  }
}

/** A node of `EXPLAIN (FORMAT JSON)`. */
export interface PlanNode {
  'Node Type': string;
  'Relation Name'?: string;
  'Plan Rows': number;
  'Subplans Removed'?: number;
  'One-Time Filter'?: string;
  Filter?: string;
  'Index Cond'?: string;
  'Recheck Cond'?: string;
  Plans?: PlanNode[];
}

/** The plan of a statement as the tenant's, all nodes of it. */
export async function planOf(
  dataSource: DataSource,
  tenantId: string,
  { sql, parameters }: Statement,
): Promise<PlanNode[]> {
  const [row] = await tenantContext(tenantId, () =>
    dataSource.query<{ 'QUERY PLAN': { Plan: PlanNode }[] }[]>(`EXPLAIN (FORMAT JSON) ${sql}`, parameters),
  );
  return nodesOf(row!['QUERY PLAN'][0]!.Plan);
}

function nodesOf(node: PlanNode): PlanNode[] {
  return [node, ...(node.Plans ?? []).flatMap(nodesOf)];
}

/** What a scan's conditions are. */
export function conditionsOf(node: PlanNode): string {
  return [node['Index Cond'], node.Filter, node['Recheck Cond']].filter(Boolean).join(' AND ');
}

/** Which scans of tenant-scoped tables PostgreSQL plans with the tenant as a literal, and which without. */
export interface Scans {
  scoped: string[];
  unscoped: string[];
}

/** Sorts the scans of tenant-scoped tables in the statements' plans: by whether the tenant is there as a literal. */
export async function scansOf(
  dataSource: DataSource,
  tenantId: string,
  statements: readonly Statement[],
): Promise<Scans> {
  const tables = new Set(tenantTablesOf(dataSource).map(({ table }) => table));
  const scans = { scoped: new Set<string>(), unscoped: new Set<string>() };
  for (const statement of statements) {
    if (!/^(?:SELECT|INSERT|UPDATE|DELETE|WITH)\b/.test(statement.sql)) continue;
    for (const node of await planOf(dataSource, tenantId, statement)) {
      const table = node['Relation Name'];
      if (table === undefined || !tables.has(table) || node['Node Type'] === 'ModifyTable') continue;
      scans[conditionsOf(node).includes(`= '${tenantId}'`) ? 'scoped' : 'unscoped'].add(table);
    }
  }
  return { scoped: [...scans.scoped].sort(), unscoped: [...scans.unscoped].sort() };
}
