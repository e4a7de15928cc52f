import { createNoteDatabase, withQuery, type NoteDatabase } from './audit-support.js';
import { fillNotes, TENANT_INDEX } from './plan-support.js';

describe('RLS076 observed-seq-scans', () => {
  let db: NoteDatabase;

  beforeAll(async () => {
    db = await createNoteDatabase();
    await fillNotes(db, 12_000);
  });
  afterAll(() => db.drop());

  /** Statistics arrive when a session ends, a little later before PostgreSQL 15. */
  const scansAreCounted = async (column: string, table: string, wanted: number) => {
    for (let round = 0; round < 100; round++) {
      const [row] = await db.asSuperuser<{ scans: number }>(
        `SELECT coalesce(sum(${column}), 0)::int AS scans FROM ${table} WHERE relname = 'note'`,
      );
      if (row!.scans >= wanted) return;
      await new Promise((done) => setTimeout(done, 50));
    }
    throw new Error('The scans were not counted.');
  };
  const read = (times: number) =>
    withQuery(db.url('app'), async (query) => {
      await query(`SET rls.current_tenant = '00000000-0000-4000-8000-00000000000a'`);
      for (let n = 0; n < times; n++) await query('SELECT body FROM note');
    });

  it('a large table that is read from end to end is found, if asked for; with its index, and index scans, it is not', async () => {
    expect(await db.findingsOf('RLS076')).toEqual([]);
    await read(60);
    await scansAreCounted('seq_scan', 'pg_stat_user_tables', 60);
    expect(await db.findingsOf('RLS076')).toMatchObject([
      {
        severity: 'info',
        object: 'table "public.note"',
        message: expect.stringMatching(/^6\d of 6\d scans/),
      },
    ]);

    await db.as('migrator', TENANT_INDEX);
    await read(80);
    await scansAreCounted('idx_scan', 'pg_stat_user_indexes', 80);
    expect(await db.findingsOf('RLS076')).toEqual([]);
  });

  it('is skipped unless asked for', async () => {
    const { skipped } = await db.audit([db.note], { scope: 'database' } as never);
    expect(skipped).toContainEqual(
      expect.objectContaining({ id: 'RLS076', reason: expect.stringContaining('off unless asked for') }),
    );
  });
});
