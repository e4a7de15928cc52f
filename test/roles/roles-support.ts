import pg from 'pg';
import { randomUUID } from 'node:crypto';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import {
  quoteIdentifier,
  setupRolesSql,
  type RolesOptions,
} from '../../libs/rls-tenants/src/policies/index.js';

/** A database without roles of its own, and three names for them that no other suite uses. */
export interface RolesDatabase extends TestDatabase {
  readonly names: { appRole: string; migrationRole: string; adminRole: string };
  /** Runs statements of {@link setupRolesSql} in one transaction, as a superuser. */
  setup(options?: Partial<RolesOptions>): Promise<void>;
  /** Runs SQL as one of the three roles, in a session of its own. */
  runAs<Row extends pg.QueryResultRow>(role: string, sql: string): Promise<Row[]>;
}

export async function createRolesDatabase(flavour = ''): Promise<RolesDatabase> {
  const db = await createTestDatabase();
  // What createTestDatabase() gives to roles of its own would hide what the set-up forgets.
  await db.asSuperuser(
    `ALTER SCHEMA public OWNER TO pg_database_owner; DROP OWNED BY ${Object.values(db.roles).join(', ')}`,
  );
  const suffix = `${flavour}${randomUUID().slice(0, 8)}`;
  const names = { appRole: `app_${suffix}`, migrationRole: `mig_${suffix}`, adminRole: `adm_${suffix}` };
  return {
    ...db,
    names,
    async setup(options) {
      const steps = setupRolesSql({ ...names, ...options });
      await db.asSuperuser(['BEGIN', ...steps.map(({ sql }) => sql), 'COMMIT'].join(';\n'));
    },
    async runAs<Row extends pg.QueryResultRow>(role: string, sql: string) {
      const url = new URL(db.url());
      url.username = encodeURIComponent(role);
      const client = new pg.Client({ connectionString: url.toString() });
      await client.connect();
      try {
        const result: unknown = await client.query<Row>(sql);
        return ((Array.isArray(result) ? result.at(-1) : result) as pg.QueryResult<Row>).rows;
      } finally {
        await client.end();
      }
    },
    async drop() {
      await db.drop();
      const server = new pg.Client({ connectionString: process.env.TEST_DATABASE_URL });
      await server.connect();
      for (const role of Object.values(names))
        await server.query(`DROP ROLE IF EXISTS ${quoteIdentifier(role)}`);
      await server.end();
    },
  };
}
