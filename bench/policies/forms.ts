import pg from 'pg';
import { DataSource } from 'typeorm';
import { protectJoinTable, protectTable } from 'nestjs-rls-tenants/migrations';
import { APP_ROLE, MIGRATION_ROLE, type BenchServer } from '../support/server.js';
import { JOIN_TABLE, TENANT_TABLES } from './data.sql.js';

const TENANT = `NULLIF(current_setting('rls.current_tenant', true), '')::uuid`;

/** Policies of other forms. All of them read the setting that is carried, so that nothing but the form differs. */
export const OTHER_FORMS = {
  /** django-rls-tenants 1.3.0. */
  case: `CASE WHEN (SELECT current_setting('rls.is_admin', true)) = 'true' THEN true ELSE tenant_id = NULLIF((SELECT current_setting('rls.current_tenant', true)), '')::uuid END`,
  or: `tenant_id = (SELECT ${TENANT}) OR (SELECT current_setting('rls.is_admin', true)) = 'true'`,
  /** RowLevelSecurityConstraint of prowler. */
  prowler: `CASE WHEN current_setting('rls.current_tenant', true) IS NULL THEN false ELSE tenant_id = current_setting('rls.current_tenant')::uuid END`,
  subselect: `tenant_id = (SELECT ${TENANT})`,
};

/** `none`: row-level security is disabled. */
export type Form = 'none' | 'library' | keyof typeof OTHER_FORMS;

/** The policies of a database, which take one form at a time. */
export interface Policies {
  /** The library's predicate, as PostgreSQL prints it. */
  readonly libraryPredicate: string;
  take(form: Form): Promise<void>;
  close(): Promise<void>;
}

/** Protects every tenant table as a migration of the library does. */
export async function protectTables(server: BenchServer, database: string): Promise<Policies> {
  const migrator = await new DataSource({
    type: 'postgres',
    url: server.url(MIGRATION_ROLE, database),
  }).initialize();
  try {
    const queryRunner = migrator.createQueryRunner();
    const settings = { tenantIdType: 'uuid', appRole: APP_ROLE } as const;
    for (const table of TENANT_TABLES) {
      const operation =
        table === JOIN_TABLE
          ? protectJoinTable({ joinTable: table, form: 'existing-column', ...settings })
          : protectTable({ table, ...settings });
      await operation.up(queryRunner);
    }
    await queryRunner.release();
  } finally {
    await migrator.destroy();
  }
  const client = new pg.Client({ connectionString: server.url('postgres', database) });
  await client.connect();
  return switchable(client, await readPolicies(client));
}

async function switchable(client: pg.Client, policies: Policy[]): Promise<Policies> {
  const [libraryPredicate, ...others] = new Set(policies.map(({ predicate }) => predicate));
  if (policies.length !== TENANT_TABLES.length || libraryPredicate === undefined || others.length > 0) {
    throw new Error(`Expected one policy of one form on each tenant table: ${JSON.stringify(policies)}`);
  }
  let current: Form = 'library';
  const take = async (form: Form) => {
    if (form === current) return;
    const predicate = form === 'library' || form === 'none' ? libraryPredicate : OTHER_FORMS[form];
    const statements = policies.flatMap(({ table, policy }) => [
      `ALTER TABLE ${table} ${form === 'none' ? 'DISABLE' : 'ENABLE'} ROW LEVEL SECURITY`,
      `ALTER POLICY ${policy} ON ${table} USING (${predicate}) WITH CHECK (${predicate})`,
    ]);
    await client.query(statements.join(';'));
    current = form;
  };
  return { libraryPredicate, take, close: () => client.end() };
}

interface Policy {
  table: string;
  policy: string;
  predicate: string;
}

/** The tenants' policies: the admin's is for its role only. */
async function readPolicies(client: pg.Client): Promise<Policy[]> {
  const { rows } = await client.query<Policy>(
    `SELECT tablename AS table, policyname AS policy, qual AS predicate FROM pg_policies WHERE roles = '{public}'`,
  );
  return rows;
}
