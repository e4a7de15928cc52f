import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { DataSource } from 'typeorm';
import { isolateDataSource } from '../../libs/rls-tenants/src/connection/index.js';
import {
  expectIsolated,
  IsolationAssertionError,
  type TestDatabase,
} from '../../libs/rls-tenants/src/testing/index.js';
import { since16 } from '../support/database.js';
import { KIT_ROLES, kitDatabase } from './support/kit-database.js';
import { Country, Folder, Note, NOTES } from './support/notes.js';

const OWN = `tenant_id = (SELECT NULLIF(current_setting('rls.current_tenant', true), '')::uuid)`;

/** The tenant policy in four, one of them replaced or left out. */
function policiesByCommand(
  replaced: Partial<Record<'SELECT' | 'INSERT' | 'UPDATE' | 'DELETE', string>>,
): string {
  const policies = {
    SELECT: `USING (${OWN})`,
    INSERT: `WITH CHECK (${OWN})`,
    UPDATE: `USING (${OWN}) WITH CHECK (${OWN})`,
    DELETE: `USING (${OWN})`,
    ...replaced,
  };
  const created = Object.entries(policies)
    .filter(([, policy]) => policy !== '')
    .map(([command, policy]) => `CREATE POLICY note_${command} ON note FOR ${command} ${policy}`);
  return ['DROP POLICY note_tenant_isolation_policy ON note', ...created].join(';\n');
}

