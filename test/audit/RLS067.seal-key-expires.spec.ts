import { newSealKey } from '../support/sealed-database.js';
import { A } from './audit-support.js';
import { createSealedNoteDatabase, type SealedNoteDatabase } from './sealed-support.js';

const DAY = 24 * 60 * 60 * 1000;

describe('RLS067 seal-key-expires', () => {
  let db: SealedNoteDatabase;

  beforeAll(async () => {
    db = await createSealedNoteDatabase();
  });
  afterAll(() => db.drop());

  /** As the owner of the keys, about the app role. */
  const findings = async () =>
    (await db.audit([db.note], { role: db.roles.app, rules: ['RLS067'] }, 'migrator')).findings;
  const expire = (id: string, at: string) =>
    db.as('migrator', `UPDATE rls.seal_key SET expires_at = ${at} WHERE id = '${id}'`);
  const read = async (key = db.key) => db.as('app', `${await db.carried(A, key)} SELECT body FROM note`);

  it('a key that does not expire is sound', async () => {
    expect(await read()).toEqual([{ body: 'a' }]);
    expect(await findings()).toEqual([]);
  });

  it('says that it did not look where the connection may not read the keys, as the app role’s must not', async () => {
    const { skipped } = await db.audit();
    expect(skipped.find(({ id }) => id === 'RLS067')?.reason).toContain('may not read the keys');
  });

  it('a last key that expires soon is a warning, in time to add another one', async () => {
    await expire('first', `now() + interval '10 days'`);
    expect(await read()).toEqual([{ body: 'a' }]);
    expect(await findings()).toMatchObject([
      { severity: 'warning', object: 'table "rls.seal_key"', message: expect.stringContaining('"first"') },
    ]);
    await db.addKey({ ...newSealKey('second'), expiresAt: new Date(Date.now() + 90 * DAY) });
    expect(await findings()).toEqual([]);
    await db.as('migrator', `DELETE FROM rls.seal_key WHERE id = 'second'`);
  });

  it('with every key expired nobody is served, and that is critical', async () => {
    await expire('first', `now() - interval '1 minute'`);
    await expect(read()).rejects.toThrow('key "first" is unknown to the database, or has expired');
    expect(await findings()).toMatchObject([
      { severity: 'critical', message: expect.stringMatching(/Every key .* has expired \("first"\)/) },
    ]);
    const second = newSealKey('second');
    await db.addKey(second);
    expect(await read(second)).toEqual([{ body: 'a' }]);
    expect(await findings()).toMatchObject([
      { severity: 'info', message: expect.stringContaining('still there: "first"') },
    ]);
    await db.as('migrator', `DELETE FROM rls.seal_key WHERE id = 'first'`);
    expect(await findings()).toEqual([]);
  });

  it('without any key it is critical, too', async () => {
    await db.as('migrator', 'DELETE FROM rls.seal_key');
    expect(await findings()).toMatchObject([{ severity: 'critical' }]);
  });
});
