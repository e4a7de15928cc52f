import type { AuditReport } from '../../libs/rls-tenants/src/audit/index.js';
import { inheritSql } from '../support/database.js';
import { A, B, createNoteDatabase, declared, protectSql, type NoteDatabase } from './audit-support.js';
import { probe, probeFindings, probeLeaks } from './probe-support.js';

jest.setTimeout(60_000);

const TENANT = `NULLIF(current_setting('rls.current_tenant', true), '')::uuid`;

let db: NoteDatabase;
const withRoles = (sql: string) => sql.replaceAll('$APP', db.roles.app).replaceAll('$ADMIN', db.roles.admin);
const migrate = (sql: string) => db.as('migrator', withRoles(sql));
const asSuperuser = (sql: string) => db.asSuperuser(withRoles(sql));

/** A protected table with a row of each of two tenants. */
async function createTable(table: string): Promise<void> {
  await migrate(`
    CREATE TABLE ${table} (id int PRIMARY KEY, tenant_id uuid, body text NOT NULL);
    ${protectSql(declared(table), db.roles.admin)}
    GRANT SELECT, INSERT, UPDATE, DELETE ON ${table} TO $APP, $ADMIN`);
  await asSuperuser(`INSERT INTO ${table} VALUES (1, '${A}', 'a'), (2, '${B}', 'b')`);
}

/** What replaces the tenant policy. */
const policy = (table: string, rest: string) =>
  `DROP POLICY ${table}_tenant_isolation_policy ON ${table}; CREATE POLICY p ON ${table} ${rest};`;

const reads = ['PRB001', 'PRB002', 'PRB003'];
const unprotected = [...reads, 'PRB004'];

interface Hole {
  /** Made and protected before. */
  table?: string;
  sql: string;
  /** Default: the migration role. */
  by?: 'superuser';
  /** The object that leaks. Default: the table. */
  object?: string;
  /** What reading finds. */
  reads: string[];
  /** What writing finds besides: how. */
  writes?: string;
}

