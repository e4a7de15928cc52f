import { A, createNoteDatabase, type NoteDatabase } from './audit-support.js';

const RULE = 'RLS032';

describe('RLS032 secdef-trigger', () => {
  let db: NoteDatabase;

  beforeAll(async () => {
    db = await createNoteDatabase();
    await db.as(
      'migrator',
      `CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
         AS $$ BEGIN NEW.body := (SELECT string_agg(body, ',' ORDER BY body) FROM note); RETURN NEW; END $$;
       CREATE TRIGGER fill BEFORE INSERT ON note FOR EACH ROW EXECUTE FUNCTION fill()`,
    );
  });
  afterAll(() => db.drop());

  /** What the trigger saw, in a row of tenant A's own that is not kept. */
  const seenByTrigger = async () => {
    const [row] = await db.asTenantA<{ body: string }>(
      `BEGIN; INSERT INTO note VALUES (3, '${A}', '') RETURNING body`,
    );
    return row!.body;
  };

  it('puts every tenant’s rows into one tenant’s write, and is found', async () => {
    expect(await seenByTrigger()).toBe('a,b');
    const findings = await db.findingsOf(RULE);
    expect(findings).toMatchObject([
      { ruleId: RULE, severity: 'warning', object: 'trigger "fill" on table "public.note"' },
    ]);
    expect(await db.findingsOf('RLS022')).toEqual([]);
    await db.as('migrator', findings[0]!.fix);
  });

  it('a plain trigger runs as whoever writes, not as the table’s owner: no leak, no finding', async () => {
    expect(await seenByTrigger()).toBe('a');
    expect(await db.findingsOf(RULE)).toEqual([]);
  });

  it('is silent about one that is disabled, and one that names no tenant table', async () => {
    await db.as('migrator', 'ALTER FUNCTION fill() SECURITY DEFINER; ALTER TABLE note DISABLE TRIGGER fill');
    expect(await seenByTrigger()).toBe('');
    expect(await db.findingsOf(RULE)).toEqual([]);
    await db.as(
      'migrator',
      `CREATE TABLE log (at timestamptz);
       CREATE FUNCTION log() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
         AS $$ BEGIN INSERT INTO log VALUES (now()); RETURN NEW; END $$;
       CREATE TRIGGER log BEFORE INSERT ON note FOR EACH ROW EXECUTE FUNCTION log()`,
    );
    expect(await seenByTrigger()).toBe('');
    expect(await db.findingsOf(RULE)).toEqual([]);
  });
});
