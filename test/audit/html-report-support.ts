import { auditTables, judgeReport, type JudgedReport } from '../../libs/rls-tenants/src/audit/index.js';
import { inheritSql } from '../support/database.js';
import { createNoteDatabase, declared, withQuery, type NoteDatabase } from './audit-support.js';

/** Names that would be markup, or the end of a string or a comment, if somebody forgot to escape them. */
export const TRAPS = {
  table: `<script>alert('owned')</script>`,
  policy: `"><img src=x onerror="alert('owned')">`,
  partition: `event_'--/*&amp;`,
} as const;

/** A database with many holes, names that are traps, and twelve roles around its tables. */
export interface LeakyDatabase {
  /** The audited role first; without the server's own. */
  readonly roles: readonly string[];
  /** A role that has nothing to do with any of them. */
  readonly stranger: string;
  audit(): Promise<JudgedReport>;
  drop(): Promise<void>;
}

/** Makes the holes. */
export async function createLeakyDatabase(): Promise<LeakyDatabase> {
  const db = await createNoteDatabase();
  const role = (name: string) => db.roles.app.replace(/^app/, name);
  const others = [
    'ada',
    'billing_service_of_the_monthly_reports',
    'bob',
    'deploy',
    'dba',
    'developers',
    'operators',
    'reader',
    'support',
  ].map(role);
  const stranger = role('stranger');
  await db.asSuperuser(
    `CREATE ROLE ${stranger}; ${others.map((name) => `CREATE ROLE ${name}`).join(';')};
     ALTER ROLE ${role('dba')} BYPASSRLS;
     ALTER ROLE ${role('ada')} LOGIN; ALTER ROLE ${role('bob')} LOGIN; ALTER ROLE ${role('deploy')} LOGIN CREATEROLE;
     ${inheritSql(role('deploy'), db.roles.migrator, true)};
     GRANT ${role('developers')} TO ${role('ada')}, ${role('bob')};
     GRANT ${role('operators')} TO ${role('developers')};
     GRANT ${db.roles.migrator}, ${role('dba')} TO ${role('operators')};
     GRANT ${role('reader')} TO ${db.roles.app};
     GRANT ${role('support')} TO ${role('reader')} WITH ADMIN OPTION;
     GRANT ${role('billing_service_of_the_monthly_reports')} TO ${role('support')};
     GRANT ${db.roles.app} TO ${role('deploy')} WITH ADMIN OPTION`,
  );
  await db.as('migrator', holesSql(db));
  return {
    roles: [...Object.values(db.roles), ...others],
    stranger,
    audit: () => auditLeaky(db),
    drop: async () => {
      await db.asSuperuser(
        [...others, stranger].map((name) => `DROP OWNED BY ${name}; DROP ROLE ${name}`).join(';'),
      );
      await db.drop();
    },
  };
}

async function auditLeaky(db: NoteDatabase): Promise<JudgedReport> {
  const tables = [db.note, declared('missing', { entityName: 'Missing' })];
  const report = await withQuery(db.url('app'), (query) =>
    auditTables(query, tables, { adminRole: db.roles.admin }),
  );
  return judgeReport(report);
}

function holesSql({ roles: { app, admin } }: NoteDatabase): string {
  const trap = `"${TRAPS.table}"`;
  return `
    CREATE TABLE ${trap} (id int PRIMARY KEY, tenant_id uuid, email text UNIQUE, note_id int REFERENCES note);
    ALTER TABLE ${trap} ENABLE ROW LEVEL SECURITY;
    CREATE POLICY "${TRAPS.policy.replaceAll('"', '""')}" ON ${trap}
      USING (tenant_id = current_setting('rls.current_tenant')::uuid OR email = '</script><b>x</b>' OR current_setting('app.admin', true) = 'on');
    CREATE TABLE event (id int, tenant_id uuid NOT NULL, at date, PRIMARY KEY (id, tenant_id, at)) PARTITION BY RANGE (at);
    CREATE TABLE "${TRAPS.partition}" PARTITION OF event FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
    CREATE TABLE event_old PARTITION OF event FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
    ALTER TABLE event ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
    CREATE POLICY event_tenant_isolation_policy ON event
      USING (tenant_id = NULLIF(current_setting('rls.current_tenant', true), '')::uuid);
    CREATE TABLE bare (id int PRIMARY KEY, tenant_id uuid NOT NULL, secret text);
    CREATE TABLE invoice (id int PRIMARY KEY, tenant_id uuid NOT NULL, number int, UNIQUE (tenant_id, number));
    ALTER TABLE invoice ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
    CREATE POLICY invoice_open ON invoice USING (true);
    CREATE POLICY invoice_floor ON invoice AS RESTRICTIVE FOR SELECT TO ${app}
      USING (tenant_id = NULLIF(current_setting('rls.current_tenant', true), '')::uuid);
    CREATE VIEW all_notes AS SELECT * FROM note;
    CREATE MATERIALIZED VIEW note_count AS SELECT tenant_id, count(*) FROM note GROUP BY 1;
    CREATE FUNCTION count_notes(since date, "limit" int) RETURNS bigint LANGUAGE sql SECURITY DEFINER
      AS $$ SELECT count(*) FROM note -- <b>all of them</b>
      $$;
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO ${app}, ${admin};
    GRANT TRUNCATE, TRIGGER, REFERENCES ON bare TO ${app};
    GRANT SELECT ON bare TO PUBLIC;`;
}
