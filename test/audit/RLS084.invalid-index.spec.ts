import { createNoteDatabase, withQuery, type NoteDatabase } from './audit-support.js';
import { fillNotes, planOf } from './plan-support.js';

describe('RLS084 invalid-index', () => {
  let db: NoteDatabase;

  beforeAll(async () => {
    db = await createNoteDatabase();
    await fillNotes(db, 20_000);
  });
  afterAll(() => db.drop());

  it('an interrupted CREATE INDEX CONCURRENTLY leaves one that IF NOT EXISTS takes for done, and it is found', async () => {
    await withQuery(db.url('migrator'), async (blocker) => {
      await blocker('BEGIN');
      await blocker('LOCK TABLE note IN ROW EXCLUSIVE MODE');
      await withQuery(db.url('migrator'), async (query) => {
        await query(`SET lock_timeout = '200ms'`);
        await expect(query('CREATE INDEX CONCURRENTLY tenant_idx ON note (tenant_id)')).rejects.toThrow(
          'lock timeout',
        );
      });
      await blocker('ROLLBACK');
    });
    await db.as('migrator', 'CREATE INDEX IF NOT EXISTS tenant_idx ON note (tenant_id)');
    expect(await planOf(db, 'SELECT body FROM note')).toContain('Seq Scan');
    const findings = await db.findingsOf('RLS084');
    expect(findings).toMatchObject([{ severity: 'warning', object: 'index "public.tenant_idx"' }]);

    await db.as('migrator', findings[0]!.fix);
    expect(await planOf(db, 'SELECT body FROM note')).toContain('Index Cond');
    expect(await db.findingsOf('RLS084')).toEqual([]);
  });

  it('an index of a partitioned table that a partition lacks is found, until it is attached', async () => {
    await db.as(
      'migrator',
      `CREATE TABLE event (id int, tenant_id uuid NOT NULL) PARTITION BY HASH (id);
       CREATE TABLE event_0 PARTITION OF event FOR VALUES WITH (MODULUS 1, REMAINDER 0);
       CREATE INDEX event_idx ON ONLY event (tenant_id)`,
    );
    expect(await db.findingsOf('RLS084')).toMatchObject([
      { object: 'index "public.event_idx"', fix: expect.stringContaining('partitionedIndex()') },
    ]);
    await db.as(
      'migrator',
      'CREATE INDEX event_0_idx ON event_0 (tenant_id); ALTER INDEX event_idx ATTACH PARTITION event_0_idx',
    );
    expect(await db.findingsOf('RLS084')).toEqual([]);
  });
});
