import pg from 'pg';
import { createTestDatabase } from '../support/database.js';
import { A, B, createNoteDatabase, declared, protectSql, type NoteDatabase } from './audit-support.js';
import { dumpOf, probe, probeFindings, probeLeaks, type ProbeRun } from './probe-support.js';

jest.setTimeout(30_000);

const NOTE = 'table "public.note"';

let db: NoteDatabase;
beforeEach(async () => {
  db = await createNoteDatabase();
});
afterEach(() => db.drop());

/** Runs SQL as the migration role, with $APP and $ADMIN for the roles' names. */
const migrate = (sql: string) => db.as('migrator', withRoles(sql));
const asSuperuser = (sql: string) => db.asSuperuser(withRoles(sql));
const withRoles = (sql: string) => sql.replaceAll('$APP', db.roles.app).replaceAll('$ADMIN', db.roles.admin);

const TENANT = `NULLIF(current_setting('rls.current_tenant', true), '')::uuid`;
/** Replaces the note's tenant policy. */
const policy = (rest: string) =>
  migrate(`DROP POLICY note_tenant_isolation_policy ON note; CREATE POLICY p ON note ${rest}`);

describe('what is safe', () => {
  it('gives no finding, and every table was probed', async () => {
    await migrate(`
      CREATE TABLE event (tenant_id uuid NOT NULL, at date NOT NULL, id int, PRIMARY KEY (tenant_id, id, at))
        PARTITION BY RANGE (at);
      CREATE TABLE event_2025 PARTITION OF event FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
      CREATE TABLE bill (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant_id uuid NOT NULL,
        amount numeric NOT NULL CHECK (amount > 0), doubled numeric GENERATED ALWAYS AS (amount * 2) STORED);
      ${protectSql(declared('event'), db.roles.admin)}
      ${protectSql(declared('event_2025'), db.roles.admin)}
      ${protectSql(declared('bill'), db.roles.admin)}
      GRANT SELECT, INSERT, UPDATE, DELETE ON event, event_2025, bill TO $APP, $ADMIN;
      CREATE FUNCTION my_notes() RETURNS SETOF note STABLE LANGUAGE sql AS 'SELECT * FROM note'`);
    await asSuperuser(`
      INSERT INTO event VALUES ('${A}', '2025-05-01', 1), ('${B}', '2025-06-01', 2);
      INSERT INTO bill (tenant_id, amount) VALUES ('${A}', 1), ('${B}', 2)`);
    for (const mode of ['read', 'write'] as const) {
      const report = await probe(db, { mode });
      expect(probeFindings(report)).toEqual([]);
      expect(report.probe).toMatchObject({ mode, tenants: 2, inconclusive: [] });
      expect(
        Object.fromEntries(report.probe!.probed.map(({ object, probes }) => [object, probes > 5])),
      ).toEqual({
        [`role "${db.roles.app}"`]: false,
        [NOTE]: true,
        'table "public.bill"': true,
        'table "public.event"': true,
        'table "public.event_2025"': true,
        'function "public.my_notes()"': false,
      });
    }
  });

  it('gives no finding on a partition that the admin role may not read', async () => {
    await migrate(`
      CREATE TABLE event (tenant_id uuid NOT NULL, at date NOT NULL) PARTITION BY LIST (tenant_id);
      CREATE TABLE event_a PARTITION OF event FOR VALUES IN ('${A}');
      CREATE TABLE event_b PARTITION OF event FOR VALUES IN ('${B}');
      ${['event', 'event_a', 'event_b'].map((table) => protectSql(declared(table), db.roles.admin)).join('')}
      GRANT SELECT, INSERT, UPDATE, DELETE ON event, event_a, event_b TO $APP;
      GRANT SELECT ON event TO $ADMIN`);
    await asSuperuser(`INSERT INTO event VALUES ('${A}', '2025-05-01'), ('${B}', '2025-06-01')`);
    expect(probeFindings(await probe(db))).toEqual([]);
    await migrate('ALTER TABLE event_b DISABLE ROW LEVEL SECURITY');
    expect(probeLeaks(await probe(db))).toContain('PRB003 table "public.event_b"');
  });

  it('gives no finding for a policy that raises an error without a tenant', async () => {
    await migrate(`
      CREATE FUNCTION tenant() RETURNS uuid STABLE LANGUAGE plpgsql AS $f$
      BEGIN
        IF coalesce(current_setting('rls.current_tenant', true), '') = '' THEN RAISE 'no tenant'; END IF;
        RETURN current_setting('rls.current_tenant');
      END $f$`);
    await policy('USING (tenant_id = (SELECT tenant()))');
    expect(probeLeaks(await probe(db, { mode: 'write' }))).toEqual([]);
  });

  it('gives no finding where a trigger puts the tenant right', async () => {
    await migrate(`
      CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $f$
      BEGIN NEW.tenant_id := current_setting('rls.current_tenant')::uuid; NEW.id := NEW.id + 1000; RETURN NEW; END $f$;
      CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON note FOR EACH ROW EXECUTE FUNCTION stamp()`);
    await policy(`USING (tenant_id = ${TENANT}) WITH CHECK (true)`);
    expect(probeLeaks(await probe(db, { mode: 'write' }))).toEqual([]);
  });
});