const HOLES: Record<string, Hole> = {
  'nothing at all: the control': { table: 'safe', sql: 'SELECT 1', reads: [] },
  'row-level security is off': {
    table: 'off',
    sql: 'ALTER TABLE off DISABLE ROW LEVEL SECURITY',
    reads: unprotected,
    writes: 'adds a row for another tenant',
  },
  'the app role owns a table that is not forced': {
    table: 'owned',
    sql: 'ALTER TABLE owned NO FORCE ROW LEVEL SECURITY; ALTER TABLE owned OWNER TO $APP',
    by: 'superuser',
    reads: unprotected,
    writes: 'moves a row to another tenant',
  },
  'a permissive policy that is true': {
    table: 'open',
    sql: 'CREATE POLICY p ON open FOR SELECT USING (true)',
    reads,
  },
  'a predicate that fails open': {
    table: 'failing',
    sql: policy(
      'failing',
      `USING (COALESCE(NULLIF(current_setting('rls.current_tenant', true), ''), tenant_id::text) = tenant_id::text)`,
    ),
    reads: ['PRB001'],
  },
  'rows of nobody that everybody sees': {
    table: 'nobodys',
    sql: `${policy('nobodys', `USING (tenant_id = ${TENANT} OR tenant_id IS NULL) WITH CHECK (tenant_id = ${TENANT})`)}
          ALTER TABLE nobodys NO FORCE ROW LEVEL SECURITY; INSERT INTO nobodys VALUES (3, NULL, 'x');
          ALTER TABLE nobodys FORCE ROW LEVEL SECURITY`,
    reads,
    writes: 'takes the rows of other tenants with an UPDATE without WHERE',
  },
  'WITH CHECK (true) for INSERT': {
    table: 'checked',
    sql: policy('checked', `USING (tenant_id = ${TENANT}) WITH CHECK (true)`),
    reads: [],
    writes: 'adds a row for another tenant',
  },
  'WITH CHECK (true) for UPDATE, which the SELECT policy covers up where there is a WHERE': {
    table: 'moved',
    sql: `CREATE POLICY p ON moved FOR UPDATE USING (tenant_id = ${TENANT}) WITH CHECK (true)`,
    reads: [],
    writes: 'moves rows to another tenant with an UPDATE without WHERE',
  },
  'an UPDATE policy that reaches all rows, which no SELECT shows': {
    table: 'taken',
    sql: 'CREATE POLICY p ON taken FOR UPDATE USING (true)',
    reads: [],
    writes: 'takes the rows of other tenants with an UPDATE without WHERE',
  },
  'a DELETE policy that reaches all rows, which no SELECT shows': {
    table: 'purged',
    sql: 'CREATE POLICY p ON purged FOR DELETE USING (true)',
    reads: [],
    writes: 'deletes the rows of other tenants with a DELETE without WHERE',
  },
  'rows that are read by all can be taken over by ON CONFLICT': {
    table: 'upserted',
    sql: `CREATE POLICY s ON upserted FOR SELECT USING (true); CREATE POLICY u ON upserted FOR UPDATE USING (true)`,
    reads,
    writes: 'takes a row of another tenant with ON CONFLICT DO UPDATE',
  },
  'rows that are read by all can be locked and deleted': {
    table: 'deleted',
    sql: `CREATE POLICY s ON deleted FOR SELECT USING (true); CREATE POLICY d ON deleted FOR DELETE USING (true);
          CREATE POLICY u ON deleted FOR UPDATE USING (true) WITH CHECK (tenant_id = ${TENANT})`,
    reads,
    writes: 'deletes a row of another tenant',
  },
  'a setting that opens the policy': {
    table: 'flagged',
    sql: policy(
      'flagged',
      `USING (tenant_id = ${TENANT} OR current_setting('app.mode', true) = 'support-desk') WITH CHECK (tenant_id = ${TENANT})`,
    ),
    reads: ['PRB010'],
  },
  'an immutable context function, whose first answer stays in the plan': {
    table: 'planned',
    sql: `CREATE FUNCTION folded() RETURNS uuid IMMUTABLE LANGUAGE sql
            AS $f$ SELECT NULLIF(current_setting('rls.current_tenant', true), '')::uuid $f$;
          ${policy('planned', 'USING (tenant_id = folded())')}`,
    reads: ['PRB009'],
  },
  'a policy function that falls back to some tenant': {
    table: 'fallback',
    sql: `CREATE FUNCTION some_tenant() RETURNS uuid STABLE LANGUAGE plpgsql AS $f$
          BEGIN RETURN coalesce(nullif(current_setting('rls.current_tenant', true), ''), '${B}'); END $f$;
          ${policy('fallback', 'USING (tenant_id = (SELECT some_tenant()))')}`,
    reads: ['PRB001'],
  },
  'a policy function that answers otherwise once a second setting is made': {
    table: 'impersonated',
    sql: `CREATE FUNCTION other_tenant() RETURNS uuid STABLE LANGUAGE plpgsql AS $f$
          BEGIN
            IF current_setting('app.impersonate', true) = 'first-customer' THEN RETURN '${B}'; END IF;
            RETURN nullif(current_setting('rls.current_tenant', true), '');
          END $f$;
          ${policy('impersonated', 'USING (tenant_id = (SELECT other_tenant()))')}`,
    reads: ['PRB010'],
  },
  'a policy function that lets everybody in from some hour on': {
    table: 'evening',
    sql: `CREATE FUNCTION evening() RETURNS boolean STABLE LANGUAGE plpgsql AS $f$
          BEGIN RETURN now() > '2020-01-01 17:00'; END $f$;
          ${policy('evening', `USING (tenant_id = ${TENANT} OR evening()) WITH CHECK (tenant_id = ${TENANT})`)}`,
    reads,
    writes: 'takes a row of another tenant',
  },
  'a partition that can be read by itself': {
    table: 'whole',
    sql: `CREATE TABLE event (tenant_id uuid NOT NULL, at date NOT NULL) PARTITION BY RANGE (at);
          CREATE TABLE event_2025 PARTITION OF event FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
          INSERT INTO event VALUES ('${A}', '2025-05-01'), ('${B}', '2025-06-01');
          ALTER TABLE event ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
          CREATE POLICY event_tenant_isolation_policy ON event USING (tenant_id = ${TENANT});
          CREATE POLICY event_admin_policy ON event TO $ADMIN USING (true);
          GRANT SELECT, INSERT, UPDATE, DELETE ON event, event_2025 TO $APP, $ADMIN`,
    object: 'table "public.event_2025"',
    reads: unprotected,
    writes: 'deletes a row of another tenant',
  },
  'a view that reads as its owner': {
    sql: 'CREATE VIEW all_notes AS SELECT * FROM note; GRANT SELECT ON all_notes TO $APP',
    by: 'superuser',
    object: 'view "public.all_notes"',
    reads,
  },
  'a view that counts as its owner and shows no tenant': {
    sql: 'CREATE VIEW total AS SELECT count(*) FROM note; GRANT SELECT ON total TO $APP',
    by: 'superuser',
    object: 'view "public.total"',
    reads: ['PRB001', 'PRB002'],
  },
  'a view that counts as a role under policies: no hole': {
    sql: 'CREATE VIEW own_total AS SELECT count(*) FROM note; ALTER VIEW own_total OWNER TO $APP',
    by: 'superuser',
    object: 'view "public.own_total"',
    reads: [],
  },
  'a view that shows rows of no tenant besides: no hole': {
    sql: `CREATE TABLE country (name text); INSERT INTO country VALUES ('x'); GRANT SELECT ON country TO $APP;
          CREATE VIEW joined AS SELECT country.name, note.tenant_id FROM country LEFT JOIN note ON true;
          ALTER VIEW joined OWNER TO $APP`,
    by: 'superuser',
    object: 'view "public.joined"',
    reads: [],
  },
  'a materialized view': {
    sql: 'CREATE MATERIALIZED VIEW stored AS SELECT * FROM note; GRANT SELECT ON stored TO $APP',
    by: 'superuser',
    object: 'materialized view "public.stored"',
    reads,
  },
  'a SECURITY DEFINER function': {
    sql: `CREATE FUNCTION every_note() RETURNS SETOF note LANGUAGE sql SECURITY DEFINER AS 'SELECT * FROM note'`,
    by: 'superuser',
    object: 'function "public.every_note()"',
    reads: ['PRB008'],
  },
  'a function that packs the rows of others into JSON': {
    sql: `CREATE FUNCTION export(depth int DEFAULT 1) RETURNS jsonb LANGUAGE sql SECURITY DEFINER
            AS 'SELECT jsonb_agg(n) FROM note n'`,
    by: 'superuser',
    object: 'function "public.export(depth integer)"',
    reads: ['PRB008'],
  },
  'a function that makes itself another tenant, in a string': {
    sql: `CREATE FUNCTION report() RETURNS SETOF note LANGUAGE plpgsql AS $f$
          BEGIN
            EXECUTE 'SELECT set_config(''rls.current' || '_tenant'', ''${B}'', true)';
            RETURN QUERY EXECUTE 'SELECT * FROM no' || 'te';
          END $f$;`,
    object: 'function "public.report()"',
    reads: ['PRB008'],
  },
  'a trigger that makes the session the tenant of whatever row it writes': {
    table: 'stamped',
    sql: `CREATE FUNCTION follow_row() RETURNS trigger LANGUAGE plpgsql AS $f$
          BEGIN PERFORM set_config('rls.current_tenant', NEW.tenant_id::text, true); RETURN NEW; END $f$;
          CREATE TRIGGER follow_row BEFORE INSERT ON stamped FOR EACH ROW EXECUTE FUNCTION follow_row();
          ALTER TABLE stamped DROP CONSTRAINT stamped_pkey`,
    reads: [],
    writes: 'adds a row for another tenant',
  },
  'a sequence that tells how much all tenants do': {
    sql: `CREATE TABLE bill (id serial PRIMARY KEY, tenant_id uuid NOT NULL); GRANT SELECT ON bill_id_seq TO $APP`,
    object: 'sequence "public.bill_id_seq"',
    reads: ['PRB011'],
  },
};

