import { inheritSql, since16 } from '../support/database.js';
import { B, createNoteDatabase, withQuery, type NoteDatabase } from './audit-support.js';

describe('RLS085 session-residue', () => {
  let db: NoteDatabase;

  beforeAll(async () => {
    db = await createNoteDatabase();
  });
  afterAll(() => db.drop());

  /** Two requests, one after the other, on the same connection of a pool. */
  const twoRequests = () =>
    withQuery(db.url('app'), async (query) => {
      await query('BEGIN');
      await query(`SELECT set_config('rls.current_tenant', $1, true)`, [B]);
      await query('CREATE TEMP TABLE report AS SELECT body FROM note');
      await query('COMMIT');
      return query('SELECT body FROM report');
    });

  it('a temporary table of one tenant is read by the next request on the connection, and the right to make one is found', async () => {
    expect(await twoRequests()).toEqual([{ body: 'b' }]);
    const findings = await db.findingsOf('RLS085');
    expect(findings).toMatchObject([{ severity: 'info', object: `database "${db.name}"` }]);

    await db.asSuperuser(findings[0]!.fix);
    await expect(twoRequests()).rejects.toThrow('permission denied to create temporary tables');
    expect(await db.findingsOf('RLS085')).toEqual([]);
  });

  since16('the right through an inherited role is found', async () => {
    const other = `other_${db.roles.app}`;
    await db.asSuperuser(
      `CREATE ROLE ${other}; GRANT TEMPORARY ON DATABASE ${db.name} TO ${other}; ${inheritSql(db.roles.app, other, true)}`,
    );
    const [finding] = await db.findingsOf('RLS085');
    await db.asSuperuser(finding!.fix);
    expect(await db.findingsOf('RLS085')).toEqual([]);
    await db.asSuperuser(`DROP ROLE ${other}`);
  });
});