describe('what cannot be tried', () => {
  const inconclusive = async (options?: ProbeRun) =>
    (await probe(db, options)).probe!.inconclusive.map(({ reason }) => reason);

  it('an empty table is no pass', async () => {
    await asSuperuser('DELETE FROM note');
    const report = await probe(db);
    expect(probeFindings(report)).toEqual([`PRB022 ${NOTE}`]);
    expect(report.probe).toMatchObject({ tenants: 0 });
  });

  it('one tenant is no pass', async () => {
    await asSuperuser('DELETE FROM note WHERE id = 2');
    expect(await inconclusive()).toEqual(['only one tenant is known']);
  });

  it('a table that shows nobody anything is no pass', async () => {
    await policy('USING (false)');
    expect(await inconclusive()).toEqual(['a tenant does not see its own rows either']);
  });

  it('a statement that takes too long is no pass', async () => {
    await migrate(`
      CREATE VIEW slow AS SELECT note.* FROM note, pg_sleep(60);
      GRANT SELECT ON slow TO $APP`);
    await asSuperuser('ALTER VIEW slow OWNER TO $APP');
    const reasons = await inconclusive();
    expect(new Set(reasons)).toEqual(new Set(['it took longer than 3 s (SQLSTATE 57014)']));
  });

  it('a locked table is no pass, and is not waited for', async () => {
    const locker = new pg.Client({ connectionString: db.url() });
    await locker.connect();
    try {
      const reasons = await inconclusive({
        inBetween: () => locker.query('BEGIN; LOCK TABLE note'),
      });
      expect(reasons).toEqual(['it waited longer than 0.5 s for a lock (SQLSTATE 55P03)']);
    } finally {
      await locker.end();
    }
  });

  it('a function that writes is no pass, and writes nothing', async () => {
    await migrate(`
      CREATE TABLE log (at timestamptz); GRANT INSERT ON log TO $APP;
      CREATE FUNCTION noisy() RETURNS SETOF note LANGUAGE plpgsql AS $f$
      BEGIN INSERT INTO log VALUES (now()); RETURN QUERY SELECT * FROM note; END $f$`);
    expect(new Set(await inconclusive())).toEqual(
      new Set(['it writes, and the transaction is read-only (SQLSTATE 25006)']),
    );
    expect(await asSuperuser('SELECT * FROM log')).toEqual([]);
  });
});

describe('the tenants', () => {
  it('can be named', async () => {
    const report = await probe(db, { tenants: [A, B] });
    expect(probeFindings(report)).toEqual([]);
    expect(report.probe).toMatchObject({ tenants: 2, inconclusive: [] });
  });

  it('must be two different ones of their type', async () => {
    await expect(probe(db, { tenants: [A] })).rejects.toThrow('not two different ones');
    await expect(probe(db, { tenants: [A, A.toUpperCase()] })).rejects.toThrow('not two different ones');
    await expect(probe(db, { tenants: ['a', 'b'] })).rejects.toThrow('Invalid tenant id');
  });

  it('come from the table that tenant columns refer to, where no admin role is in reach', async () => {
    await asSuperuser('REVOKE $ADMIN FROM $APP');
    expect((await probe(db)).probe).toMatchObject({ tenants: 0 });
    await migrate(`CREATE TABLE tenant (id uuid PRIMARY KEY); GRANT SELECT ON tenant TO $APP`);
    await asSuperuser(`
      INSERT INTO tenant VALUES ('${A}'), ('${B}');
      ALTER TABLE note ADD FOREIGN KEY (tenant_id) REFERENCES tenant`);
    const report = await probe(db);
    expect(report.probe).toMatchObject({ tenants: 2, inconclusive: [] });
    expect(probeFindings(report)).toEqual([]);
  });

  it('are in no report, and neither are rows', async () => {
    await migrate('ALTER TABLE note DISABLE ROW LEVEL SECURITY');
    await asSuperuser(`UPDATE note SET body = 'secret-' || id`);
    const text = JSON.stringify(await probe(db, { mode: 'write' }));
    expect(text).toContain('PRB003');
    expect(text).not.toMatch(new RegExp(`${A}|${B}|secret-`));
  });
});

