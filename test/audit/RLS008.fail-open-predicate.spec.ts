import { A, B } from './audit-support.js';
import { createPolicyDatabase, NOTE_POLICY, TENANT, type PolicyDatabase } from './policy-rules-support.js';

const SETTING = `current_setting('rls.current_tenant', true)`;

describe('RLS008 fail-open-predicate', () => {
  let db: PolicyDatabase;

  beforeAll(async () => {
    db = await createPolicyDatabase();
  });
  afterEach(() => db.reset());
  afterAll(() => db.drop());

  /** A connection on which no tenant was ever set, and one whose transaction with a tenant is over. */
  const seenWithout = async () => {
    const bodies = (rows: { body: string }[]) => rows.map(({ body }) => body);
    return {
      unset: bodies(await db.as('app', 'SELECT body FROM note')),
      empty: bodies(
        await db.as(
          'app',
          `BEGIN; SELECT set_config('rls.current_tenant', '${A}', true); COMMIT; SELECT body FROM note`,
        ),
      ),
    };
  };
  const both = ['a', 'b'];

  it.each([
    ['IS NULL OR', `${SETTING} IS NULL OR ${TENANT}`, { unset: both, empty: [] }],
    ["= '' OR", `${SETTING} = '' OR ${TENANT}`, { unset: [], empty: both }],
    [
      'COALESCE with the column',
      `COALESCE(NULLIF(${SETTING}, '')::uuid, tenant_id) = tenant_id`,
      { unset: both, empty: both },
    ],
    [
      'COALESCE of the setting',
      `COALESCE(${SETTING}, tenant_id::text) = tenant_id::text`,
      { unset: both, empty: [] },
    ],
    [
      'a CASE',
      `CASE WHEN COALESCE(${SETTING}, '') = '' THEN true ELSE ${TENANT} END`,
      { unset: both, empty: both },
    ],
    ['IS NOT FALSE', `(${TENANT}) IS NOT FALSE`, { unset: both, empty: both }],
    ['a regular expression', `tenant_id::text ~ ${SETTING}`, { unset: [], empty: both }],
  ])('%s holds with a tenant, shows every row without one, and is found', async (_name, using, seen) => {
    await db.alter(using);
    expect(await db.seenByA()).toEqual(['a']);
    expect(await seenWithout()).toEqual(seen);
    const [finding, ...others] = await db.findingsOf('RLS008');
    expect(others).toEqual([]);
    expect(finding).toMatchObject({ severity: 'critical', object: NOTE_POLICY });
    expect(finding!.message.includes('NULL (never set)')).toBe(seen.unset.length > 0);
    expect(finding!.message.includes("'' (after its first use)")).toBe(seen.empty.length > 0);

    await db.applyFix('RLS008');
    expect(await seenWithout()).toEqual({ unset: [], empty: [] });
    expect(await db.findingsOf('RLS008')).toEqual([]);
  });

  it('a WITH CHECK that opens without a tenant writes rows for any tenant, and is found', async () => {
    await db.alter(TENANT, `${SETTING} IS NULL OR ${TENANT}`);
    const write = `INSERT INTO note VALUES (3, '${B}', 'by nobody')`;
    await db.as('app', write);
    expect(await db.asSuperuser('SELECT body FROM note WHERE id = 3')).toEqual([{ body: 'by nobody' }]);
    await db.applyFix('RLS008');
    await expect(db.as('app', write.replace('3', '4'))).rejects.toThrow('row-level security');
    expect(await db.findingsOf('RLS008')).toEqual([]);
  });

  it.each([
    ['IS NOT DISTINCT FROM', TENANT.replace('=', 'IS NOT DISTINCT FROM')],
    ['OR IS NULL', `${TENANT} OR tenant_id IS NULL`],
  ])('%s shows the rows that have no tenant, where the column may be NULL', async (_name, using) => {
    await db.alter(using);
    expect(await db.as('app', 'SELECT body FROM note')).toEqual([]);
    expect(await db.findingsOf('RLS008')).toEqual([]);

    await db.asSuperuser(
      `ALTER TABLE note ALTER COLUMN tenant_id DROP NOT NULL; INSERT INTO note VALUES (3, NULL, 'lost')`,
    );
    expect(await db.as('app', 'SELECT body FROM note')).toEqual([{ body: 'lost' }]);
    expect(await db.findingsOf('RLS008')).toMatchObject([{ object: NOTE_POLICY }]);
    await db.applyFix('RLS008');
    expect(await db.as('app', 'SELECT body FROM note')).toEqual([]);
    expect(await db.findingsOf('RLS008')).toEqual([]);
    await db.asSuperuser(
      'DELETE FROM note WHERE id = 3; ALTER TABLE note ALTER COLUMN tenant_id SET NOT NULL',
    );
  });

  it.each([
    ['CASE that closes', `CASE WHEN ${SETTING} IS NULL THEN false ELSE ${TENANT} END`],
    ['the one-argument form, which raises', `current_setting('rls.current_tenant') IS NULL OR ${TENANT}`],
    ['COALESCE that closes', `COALESCE(${TENANT}, false)`],
  ])('%s shows nothing without a tenant and is no finding', async (_name, using) => {
    await db.alter(using);
    const seen = await db.as('app', 'SELECT body FROM note').catch(({ message }: Error) => message);
    expect([[], 'unrecognized configuration parameter "rls.current_tenant"']).toContainEqual(seen);
    expect(await db.findingsOf('RLS008')).toEqual([]);
  });

  it('a policy that shows other tenants’ rows in any case is RLS007’s', async () => {
    await db.alter('true');
    expect(await db.findingsOf('RLS008')).toEqual([]);
    expect(await db.findingsOf('RLS007')).toHaveLength(1);
  });
});
