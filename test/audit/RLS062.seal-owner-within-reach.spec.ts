import { since16 } from '../support/database.js';
import { B } from './audit-support.js';
import { createSealedNoteDatabase, type SealedNoteDatabase } from './sealed-support.js';

describe('RLS062 seal-owner-within-reach', () => {
  let db: SealedNoteDatabase;
  let owner: string;

  beforeAll(async () => {
    db = await createSealedNoteDatabase();
    owner = `owner_${db.roles.app}`;
    // The seal belongs to somebody who owns no tenant table: those are RLS003's.
    await db.asSuperuser(
      `CREATE ROLE ${owner}; ALTER SCHEMA rls OWNER TO ${owner}; ALTER TABLE rls.seal_key OWNER TO ${owner};
       ALTER FUNCTION rls.current_tenant() OWNER TO ${owner}; ALTER FUNCTION rls.readable_tenants() OWNER TO ${owner}`,
    );
  });
  afterAll(async () => {
    await db.drop();
  });

  const findings = async () => (await db.audit()).findings.filter(({ ruleId }) => ruleId === 'RLS062');

  it('an owner whom the app role cannot become is sound', async () => {
    expect(await db.seenByA()).toEqual(['a']);
    expect(await db.findings()).toEqual([]);
  });

  since16('an app role that may become the owner is found: it replaces what verifies', async () => {
    const { app } = db.roles;
    await db.asSuperuser(`GRANT ${owner} TO ${app} WITH INHERIT FALSE, SET TRUE`);
    const attack = `SET ROLE ${owner};
      CREATE OR REPLACE FUNCTION rls.current_tenant() RETURNS text LANGUAGE sql STABLE AS $$ SELECT current_setting('rls.current_tenant', true) $$;
      RESET ROLE; SET rls.current_tenant = '${B}'; SELECT body FROM note`;
    const [before] = await db.asSuperuser<{ sql: string }>(
      `SELECT pg_get_functiondef('rls.current_tenant()'::regprocedure) AS sql`,
    );
    expect(await db.as('app', attack)).toEqual([{ body: 'b' }]);
    await db.asSuperuser(before!.sql);

    const [finding] = await findings();
    expect(finding).toMatchObject({ severity: 'critical', object: `role "${app}"` });
    expect(finding!.message).toMatch(/may SET ROLE to .* owns schema "rls", table "rls.seal_key", function/);
    await db.asSuperuser(finding!.fix);
    await expect(db.as('app', attack)).rejects.toThrow('permission denied');
    expect(await db.findings()).toEqual([]);
  });

  it('an app role that owns the schema is found: it puts keys of its own in the place of the others', async () => {
    await db.asSuperuser(`ALTER SCHEMA rls OWNER TO ${db.roles.app}`);
    await db.as('app', 'BEGIN; DROP TABLE rls.seal_key; ROLLBACK');
    const [finding] = await findings();
    expect(finding!.message).toContain('owns schema "rls"');
    await db.asSuperuser(finding!.fix.replaceAll('<migration role>', owner));
    // What was granted to the owner was the owner's.
    await db.asSuperuser(`GRANT USAGE ON SCHEMA rls TO ${db.roles.app}`);
    await expect(db.as('app', 'DROP TABLE rls.seal_key')).rejects.toThrow('must be owner');
    expect(await db.findings()).toEqual([]);
  });

  it('whoever may create objects beside it is a warning', async () => {
    await db.asSuperuser(`GRANT CREATE ON SCHEMA rls TO ${db.roles.app}`);
    await db.as(
      'app',
      'CREATE FUNCTION rls.current_tenant(text) RETURNS text LANGUAGE sql AS $$ SELECT $1 $$',
    );
    // The policies are bound to the function that they named.
    expect(await db.seenByA()).toEqual(['a']);
    const [finding] = await findings();
    expect(finding).toMatchObject({ severity: 'warning', object: 'schema "rls"' });
    await db.asSuperuser(`DROP FUNCTION rls.current_tenant(text); ${finding!.fix}`);
    await expect(db.as('app', 'CREATE TABLE rls.t ()')).rejects.toThrow('permission denied');
    expect(await db.findings()).toEqual([]);
  });
});