describe('expectIsolated() on a broken set-up', () => {
  let database: TestDatabase;
  // The template is kept as long as one database of it is in use.
  let kept: TestDatabase;

  beforeAll(async () => {
    kept = await kitDatabase(NOTES);
  });
  afterAll(() => kept?.destroy());
  beforeEach(async () => {
    database = await kitDatabase(NOTES);
  });
  afterEach(() => database?.destroy());

  async function asSuperuser(sql: string): Promise<pg.QueryResult> {
    const client = new pg.Client({ connectionString: database.url('superuser') });
    await client.connect();
    try {
      return await client.query(sql);
    } finally {
      await client.end();
    }
  }

  /** What the assertion says; '' if it passes. Whatever it says, it leaves no row. */
  async function verdict(dataSource = database.dataSource): Promise<string> {
    const message = await expectIsolated(Note, { dataSource }).then(
      () => '',
      (error: unknown) => {
        if (error instanceof IsolationAssertionError) return error.message;
        throw error;
      },
    );
    const { rows } = await asSuperuser(
      'SELECT count(*)::int AS left FROM (SELECT FROM note UNION ALL SELECT FROM folder UNION ALL SELECT FROM topic) AS rows',
    );
    expect(rows).toEqual([{ left: 0 }]);
    return message;
  }

  /** An isolated data source of another login. */
  async function verdictAs(url: string): Promise<string> {
    const other = await new DataSource({ type: 'postgres', url, entities: NOTES }).initialize();
    const { adminRole } = KIT_ROLES;
    try {
      return await verdict(await isolateDataSource(other, { tenantIdType: 'uuid', adminRole }));
    } finally {
      await other.destroy();
    }
  }

  async function verdictAsRole(attributes: string, grants: (role: string) => string): Promise<string> {
    const role = `kit_${randomUUID().slice(0, 8)}`;
    await asSuperuser(
      `CREATE ROLE ${role} LOGIN PASSWORD 'test' ${attributes};
       GRANT USAGE ON SCHEMA public TO ${role};
       GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO ${role};
       GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO ${role};
       ${grants(role)}`,
    );
    try {
      const url = new URL(database.url('superuser'));
      url.username = role;
      url.password = 'test';
      return await verdictAs(url.toString());
    } finally {
      await asSuperuser(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
    }
  }

  it('passes before it is broken', async () => {
    expect(await verdict()).toBe('');
  });

  it.each<[what: string, sql: string, says: string[], saysNot: string[]]>([
    [
      'no row-level security',
      'ALTER TABLE note DISABLE ROW LEVEL SECURITY',
      [
        '- reads the row with raw SQL\n',
        '- reads the row by its primary key\n',
        '- reads the row with an empty tenant setting\n',
        '- inserts a row for the other tenant with raw SQL\n',
        '- updates the row with raw SQL\n',
        '- moves an own row to the other tenant with raw SQL: the policies let it by, only a constraint stopped it',
        '- deletes the row with raw SQL\n',
        '- overwrites the row with INSERT … ON CONFLICT (id) DO UPDATE\n',
        'RLS004 rls-not-enabled',
      ],
      [],
    ],
    [
      'a policy that adds an OR',
      `ALTER POLICY note_tenant_isolation_policy ON note USING (${OWN} OR slug IS NOT NULL)`,
      ['- reads the row with raw SQL\n', '- deletes the row with raw SQL\n', 'The audit says:'],
      ['- inserts a row for the other tenant'],
    ],
    [
      'a second permissive policy',
      'CREATE POLICY everybody ON note FOR SELECT USING (true)',
      ['- reads the row with raw SQL\n', '- reads the row with an empty tenant setting\n'],
      ['- deletes the row', '- updates the row'],
    ],
    [
      'a policy that lets everything by where there is no tenant',
      `ALTER POLICY note_tenant_isolation_policy ON note
         USING (${OWN} OR NULLIF(current_setting('rls.current_tenant', true), '') IS NULL)`,
      ['- reads the row with an empty tenant setting\n'],
      ['- reads the row with raw SQL', '- updates the row'],
    ],
    [
      'inserts that are not checked',
      policiesByCommand({ INSERT: 'WITH CHECK (true)' }),
      ['- inserts a row for the other tenant with raw SQL\n'],
      ['- reads the row', '- moves'],
    ],
    [
      'updates whose new row is not checked',
      policiesByCommand({ UPDATE: `USING (${OWN}) WITH CHECK (true)` }),
      [
        '- moves own rows to the other tenant with an UPDATE without WHERE: the policies let it by, only a constraint stopped it',
      ],
      ['- reads the row', '- updates the row', '- takes the row'],
    ],
    [
      'updates that see every row',
      policiesByCommand({ UPDATE: `USING (true) WITH CHECK (${OWN})` }),
      ['- takes the row with an UPDATE without WHERE'],
      ['- reads the row', '- updates the row with raw SQL', '- deletes the row'],
    ],
    [
      'deletes that see every row',
      policiesByCommand({ DELETE: 'USING (true)' }),
      ['- deletes the row with a DELETE without WHERE\n'],
      ['- reads the row', '- deletes the row with raw SQL'],
    ],
    [
      'no policy for DELETE',
      policiesByCommand({ DELETE: '' }),
      [
        '- deletes the row with raw SQL: nothing was proven, because a tenant cannot do that to its own row either (it reached no row)',
      ],
      ['- reads the row', '- updates the row'],
    ],
    [
      'no policy for INSERT',
      policiesByCommand({ INSERT: '' }),
      ['Nothing was proven: a row of "Note" for tenant', 'look at the policies'],
      [],
    ],
    [
      'no policy for the admin',
      'DROP POLICY note_admin_policy ON note',
      ['Nothing was proven: the admin does not see the row', 'protectTable()'],
      [],
    ],
    [
      'a trigger that swallows rows',
      `CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
       CREATE TRIGGER swallow BEFORE INSERT ON note FOR EACH ROW EXECUTE FUNCTION swallow()`,
      ['Nothing was proven: '],
      [],
    ],
    [
      'a foreign key without the tenant',
      `DO $$ DECLARE key text; BEGIN
         SELECT conname INTO key FROM pg_constraint WHERE conrelid = 'note'::regclass AND contype = 'f';
         EXECUTE format('ALTER TABLE note DROP CONSTRAINT %I', key);
       END $$;
       ALTER TABLE note ADD FOREIGN KEY ("folderId") REFERENCES folder (id)`,
      ['- refers to a row of the other tenant through "folder"\n'],
      ['- reads the row', 'nothing was proven'],
    ],
    [
      'a unique key without the tenant',
      'ALTER TABLE note ADD UNIQUE (slug)',
      ['- learns what values the row has from INSERT … ON CONFLICT (slug) DO NOTHING\n'],
      ['- overwrites the row', 'nothing was proven'],
    ],
    [
      'a unique key without the tenant under an open policy',
      'ALTER TABLE note ADD UNIQUE (slug); CREATE POLICY everybody ON note USING (true)',
      [
        '- overwrites the row with INSERT … ON CONFLICT (slug) DO UPDATE\n',
        '- overwrites the row with INSERT … ON CONFLICT (tenant_id, slug) DO UPDATE\n',
      ],
      [],
    ],
    [
      'a join table without row-level security',
      'ALTER TABLE note_topic DISABLE ROW LEVEL SECURITY',
      [
        '- reads links of the row in join table "note_topic"\n',
        '- deletes links of the row in join table "note_topic"\n',
      ],
      ['- reads the row'],
    ],
    [
      'a join table without composite foreign keys',
      `DO $$ DECLARE key text; BEGIN
         FOR key IN SELECT conname FROM pg_constraint WHERE conrelid = 'note_topic'::regclass AND contype = 'f' LOOP
           EXECUTE format('ALTER TABLE note_topic DROP CONSTRAINT %I', key);
         END LOOP;
       END $$;
       ALTER TABLE note_topic ADD FOREIGN KEY ("topicId") REFERENCES topic (id)`,
      ['- links an own row to one of the other tenant in join table "note_topic"\n'],
      ['- reads the row'],
    ],
    [
      'TRUNCATE',
      `GRANT TRUNCATE ON note TO ${KIT_ROLES.appRole}`,
      ['The app role may TRUNCATE table "note"', 'REVOKE TRUNCATE'],
      [],
    ],
    [
      'no privilege at all',
      `REVOKE ALL ON note FROM ${KIT_ROLES.appRole}`,
      ['Nothing was proven: the app role may not read table "note"'],
      [],
    ],
  ])('fails with %s', async (_what, sql, says, saysNot) => {
    await asSuperuser(sql);
    const message = await verdict();
    for (const text of says) expect(message).toContain(text);
    for (const text of saysNot) expect(message).not.toContain(text);
  });

  it('names each attack that gets through where neither the database nor the library is in the way', async () => {
    const open = await kitDatabase(NOTES, { autoScope: false, onMissingTenant: 'empty' });
    try {
      const client = new pg.Client({ connectionString: open.url('superuser') });
      await client.connect();
      await client.query('ALTER TABLE folder DISABLE ROW LEVEL SECURITY');
      await client.end();
      const message = await expectIsolated(Folder, open).catch((error: Error) => error.message);
      const attacks = String(message).match(/^ {2}- .*$/gm);
      expect(attacks).toEqual(
        [
          'reads the row with find()',
          'reads the row by its primary key',
          'counts the row',
          'reads the row with a query builder',
          'reads the row with raw SQL',
          'locks the row with SELECT … FOR UPDATE',
          'reads the row without a tenant context',
          'reads the row with an empty tenant setting',
          'inserts a row for the other tenant with raw SQL',
          'updates the row with raw SQL',
          'updates the row with a query builder',
          'takes the row with an UPDATE without WHERE',
          'moves an own row to the other tenant with raw SQL',
          'moves own rows to the other tenant with an UPDATE without WHERE',
          'deletes the row with raw SQL',
          'deletes the row with a repository',
          'deletes the row with a DELETE without WHERE',
          'overwrites the row with INSERT … ON CONFLICT (id) DO UPDATE',
          'overwrites the row with INSERT … ON CONFLICT (tenant_id, id) DO UPDATE',
        ].map((way) => `  - ${way}`),
      );
    } finally {
      await open.destroy();
    }
  });

  it.each([
    ['owns the table, which is not forced', 'ALTER TABLE note NO FORCE ROW LEVEL SECURITY'],
    ['owns the table, which is forced', 'SELECT 1'],
  ])('fails as a role that %s', async (_what, sql) => {
    await asSuperuser(sql);
    expect(await verdictAs(database.url('migration'))).toContain(
      `Nothing was proven: the data source connects as role "${KIT_ROLES.migrationRole}", which owns table "note"`,
    );
  });

  it('fails as a superuser', async () => {
    expect(await verdictAs(database.url('superuser'))).toContain('which is a superuser');
  });

  it('fails as a role with BYPASSRLS', async () => {
    expect(await verdictAsRole('BYPASSRLS', () => '')).toContain('which has BYPASSRLS');
  });

  since16('fails as a role that inherits the admin role', async () => {
    const message = await verdictAsRole(
      'INHERIT',
      (role) => `GRANT ${KIT_ROLES.adminRole} TO ${role} WITH INHERIT TRUE, SET TRUE`,
    );
    expect(message).toContain('- reads the row with raw SQL\n');
    expect(message).toContain('The audit says:');
  });

  it('fails as a role that may not become the admin', async () => {
    expect(await verdictAsRole('', () => '')).toMatch(/Nothing was proven: .*(refused|permission denied)/s);
  });

  it('fails on a data source that is not isolated', async () => {
    const plain = new DataSource({ type: 'postgres', url: database.url('app'), entities: NOTES });
    await plain.initialize();
    try {
      expect(await verdict(plain)).toMatch(/Nothing was proven: the data source .* is not isolated/);
    } finally {
      await plain.destroy();
    }
  });

  it('fails on an entity that is not tenant-scoped', async () => {
    await expect(expectIsolated(Country, database)).rejects.toThrow(
      'Nothing was proven: "Country" is not tenant-scoped.',
    );
  });

  it('fails if both tenants are one', async () => {
    const id = randomUUID();
    await expect(expectIsolated(Note, { ...database, tenants: [id, id.toUpperCase()] })).rejects.toThrow(
      'Nothing was proven: both tenants are the same.',
    );
  });
});
