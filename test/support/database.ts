import pg from 'pg';
import { randomUUID } from 'node:crypto';

/** The roles of DESIGN.md section 7, for one test database. Names are unique, because roles belong to the server. */
export interface TestRoles {
  app: string;
  migrator: string;
  admin: string;
}

/** A database of its own for one suite, with the three roles and connections for each of them. */
export interface TestDatabase {
  readonly name: string;
  readonly roles: TestRoles;
  /** Connection string for `role` (`'superuser'` by default). */
  url(role?: keyof TestRoles | 'superuser'): string;
  /** Runs SQL as superuser: for set-up and for controls that prove hidden rows exist. */
  asSuperuser<Row extends pg.QueryResultRow = pg.QueryResultRow>(
    sql: string,
    values?: unknown[],
  ): Promise<Row[]>;
  /** Runs several statements as one role in one simple query. */
  as<Row extends pg.QueryResultRow = pg.QueryResultRow>(
    role: keyof TestRoles,
    sql: string,
    values?: unknown[],
  ): Promise<Row[]>;
  drop(): Promise<void>;
}

const PASSWORD = 'test';

/** The server's version as a number, for example 180001; global-setup.mjs asks for it. */
export const SERVER_VERSION = Number(process.env.TEST_SERVER_VERSION);

/**
 * For tests of memberships that are inherited one by one: they have options of their own since PostgreSQL 16. Before,
 * INHERIT is the member's attribute, and an app role that inherits any role inherits the admin role too.
 */
export const since16 = SERVER_VERSION >= 160000 ? it : it.skip;

/** SQL that makes a member of `role` inherit it or not; before PostgreSQL 16 that is the member's attribute. */
export function inheritSql(member: string, role: string, inherit: boolean): string {
  return SERVER_VERSION >= 160000
    ? `GRANT ${role} TO ${member} WITH INHERIT ${inherit}`
    : `GRANT ${role} TO ${member}; ALTER ROLE ${member} ${inherit ? 'INHERIT' : 'NOINHERIT'}`;
}

/**
 * Creates the database and its roles: `app` (LOGIN, no privileges beyond CONNECT and USAGE on public), `migrator`
 * (LOGIN, owns the schema public, inherits `admin`) and `admin` (NOLOGIN). The app role may SET ROLE admin and does not
 * inherit it. Nobody but the migrator creates in public, as is the default since PostgreSQL 15.
 */
export async function createTestDatabase(): Promise<TestDatabase> {
  const serverUrl = process.env.TEST_DATABASE_URL!;
  const suffix = randomUUID().slice(0, 8);
  const name = `rls_${suffix}`;
  const roles = { app: `app_${suffix}`, migrator: `migrator_${suffix}`, admin: `admin_${suffix}` };

  await query(serverUrl, `CREATE DATABASE ${name}`);
  const url = (role: keyof TestRoles | 'superuser' = 'superuser') => {
    const target = new URL(serverUrl);
    target.pathname = `/${name}`;
    if (role !== 'superuser') {
      target.username = roles[role];
      target.password = PASSWORD;
    }
    return target.toString();
  };
  const member = SERVER_VERSION >= 160000 ? 'WITH INHERIT FALSE, SET TRUE' : '';
  await query(
    url(),
    `CREATE ROLE ${roles.admin} NOLOGIN;
     CREATE ROLE ${roles.app} LOGIN PASSWORD '${PASSWORD}' NOINHERIT;
     CREATE ROLE ${roles.migrator} LOGIN PASSWORD '${PASSWORD}';
     GRANT ${roles.admin} TO ${roles.app} ${member};
     GRANT ${roles.admin} TO ${roles.migrator};
     ALTER SCHEMA public OWNER TO ${roles.migrator};
     REVOKE CREATE ON SCHEMA public FROM PUBLIC;
     GRANT CREATE ON DATABASE ${name} TO ${roles.migrator};
     GRANT USAGE ON SCHEMA public TO ${roles.app}, ${roles.admin}`,
  );

  return {
    name,
    roles,
    url,
    asSuperuser: (sql, values) => query(url(), sql, values),
    as: (role, sql, values) => {
      if (role === 'admin') throw new Error('The admin role cannot log in.');
      return query(url(role), sql, values);
    },
    async drop() {
      await query(serverUrl, `DROP DATABASE ${name} WITH (FORCE)`);
      await query(serverUrl, `DROP ROLE ${Object.values(roles).join(', ')}`);
    },
  };
}

async function query<Row extends pg.QueryResultRow>(
  connectionString: string,
  sql: string,
  values?: unknown[],
): Promise<Row[]> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    const result: unknown = await client.query<Row>(sql, values);
    // Several statements give several results; the last one is the caller's.
    const last = (Array.isArray(result) ? result.at(-1) : result) as pg.QueryResult<Row>;
    return last.rows;
  } finally {
    await client.end();
  }
}
