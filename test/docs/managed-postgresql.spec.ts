import pg from 'pg';
import { setupRolesSql } from '../../libs/rls-tenants/src/migrations/index.js';
import { createTestDatabase, SERVER_VERSION, type TestDatabase } from '../support/database.js';
import { fencesOf, pageText } from './support/pages.js';

/** What a provider gives: a login that creates roles and databases, and is no superuser. */
describe('setup-roles at a provider that gives no superuser', () => {
  let db: TestDatabase;
  let owner: pg.Client;
  const name = (role: string) => `${role}_${db.name}`;

  beforeAll(async () => {
    db = await createTestDatabase();
    await db.asSuperuser(
      `CREATE ROLE ${name('owner')} LOGIN CREATEROLE CREATEDB PASSWORD 'test';
       ALTER DATABASE ${db.name} OWNER TO ${name('owner')};
       ALTER SCHEMA public OWNER TO pg_database_owner`,
    );
    const url = new URL(db.url());
    url.username = name('owner');
    url.password = 'test';
    owner = new pg.Client({ connectionString: url.href });
    await owner.connect();
    await owner.query(`CREATE TABLE note (id int PRIMARY KEY, tenant_id uuid NOT NULL)`);
  });
  afterAll(async () => {
    await owner.end();
    await db.asSuperuser(
      `DROP OWNED BY ${name('migrator')} CASCADE; DROP OWNED BY ${name('app')}; DROP OWNED BY ${name('rls_admin')}; DROP OWNED BY ${name('app_admin')};
       ALTER DATABASE ${db.name} OWNER TO CURRENT_USER;
       DROP OWNED BY ${name('owner')} CASCADE`,
    );
    await db.asSuperuser(
      `DROP ROLE ${['app', 'migrator', 'rls_admin', 'app_admin', 'owner'].map((role) => name(role)).join(', ')}`,
    );
    await db.drop();
  });

  it('runs as that login after the page’s SQL, and leaves the roles as they should be', async () => {
    const [preparation] = fencesOf(pageText('docs/guides/managed-postgresql.md')).filter(
      ({ language }) => language === 'sql',
    );
    await owner.query(preparation!.text.replaceAll(/\b(app|migrator|rls_admin)\b/g, (role) => name(role)));
    const roles = {
      appRole: name('app'),
      migrationRole: name('migrator'),
      adminRole: name('rls_admin'),
    };
    for (const { sql } of setupRolesSql(roles)) await owner.query(sql);
    const [row] = await db.asSuperuser(
      `SELECT pg_has_role($1, $3, 'MEMBER') AS may, pg_has_role($1, $3, 'USAGE') AS inherits,
         pg_has_role($2, $3, 'USAGE') AS migrator,
         (SELECT relowner::regrole::text FROM pg_class WHERE relname = 'note') AS owner`,
      [name('app'), name('migrator'), name('rls_admin')],
    );
    expect(row).toEqual({ may: true, inherits: false, migrator: true, owner: name('migrator') });
    expect(SERVER_VERSION).toBeGreaterThan(0);
  });

  it('makes the login of admin contexts as well, and then the app role may not become the admin role', async () => {
    const [, preparation] = fencesOf(pageText('docs/guides/managed-postgresql.md')).filter(
      ({ language }) => language === 'sql',
    );
    await owner.query(preparation!.text.replace('app_admin', name('app_admin')));
    const roles = {
      appRole: name('app'),
      migrationRole: name('migrator'),
      adminRole: name('rls_admin'),
      adminLogin: name('app_admin'),
    };
    for (const { sql } of setupRolesSql(roles)) await owner.query(sql);
    const [row] = await db.asSuperuser(
      `SELECT pg_has_role($1, $3, 'MEMBER') AS app, pg_has_role($2, $3, 'MEMBER') AS admins, pg_has_role($2, $3, 'USAGE') AS inherits`,
      [name('app'), name('app_admin'), name('rls_admin')],
    );
    expect(row).toEqual({ app: false, admins: true, inherits: false });
  });
});