/** What the probe found on one object, without remarks about the catalog. */
function foundOn(report: AuditReport, object: string): string[] {
  return probeFindings({
    ...report,
    findings: report.findings.filter((finding) => finding.object === object),
  })
    .map((finding) => finding.slice(0, 6))
    .filter((id) => !id.startsWith('PRB02'));
}

describe('the probe gets through', () => {
  let reading: AuditReport;
  let writing: AuditReport;
  beforeAll(async () => {
    db = await createNoteDatabase();
    for (const { table, sql, by } of Object.values(HOLES)) {
      if (table !== undefined) await createTable(table);
      await (by === 'superuser' ? asSuperuser(sql) : migrate(sql));
    }
    await createTable('emptied');
    await migrate('GRANT TRUNCATE ON emptied TO $APP');
    reading = await probe(db);
    writing = await probe(db, { mode: 'write' });
  });
  afterAll(() => db.drop());

  it.each(Object.entries(HOLES))('%s', (_name, { table, object = `table "public.${table}"`, ...hole }) => {
    expect(foundOn(reading, object)).toEqual(hole.reads);
    const written = writing.findings.find(
      (finding) => finding.ruleId === 'PRB005' && finding.object === object,
    );
    expect(written?.message ?? 'nothing').toContain(hole.writes ?? 'nothing');
  });

  it('TRUNCATE, where writes are asked for', () => {
    const object = 'table "public.emptied"';
    expect(foundOn(reading, object)).toEqual([]);
    expect(foundOn(writing, object)).toEqual(['PRB006']);
  });

  it('and names the catalog rules that explain it', () => {
    const leak = reading.findings.find(
      ({ ruleId, object }) => ruleId === 'PRB001' && object === 'table "public.off"',
    )!;
    expect(leak.message).toContain('RLS004');
    expect(leak.fix).toContain('Fix RLS004');
  });

  it('and says what it did not try', () => {
    expect(reading.skipped).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ id: 'PRB005', reason: 'Writes were not asked for: --probe write.' }),
        expect.objectContaining({ id: 'PRB006' }),
      ]),
    );
    expect(writing.skipped.filter(({ id }) => id.startsWith('PRB'))).toEqual([]);
  });

  it('where the catalog shows nothing: a disagreement, which is critical', () => {
    const missed = writing.findings.filter(({ ruleId }) => ruleId === 'PRB020');
    const objects = missed.map(({ object }) => object);
    expect(objects).toEqual(expect.arrayContaining(['function "public.report()"', 'table "public.stamped"']));
    expect(objects).not.toContain('table "public.off"');
    expect(new Set(missed.map(({ severity }) => severity))).toEqual(new Set(['critical']));
  });

  it('or not, where the catalog shows a hole: a remark with the reason', () => {
    const remark = (report: AuditReport) =>
      report.findings.find(
        ({ ruleId, object, message }) =>
          ruleId === 'PRB021' && object.includes('"public.checked"') && message.startsWith('RLS010'),
      );
    expect(remark(reading)).toMatchObject({
      severity: 'info',
      message: expect.stringContaining('writes were not tried'),
    });
    expect(remark(writing)).toBeUndefined();
  });
});

