import { A, B } from './audit-support.js';
import { createPolicyDatabase, NOTE_POLICY, TENANT, type PolicyDatabase } from './policy-rules-support.js';

const SETTING = `current_setting('rls.current_tenant', true)`;

describe('RLS057 non-equality-on-context', () => {
  let db: PolicyDatabase;

  beforeAll(async () => {
    db = await createPolicyDatabase();
  });
  afterEach(() => db.reset());
  afterAll(() => db.drop());

  const seenBy = async (tenant: string) => {
    const rows = await db.as<{ body: string }>(
      'app',
      `SET rls.current_tenant = '${tenant}'; SELECT body FROM note ORDER BY id`,
    );
    return rows.map(({ body }) => body);
  };

  it.each([
    ['LIKE', `tenant_id::text LIKE ${SETTING}`, '%'],
    ['ILIKE with a wildcard of its own', `tenant_id::text ILIKE ${SETTING} || '%'`, '0'],
    ['a regular expression', `${SETTING} <> '' AND tenant_id::text ~ ${SETTING}`, '.'],
    ['a list', `tenant_id::text = ANY (string_to_array(${SETTING}, ','))`, `${A},${B}`],
    [
      'a list in a sub-select',
      `tenant_id::text IN (SELECT unnest(string_to_array(${SETTING}, ',')))`,
      `${A},${B}`,
    ],
    ['a position', `strpos(${SETTING}, tenant_id::text) > 0`, `${A},${B}`],
    ['containment', `string_to_array(${SETTING}, ',') @> ARRAY[tenant_id::text]`, `${A},${B}`],
  ])('%s follows a tenant id into other tenants, and is found', async (_name, using, tenant) => {
    await db.alter(using);
    expect(await seenBy(A)).toEqual(['a']);
    expect(await seenBy(tenant)).toEqual(['a', 'b']);
    expect(await db.findingsOf('RLS057')).toMatchObject([{ severity: 'error', object: NOTE_POLICY }]);
    expect(await db.findingsOf('RLS007')).toEqual([]);

    await db.applyFix('RLS057');
    const refused = await seenBy(tenant).catch(({ message }: Error) => message);
    expect(refused).toMatch(/invalid input syntax for type uuid/);
    expect(await seenBy(A)).toEqual(['a']);
    expect(await db.findingsOf('RLS057')).toEqual([]);
  });

  it('a match beside the equality only narrows and is no finding', async () => {
    await db.alter(`${TENANT} AND tenant_id::text LIKE ${SETTING} || '%'`);
    expect(await seenBy(A)).toEqual(['a']);
    expect(await db.findingsOf('RLS057')).toEqual([]);
  });
});
