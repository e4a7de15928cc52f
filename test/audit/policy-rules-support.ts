import { createNoteDatabase, type NoteDatabase } from './audit-support.js';

/** The library's own predicate for a uuid column. */
export const TENANT = `tenant_id = NULLIF(current_setting('rls.current_tenant', true), '')::uuid`;

/** How findings name the tenant policy of `note`. */
export const NOTE_POLICY = 'policy "note_tenant_isolation_policy" on table "public.note"';

/** {@link NoteDatabase} whose policies a test rewrites. */
export interface PolicyDatabase extends NoteDatabase {
  /** Rewrites the tenant policy of `note`. */
  alter(using: string, check?: string): Promise<void>;
  /** Makes a policy `extra` on `note`. */
  addPolicy(definition: string): Promise<void>;
  /** The policies and rows of `note` as they were at first. */
  reset(): Promise<void>;
  /** Runs the fix of the only finding as the migration role. */
  applyFix(ruleId: string): Promise<void>;
}

export async function createPolicyDatabase(): Promise<PolicyDatabase> {
  const db = await createNoteDatabase();
  const rows = await db.asSuperuser<{ id: number; tenant_id: string; body: string }>('SELECT * FROM note');
  const alter = async (using: string, check = TENANT) => {
    await db.as(
      'migrator',
      `ALTER POLICY note_tenant_isolation_policy ON note USING (${using}) WITH CHECK (${check})`,
    );
  };
  return {
    ...db,
    alter,
    addPolicy: async (definition) => {
      await db.as('migrator', `CREATE POLICY extra ON note ${definition}`);
    },
    reset: async () => {
      await db.as('migrator', 'DROP POLICY IF EXISTS extra ON note');
      await alter(TENANT);
      await db.asSuperuser('DELETE FROM note');
      await db.asSuperuser('INSERT INTO note SELECT * FROM json_populate_recordset(NULL::note, $1)', [
        JSON.stringify(rows),
      ]);
    },
    applyFix: async (ruleId) => {
      const findings = await db.findingsOf(ruleId);
      if (findings.length !== 1) throw new Error(`${findings.length} findings: ${JSON.stringify(findings)}`);
      await db.as('migrator', findings[0]!.fix);
    },
  };
}
