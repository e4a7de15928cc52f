import type { Readable } from 'node:stream';
import type { TaskRow } from '../../support/contender.js';

/** Reads a stream of TypeORM's raw rows to its end. */
export async function consume(stream: Readable): Promise<TaskRow[]> {
  const rows: TaskRow[] = [];
  for await (const row of stream) rows.push({ tenantId: (row as { task_tenant_id: string }).task_tenant_id });
  return rows;
}
