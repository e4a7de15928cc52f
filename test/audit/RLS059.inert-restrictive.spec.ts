import { createPolicyDatabase, TENANT, type PolicyDatabase } from './policy-rules-support.js';

describe('RLS059 inert-restrictive', () => {
  let db: PolicyDatabase;

  beforeAll(async () => {
    db = await createPolicyDatabase();
  });
  afterEach(() => db.reset());
  afterAll(() => db.drop());

  it.each([
    ['USING (true)', 'USING (true)'],
    ['USING (1 = 1) WITH CHECK (true)', 'USING (1 = 1) WITH CHECK (true)'],
    ['FOR SELECT USING (NOT false)', 'FOR SELECT USING (NOT false)'],
    ['no expression', ''],
  ])(
    'a restrictive policy with %s holds nothing when another policy opens, and is found',
    async (_name, rest) => {
      await db.addPolicy(`AS RESTRICTIVE ${rest}`);
      await db.alter('true');
      expect(await db.seenByA()).toEqual(['a', 'b']);
      expect(await db.findingsOf('RLS059')).toMatchObject([
        { severity: 'warning', object: 'policy "extra" on table "public.note"' },
      ]);

      await db.applyFix('RLS059');
      expect(await db.seenByA()).toEqual(['a']);
      expect(await db.findingsOf('RLS059')).toEqual([]);
    },
  );

  it.each([
    ['the tenant', `USING (${TENANT})`],
    ['writes only', `USING (true) WITH CHECK (${TENANT})`],
    ['nothing at all', 'USING (false)'],
    ['NULL', 'USING (NULL)'],
  ])('a restrictive policy that admits %s narrows and is no finding', async (_name, rest) => {
    await db.addPolicy(`AS RESTRICTIVE ${rest}`);
    expect(await db.findingsOf('RLS059')).toEqual([]);
  });
});