describe('the role is the hole', () => {
  const NOTE = 'table "public.note"';
  beforeEach(async () => {
    db = await createNoteDatabase();
  });
  afterEach(() => db.drop());

  it('BYPASSRLS', async () => {
    await asSuperuser('ALTER ROLE $APP BYPASSRLS');
    expect(probeLeaks(await probe(db))).toEqual(unprotected.map((id) => `${id} ${NOTE}`));
  });

  it('an inherited admin role', async () => {
    await asSuperuser(inheritSql(db.roles.app, db.roles.admin, true));
    expect(probeLeaks(await probe(db))).toEqual(reads.map((id) => `${id} ${NOTE}`));
  });

  it('a tenant stored for the role', async () => {
    await asSuperuser(`ALTER ROLE $APP SET rls.current_tenant = '${B}'`);
    expect(probeLeaks(await probe(db))).toEqual([`PRB001 ${NOTE}`, `PRB007 role "${db.roles.app}"`]);
  });

  it('a function alone: the catalog shows nothing, the probe does', async () => {
    await migrate(HOLES['a function that makes itself another tenant, in a string']!.sql);
    expect(probeLeaks(await probe(db))).toEqual([
      'PRB008 function "public.report()"',
      'PRB020 function "public.report()"',
    ]);
  });
});