describe('who probes', () => {
  it('a superuser becomes the app role', async () => {
    const report = await probe(db, { as: 'superuser', role: db.roles.app, mode: 'write' });
    expect(probeLeaks(report)).toEqual([]);
    expect(report.probe!.inconclusive).toEqual([
      {
        object: `role "${db.roles.app}"`,
        ruleId: 'PRB007',
        reason: expect.stringContaining('when it logs in'),
      },
    ]);
    await migrate('ALTER TABLE note DISABLE ROW LEVEL SECURITY');
    expect(probeLeaks(await probe(db, { as: 'superuser', role: db.roles.app }))).toContain(`PRB001 ${NOTE}`);
  });

  it('a superuser as itself could not probe', async () => {
    await expect(probe(db, { as: 'superuser' })).rejects.toThrow(
      /^Could not probe: role ".*" is a superuser/,
    );
  });

  it('a role that cannot become the app role could not probe', async () => {
    await expect(probe(db, { as: 'migrator', role: db.roles.app })).rejects.toThrow(
      `Could not probe: the connection of role "${db.roles.migrator}" cannot become role "${db.roles.app}".`,
    );
    await asSuperuser(`ALTER ROLE ${db.roles.migrator} BYPASSRLS`);
    await expect(probe(db, { as: 'migrator', role: db.roles.app })).rejects.toThrow('cannot become role');
  });

  it('a role that reaches no tenant table could not probe', async () => {
    await migrate('REVOKE ALL ON note FROM $APP');
    await expect(probe(db)).rejects.toThrow('can reach no tenant table');
  });
});

it('nothing is changed, nothing is locked, and no connection stays', async () => {
  await migrate(`
    CREATE TABLE bill (id serial PRIMARY KEY, tenant_id uuid NOT NULL, note text DEFAULT 'x');
    CREATE TABLE audit_log (id serial, entry text);
    GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON bill, note TO $APP, $ADMIN;
    GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO $APP;
    CREATE FUNCTION log() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $f$
    BEGIN INSERT INTO audit_log (entry) VALUES (TG_OP); RETURN NULL; END $f$;
    CREATE TRIGGER log AFTER INSERT OR UPDATE OR DELETE ON note FOR EACH ROW EXECUTE FUNCTION log();
    ALTER TABLE note DISABLE ROW LEVEL SECURITY`);
  await migrate(protectSql(declared('bill'), db.roles.admin));
  await asSuperuser(`INSERT INTO bill (tenant_id) VALUES ('${A}'), ('${B}')`);
  const before = await dumpOf(db);
  const report = await probe(db, { mode: 'write' });
  expect(probeLeaks(report)).toEqual(expect.arrayContaining([`PRB005 ${NOTE}`, `PRB006 ${NOTE}`]));
  const after = await dumpOf(db);
  // What a trigger took from a sequence stays taken: docs/probing.md says so.
  const { 'public.audit_log_id_seq': _before, ...rest } = before;
  const { 'public.audit_log_id_seq': _after, ...restAfter } = after;
  expect(restAfter).toEqual(rest);
  expect(
    await db.asSuperuser(
      `SELECT query FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'`,
    ),
  ).toEqual([]);
  expect(
    await db.asSuperuser(
      `SELECT relation::regclass FROM pg_locks
        WHERE database = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND pid <> pg_backend_pid() AND relation >= 16384`,
    ),
  ).toEqual([]);
});

it('works for integer tenants and for join tables without a tenant column', async () => {
  const other = await createTestDatabase();
  try {
    const { app, admin } = other.roles;
    const task = declared('task', { tenantIdType: 'integer' });
    const links = declared('task_links', {
      tenantIdType: 'integer',
      kind: 'join-table',
      sides: [
        { table: 'task', columns: [{ column: 'a', referencedColumn: 'id' }], tenantColumn: 'tenant_id' },
      ],
    });
    await other.as(
      'migrator',
      `CREATE TABLE task (id int PRIMARY KEY, tenant_id int NOT NULL);
       CREATE TABLE task_links (a int REFERENCES task, b int REFERENCES task);
       ${protectSql(task, admin)} ${protectSql(links, admin)}
       GRANT SELECT, INSERT, UPDATE, DELETE ON task, task_links TO ${app}, ${admin}`,
    );
    await other.asSuperuser(
      `INSERT INTO task VALUES (1, 7), (2, 7), (3, 8); INSERT INTO task_links VALUES (1, 2), (3, 3)`,
    );
    const clean = await probe(other, { mode: 'write', tenantTables: ['task_links'] });
    expect(probeFindings(clean)).toEqual([]);
    await other.as('migrator', 'CREATE POLICY open ON task_links FOR SELECT USING (true)');
    expect(probeLeaks(await probe(other, { tenantTables: ['task_links'] }))).toContain(
      'PRB001 table "public.task_links"',
    );
  } finally {
    await other.drop();
  }
});
