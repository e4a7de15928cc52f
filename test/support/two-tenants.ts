import type { DataSource } from 'typeorm';
import { adminContext, tenantContext } from '../../libs/rls-tenants/src/context/index.js';
import { A, B, Note, NOTES } from './notes.js';
import { createProtectedDatabase, type ProtectedDatabase } from './protected-database.js';

/** Two tenants with a note each, seen through the app role: what each suite of jobs and messages looks at. */
export interface TwoTenants {
  readonly db: ProtectedDatabase;
  readonly dataSource: DataSource;
  /** The bodies of the notes that the current context sees, by raw SQL. */
  bodies(): Promise<string[]>;
  /** The control: both notes are there. */
  all(): Promise<string[]>;
}

export const BODIES: Record<string, string> = { [A]: 'of A', [B]: 'of B' };

export async function createTwoTenants(): Promise<TwoTenants> {
  const db = await createProtectedDatabase(NOTES);
  const dataSource = await db.isolated();
  for (const tenantId of [A, B]) {
    const body = BODIES[tenantId] as string;
    await tenantContext(tenantId, () => dataSource.getRepository(Note).save({ body }));
  }
  const bodies = async () => {
    const rows = await dataSource.query<{ body: string }[]>('SELECT body FROM note ORDER BY body');
    return rows.map(({ body }) => body);
  };
  return { db, dataSource, bodies, all: () => adminContext('control', bodies) };
}
