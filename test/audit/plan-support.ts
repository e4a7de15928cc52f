import type { NoteDatabase } from './audit-support.js';

/** The plan of a statement of tenant A's, as the app role. */
export async function planOf(db: NoteDatabase, sql: string, settings = ''): Promise<string> {
  const rows = await db.asTenantA<{ 'QUERY PLAN': string }>(`${settings} EXPLAIN (COSTS OFF) ${sql}`);
  return rows.map((row) => row['QUERY PLAN']).join('\n');
}

/** Rows of 100 other tenants, with ids from 1000 on, and statistics: enough that an index is worth it. */
export async function fillNotes(db: NoteDatabase, rows: number): Promise<void> {
  await db.asSuperuser(
    `INSERT INTO note SELECT 1000 + n, ('00000000-0000-4000-8000-0000000001' || lpad((n % 100)::text, 2, '0'))::uuid, 'c'
       FROM generate_series(1, ${rows}) AS n;
     ANALYZE note`,
  );
}

export const TENANT_INDEX = 'CREATE INDEX note_tenant_idx ON note (tenant_id)';
/** A table is read from end to end whatever indexes it has. */
export const WITHOUT_INDEXES = 'SET enable_indexscan = off; SET enable_bitmapscan = off;';
