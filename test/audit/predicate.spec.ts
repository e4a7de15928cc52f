import type { TenantIdType } from '../../libs/rls-tenants/src/context/tenant-id.js';
import type { TenantScopedTable } from '../../libs/rls-tenants/src/entities/tenant-tables.js';
import { quoteIdentifier, quoteTable } from '../../libs/rls-tenants/src/policies/index.js';
import { createNoteDatabase, declared, protectSql, type NoteDatabase } from './audit-support.js';

const TYPES: readonly (readonly [TenantIdType, column: string])[] = [
  ['uuid', 'uuid'],
  ['integer', 'integer'],
  ['bigint', 'bigint'],
  ['text', 'text'],
  ['text', 'varchar(40)'],
];

describe('policies as PostgreSQL deparses them', () => {
  let db: NoteDatabase;

  beforeAll(async () => {
    db = await createNoteDatabase();
  });
  afterAll(() => db.drop());

  const create = async (table: TenantScopedTable, columns: string) => {
    await db.as(
      'migrator',
      `DROP TABLE IF EXISTS ${quoteTable(table.table)} CASCADE; CREATE TABLE ${quoteTable(table.table)} (${columns})`,
    );
    await db.as('migrator', protectSql(table, db.roles.admin));
  };
  const drift = async (tables: TenantScopedTable[]) => (await db.audit(tables)).findings;

  describe.each(TYPES)('tenant ids of type %s in a %s column', (tenantIdType, column) => {
    const doc = declared('doc', { tenantIdType });

    it('a generated tenant policy is no drift', async () => {
      await create(doc, `id int, tenant_id ${column} NOT NULL`);
      expect(await drift([doc])).toEqual([]);
    });

    it.each(['int', 'varchar(36)', 'text', 'uuid'])(
      'a generated EXISTS policy over %s keys is no drift',
      async (key) => {
        const tag = declared('tag', { tenantIdType });
        const link = declared('doc_tags', {
          tenantIdType,
          kind: 'join-table',
          sides: [
            { table: 'doc', columns: [{ column: 'doc_id', referencedColumn: 'id' }] },
            { table: 'tag', columns: [{ column: 'tag_id', referencedColumn: 'id' }] },
          ],
        });
        await create(doc, `id ${key}, tenant_id ${column} NOT NULL`);
        await create(tag, `id ${key}, tenant_id ${column} NOT NULL`);
        await create(link, `doc_id ${key}, tag_id ${key}`);
        expect(await drift([doc, tag, link])).toEqual([]);
      },
    );

    it('a generated policy of a join table with its own tenant column is no drift', async () => {
      const link = declared('doc_links', { tenantIdType, kind: 'join-table' });
      await create(link, `a int, b int, tenant_id ${column} NOT NULL`);
      expect(await drift([link])).toEqual([]);
    });
  });

  it.each([
    ['upper case and spaces', 'My Notes', 'Tenant Id'],
    ['quotes', `o'note"s`, `te"na'nt`],
    ['a reserved word', 'select', 'user'],
    ['unicode', 'zettel_ä_😀', 'mandant_ß'],
    ['a backslash', 'back\\slash', 'ten\\ant'],
    ['the longest identifier', 'n'.repeat(63), 't'.repeat(63)],
  ])('generated policies with %s in the names are no drift', async (_name, table, tenantColumn) => {
    const doc = declared(table, { tenantColumn, tenantSetting: 'my_app.tenant$1' });
    const link = declared('weird_links', {
      kind: 'join-table',
      tenantSetting: 'my_app.tenant$1',
      sides: [{ table, tenantColumn, columns: [{ column: 'left id', referencedColumn: 'the "id"' }] }],
    });
    await create(doc, `"the ""id""" int, ${quoteIdentifier(tenantColumn)} uuid NOT NULL`);
    await create(link, `"left id" int`);
    expect(await drift([doc, link])).toEqual([]);
  });

  it('a join table of a table with itself, and one in another schema, are no drift', async () => {
    await db.as('migrator', 'CREATE SCHEMA IF NOT EXISTS billing');
    const person = declared('billing.person');
    const friends = declared('billing.friends', {
      kind: 'join-table',
      sides: [
        { table: 'billing.person', columns: [{ column: 'a_id', referencedColumn: 'id' }] },
        { table: 'billing.person', columns: [{ column: 'b_id', referencedColumn: 'id' }] },
      ],
    });
    await create(person, 'id int, tenant_id uuid NOT NULL');
    await create(friends, 'a_id int, b_id int');
    expect(await drift([person, friends])).toEqual([]);
  });

  describe('predicates that look almost the same', () => {
    const TENANT = `tenant_id = NULLIF(current_setting('rls.current_tenant', true), '')::uuid`;
    const HIDDEN = `tenant_id = (SELECT NULLIF(current_setting('rls.current_tenant', true), '')::uuid)`;
    const doc = declared('doc');

    beforeAll(async () => {
      await db.as(
        'migrator',
        'DROP TABLE IF EXISTS doc CASCADE; CREATE TABLE doc (id int, tenant_id uuid NOT NULL, owner_id uuid, v int)',
      );
      await db.as('migrator', protectSql(doc, db.roles.admin));
      await db.as(
        'migrator',
        `CREATE FUNCTION public.current_setting(text, boolean) RETURNS text LANGUAGE sql STABLE AS 'SELECT pg_catalog.current_setting($1, $2)';
         CREATE FUNCTION public.always(uuid, uuid) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
         CREATE OPERATOR public.= (LEFTARG = uuid, RIGHTARG = uuid, FUNCTION = public.always)`,
      );
    });

    const alter = (using: string, check = TENANT) =>
      db.as(
        'migrator',
        `ALTER POLICY doc_tenant_isolation_policy ON doc USING (${using}) WITH CHECK (${check})`,
      );

    it.each([
      ['the generated one', TENANT],
      [
        'the generated one in other words',
        `(doc.tenant_id OPERATOR(pg_catalog.=) CAST(NULLIF(pg_catalog.current_setting('rls.current_tenant'::text, true), '') AS uuid))`,
      ],
    ])('%s is no drift', async (_name, using) => {
      await alter(using);
      expect(await drift([doc])).toEqual([]);
    });

    it.each([
      ['true', 'true'],
      ['OR true', `${TENANT} OR true`],
      ['AND with a narrower condition', `${TENANT} AND v = 1`],
      ['<>', TENANT.replace('=', '<>')],
      ['>=', TENANT.replace('=', '>=')],
      ['another setting', TENANT.replace('rls.current_tenant', 'rls.current_tenanT2')],
      ['missing NULLIF', `tenant_id = (SELECT current_setting('rls.current_tenant', true)::uuid)`],
      ['NULLIF of something else', TENANT.replace("''", "'x'")],
      ['another column', TENANT.replace('tenant_id', 'owner_id')],
      [
        'COALESCE',
        `tenant_id = (SELECT COALESCE(NULLIF(current_setting('rls.current_tenant', true), '')::uuid, tenant_id))`,
      ],
      ['IS NULL OR', `current_setting('rls.current_tenant', true) IS NULL OR ${TENANT}`],
      ['a NULL tenant for everybody', `${TENANT} OR tenant_id IS NULL`],
      ['IS NOT DISTINCT FROM', TENANT.replace('=', 'IS NOT DISTINCT FROM')],
      ['a sub-select', HIDDEN],
      ['current_setting that raises', TENANT.replace(', true', '')],
      ['missing_ok = false', TENANT.replace('true', 'false')],
      ['CASE', `CASE WHEN ${TENANT} THEN true ELSE false END`],
      ['NOT NOT', `NOT (NOT (${TENANT}))`],
      [
        'a cast of the column',
        `tenant_id::text = (SELECT NULLIF(current_setting('rls.current_tenant', true), ''))`,
      ],
      [
        'a function that passes for current_setting',
        TENANT.replace('current_setting', 'public.current_setting'),
      ],
      ['an operator that passes for =', TENANT.replace('=', 'OPERATOR(public.=)')],
      ['a literal tenant', `tenant_id = '00000000-0000-4000-8000-00000000000b'`],
      ['a sub-select FROM a table', HIDDEN.replace('::uuid)', '::uuid FROM note LIMIT 1)')],
      ['a sub-select FROM the table itself', HIDDEN.replace('::uuid)', '::uuid FROM doc AS x LIMIT 1)')],
      ['ANY', HIDDEN.replace('= (', '= ANY (')],
      ['a WITH clause', HIDDEN.replace('(SELECT', '(WITH note AS (SELECT 1) SELECT')],
      ['a whole row', `${TENANT} OR doc IS NULL`],
      ['a system column', `${TENANT} OR ctid = '(0,1)'`],
      ['a UNION', HIDDEN.replace('::uuid)', '::uuid UNION SELECT tenant_id)')],
    ])('%s is drift, in USING and in WITH CHECK', async (_name, predicate) => {
      await alter(predicate);
      expect(await drift([doc])).toMatchObject([
        { ruleId: 'RLS080', message: expect.stringContaining('USING: ') },
      ]);
      await alter(TENANT, predicate);
      expect(await drift([doc])).toMatchObject([
        { ruleId: 'RLS080', message: expect.stringContaining('WITH CHECK: ') },
      ]);
    });

    it.each([
      ['another type', 'uuid', 'integer'],
      ['a wider type', 'integer', 'bigint'],
      ['a varchar cast', 'text', 'character varying'],
    ] as const)('%s of tenant id is drift', async (_name, tenantIdType, cast) => {
      const typed = declared('typed', { tenantIdType });
      await create(typed, `id int, tenant_id ${tenantIdType} NOT NULL`);
      await db.as(
        'migrator',
        `ALTER POLICY typed_tenant_isolation_policy ON typed USING (tenant_id::text = (SELECT NULLIF(current_setting('rls.current_tenant', true), '')::${cast})::text)`,
      );
      expect(await drift([typed])).toMatchObject([{ ruleId: 'RLS080' }]);
    });
  });

  describe('EXISTS predicates that look almost the same', () => {
    const CURRENT = `(SELECT NULLIF(current_setting('rls.current_tenant', true), '')::uuid)`;
    const side = (table: string, column: string, tenant = `s.tenant_id = ${CURRENT}`) =>
      `EXISTS (SELECT 1 FROM ${table} AS s WHERE s.id = doc_tags.${column} AND ${tenant})`;
    const tables = [
      declared('doc'),
      declared('tag'),
      declared('doc_tags', {
        kind: 'join-table',
        sides: [
          { table: 'doc', columns: [{ column: 'doc_id', referencedColumn: 'id' }] },
          { table: 'tag', columns: [{ column: 'tag_id', referencedColumn: 'id' }] },
        ],
      }),
    ];

    beforeAll(async () => {
      await create(tables[0]!, 'id int, tenant_id uuid NOT NULL');
      await create(tables[1]!, 'id int, tenant_id uuid NOT NULL');
      await create(tables[2]!, 'doc_id int, tag_id int');
      await db.as(
        'migrator',
        'DROP SCHEMA IF EXISTS decoy CASCADE; CREATE SCHEMA decoy; CREATE TABLE decoy.doc (id int, tenant_id uuid); CREATE TABLE open_doc (id int, tenant_id uuid)',
      );
    });

    it.each([
      ['with aliases', `${side('doc', 'doc_id')} AND ${side('tag', 'tag_id')}`],
      [
        'without aliases',
        `${side('doc', 'doc_id')} AND EXISTS (SELECT 1 FROM tag WHERE id = tag_id AND tenant_id = ${CURRENT})`,
      ],
    ])('the generated one %s is no drift', async (_name, predicate) => {
      await db.as(
        'migrator',
        `ALTER POLICY doc_tags_m2m_rls_policy ON doc_tags USING (${predicate}) WITH CHECK (${predicate})`,
      );
      expect(await drift(tables)).toEqual([]);
    });

    it.each([
      ['one side only', side('doc', 'doc_id')],
      ['either side', `${side('doc', 'doc_id')} OR ${side('tag', 'tag_id')}`],
      ['sides of the wrong columns', `${side('doc', 'tag_id')} AND ${side('tag', 'doc_id')}`],
      ['a side without its tenant', `${side('doc', 'doc_id')} AND ${side('tag', 'tag_id', 'true')}`],
      [
        'a link compared with itself',
        `${side('doc', 'doc_id')} AND EXISTS (SELECT 1 FROM tag AS s WHERE s.id = s.id AND s.tenant_id = ${CURRENT})`,
      ],
      [
        'a link compared with nothing',
        `${side('doc', 'doc_id')} AND EXISTS (SELECT 1 FROM tag AS s WHERE s.tenant_id = ${CURRENT})`,
      ],
      ['a table of the same name elsewhere', `${side('decoy.doc', 'doc_id')} AND ${side('tag', 'tag_id')}`],
      ['an unprotected table', `${side('open_doc', 'doc_id')} AND ${side('tag', 'tag_id')}`],
      ['NOT EXISTS', `NOT ${side('doc', 'doc_id')} AND ${side('tag', 'tag_id')}`],
      ['ONLY', `${side('ONLY doc', 'doc_id')} AND ${side('tag', 'tag_id')}`],
      [
        'a join',
        `${side('doc', 'doc_id')} AND EXISTS (SELECT 1 FROM tag AS s, doc AS d WHERE s.id = tag_id AND s.tenant_id = ${CURRENT})`,
      ],
    ])('%s is drift', async (_name, predicate) => {
      await db.as(
        'migrator',
        `ALTER POLICY doc_tags_m2m_rls_policy ON doc_tags USING (${predicate}) WITH CHECK (${predicate})`,
      );
      expect(await drift(tables)).toMatchObject([
        { ruleId: 'RLS080', object: 'policy "doc_tags_m2m_rls_policy" on table "public.doc_tags"' },
      ]);
    });
  });
});
