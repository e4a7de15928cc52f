import { createNoteDatabase, A, type NoteDatabase } from './audit-support.js';

describe('RLS005 rls-not-forced', () => {
  let db: NoteDatabase;
  let owner: string;

  beforeAll(async () => {
    db = await createNoteDatabase();
    owner = `owner_${db.roles.app}`;
    await db.asSuperuser(
      `CREATE ROLE ${owner};
       GRANT USAGE, CREATE ON SCHEMA public TO ${owner};
       ALTER TABLE note OWNER TO ${owner};
       SET ROLE ${owner};
       CREATE FUNCTION bodies() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER AS 'SELECT body FROM note ORDER BY id'`,
    );
  });
  afterAll(async () => {
    await db.asSuperuser(`DROP OWNED BY ${owner}; DROP ROLE ${owner}`);
    await db.drop();
  });

  it("the owner's function shows the app role every row, and the table is found", async () => {
    const bodies = () => db.as('app', `SET rls.current_tenant = '${A}'; SELECT bodies()`);
    await db.asSuperuser('ALTER TABLE note NO FORCE ROW LEVEL SECURITY');
    expect(await db.seenByA()).toEqual(['a']);
    expect(await bodies()).toEqual([{ bodies: 'a' }, { bodies: 'b' }]);
    const { findings } = await db.audit();
    expect(findings).toMatchObject([{ ruleId: 'RLS005', severity: 'error', object: 'table "public.note"' }]);

    await db.asSuperuser(findings[0]!.fix);
    expect(await bodies()).toEqual([{ bodies: 'a' }]);
    expect(await db.findings()).toEqual([]);
  });
});
