import type { DatabaseAudit } from '../../libs/rls-tenants/src/audit/database-audit.js';
import { isSecurityInvoker } from '../../libs/rls-tenants/src/audit/database-audit.js';
import { runRules } from '../../libs/rls-tenants/src/audit/audit.js';
import type { TenantScopedTable } from '../../libs/rls-tenants/src/entities/tenant-tables.js';
import { AUDIT_RULES } from '../../libs/rls-tenants/src/audit/index.js';
import { SERVER_VERSION } from '../support/database.js';
import { createNoteDatabase, withQuery, type NoteDatabase } from './audit-support.js';

/** Every kind of object that the snapshot holds, around the protected table `note`. */
const SCHEMA = (app: string) => `
  CREATE TYPE mood AS ENUM ('fine');
  CREATE SCHEMA hidden;
  CREATE TABLE hidden.doc (id int PRIMARY KEY, tenant_id uuid);
  ALTER TABLE note ADD CONSTRAINT note_tenant_id_key UNIQUE (tenant_id, id);
  CREATE TABLE line (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant_id uuid NOT NULL, note_id int, mood mood DEFAULT 'fine',
    twice int GENERATED ALWAYS AS (note_id * 2) STORED,
    CONSTRAINT line_check CHECK (note_id > 0));
  ALTER TABLE line ADD CONSTRAINT line_note FOREIGN KEY (tenant_id, note_id) REFERENCES note (tenant_id, id)
      ON DELETE SET NULL ${SERVER_VERSION >= 150000 ? '(note_id)' : ''} NOT VALID;
  CREATE INDEX line_mood ON line (mood) WHERE note_id > 1;
  CREATE INDEX line_expression ON line ((note_id + 1), tenant_id) INCLUDE (mood);
  CREATE TABLE event (id int, tenant_id uuid) PARTITION BY RANGE (id);
  CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (id);
  CREATE TABLE event_1a PARTITION OF event_1 FOR VALUES FROM (0) TO (5);
  CREATE VIEW inner_view AS SELECT * FROM note;
  CREATE VIEW outer_view AS SELECT i.body FROM inner_view i JOIN line ON true;
  CREATE MATERIALIZED VIEW stored AS SELECT count(*) FROM outer_view;
  CREATE FUNCTION tenant() RETURNS uuid LANGUAGE sql STABLE
    AS $$ SELECT nullif(current_setting('RLS.current_tenant', true), '')::uuid $$;
  CREATE FUNCTION standard() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 42; END;
  CREATE FUNCTION definer() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$ BEGIN RETURN NEW; END $$;
  REVOKE EXECUTE ON FUNCTION definer FROM PUBLIC;
  CREATE TRIGGER stamp BEFORE INSERT ON line FOR EACH ROW EXECUTE FUNCTION definer();
  ALTER TABLE line DISABLE TRIGGER stamp;
  CREATE RULE also AS ON INSERT TO line DO ALSO UPDATE note SET body = 'x';
  ALTER TABLE line ENABLE ROW LEVEL SECURITY;
  CREATE POLICY by_helper ON line USING (tenant_id = (SELECT tenant()) AND note_id IN (SELECT id FROM note));
  ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO PUBLIC;
  GRANT SELECT (body) ON note TO ${app};
  GRANT SELECT ON hidden.doc TO ${app};`;

describe('the audit of a whole database', () => {
  let db: NoteDatabase;
  let audit: DatabaseAudit;

  /** What the rules are given. */
  const auditOf = async (tables: readonly TenantScopedTable[]): Promise<DatabaseAudit> => {
    let given: DatabaseAudit | undefined;
    const rule = AUDIT_RULES[0]!;
    const check = jest.spyOn(rule, 'check').mockImplementation((_catalog, context) => {
      given = context.database;
      return [];
    });
    await withQuery(db.url('app'), (query) =>
      runRules(query, tables, { adminRole: db.roles.admin, rules: [rule.id] }),
    );
    check.mockRestore();
    return given!;
  };
  const relation = (name: string) => audit.database.relations.find((one) => audit.nameOf(one) === name)!;
  const fn = (name: string) => audit.database.functions.find((one) => one.name === name)!;

  beforeAll(async () => {
    db = await createNoteDatabase();
    await db.as('migrator', SCHEMA(db.roles.app));
    await db.asSuperuser(`
      CREATE EXTENSION postgres_fdw;
      CREATE SERVER other FOREIGN DATA WRAPPER postgres_fdw;
      CREATE USER MAPPING FOR PUBLIC SERVER other;
      CREATE FOREIGN TABLE far (id int) SERVER other;
      CREATE PUBLICATION everything FOR ALL TABLES;
      CREATE FUNCTION guard() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$;
      CREATE EVENT TRIGGER guard ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION guard();
      ALTER EVENT TRIGGER guard DISABLE;
      ALTER ROLE ${db.roles.app} IN DATABASE ${db.name} SET row_security = off;
      SELECT lo_create(0)`);
    audit = await auditOf([db.note]);
  });
  afterAll(() => db.drop());

  it('holds relations of every kind and leaves out the system’s', () => {
    const kinds = audit.database.relations.map((one) => `${one.kind} ${audit.nameOf(one)}`);
    expect(kinds).toEqual([
      'r hidden.doc',
      'p public.event',
      'p public.event_1',
      'r public.event_1a',
      'f public.far',
      'v public.inner_view',
      'r public.line',
      'S public.line_id_seq',
      'r public.note',
      'v public.outer_view',
      'm public.stored',
    ]);
    expect(audit.database.largeObjects).toBe(true);
  });

  it('tenant tables are declared, or recognised by their column; partitions belong to the table above them', () => {
    expect(audit.tenantTables.map(({ path, recognised }) => `${path} ${recognised}`)).toEqual([
      'public.note false',
      'hidden.doc true',
      'public.event true',
      'public.line true',
    ]);
    expect(audit.protectedRelations.map((one) => one.name)).toEqual([
      'note',
      'doc',
      'event',
      'event_1',
      'event_1a',
      'line',
    ]);
    expect(audit.partitionsOf(relation('public.event')).map(({ name }) => name)).toEqual([
      'event_1',
      'event_1a',
    ]);
    expect(audit.rootOf(relation('public.event_1a')).name).toBe('event');
    expect(audit.tenantTable(relation('public.event_1a'))?.path).toBe('public.event');
    expect(audit.tenantColumnOf(relation('public.event_1a'))).toBe('tenant_id');
  });

  it('knows columns, indexes and constraints', () => {
    const line = relation('public.line');
    expect(line.columns.get('mood')).toMatchObject({ typeKind: 'e', default: "'fine'::public.mood" });
    expect(line.columns.get('twice')).toMatchObject({ generated: true });
    expect(line.columns.get('id')).toMatchObject({ identity: 'a' });
    expect(audit.indexesOf(line)).toMatchObject([
      {
        name: 'line_expression',
        keys: [
          { column: null, expression: '(note_id + 1)' },
          { column: 'tenant_id', leakproof: true },
        ],
      },
      {
        name: 'line_mood',
        predicate: '(note_id > 1)',
        keys: [{ column: 'mood', leakproof: false, equalityLeakproof: false }],
      },
      { name: 'line_pkey', primary: true, unique: true, valid: true },
    ]);
    expect(audit.constraintsOf(line).find(({ type }) => type === 'f')).toMatchObject({
      name: 'line_note',
      columns: ['tenant_id', 'note_id'],
      referencedTable: relation('public.note').oid,
      referencedColumns: ['tenant_id', 'id'],
      onDelete: 'n',
      deleteSetColumns: SERVER_VERSION >= 150000 ? ['note_id'] : null,
      validated: false,
    });
    expect(audit.database.sequences).toMatchObject([{ ownedByTable: line.oid, ownedByColumn: 'id' }]);
  });

  it('knows functions, triggers and rules, with their bodies', () => {
    const line = relation('public.line');
    const [trigger] = audit.triggersOf(line);
    expect(trigger).toMatchObject({ name: 'stamp', enabled: 'D' });
    expect(audit.function(trigger!.function)).toMatchObject({
      name: 'definer',
      securityDefiner: true,
      appMayExecute: false,
      config: ['search_path=pg_catalog, pg_temp'],
    });
    expect(fn('standard').body).toContain('42');
    expect(fn('tenant')).toMatchObject({ volatility: 's', appMayExecute: true, language: 'sql' });
    expect(fn('postgres_fdw_handler')).toMatchObject({ extension: 'postgres_fdw', body: null });
    expect(audit.rewritesOf(line)).toMatchObject([
      { name: 'also', event: 'INSERT', isView: false, relations: [relation('public.note').oid] },
    ]);
  });

  it('knows what the app role may: column grants count, and the schema’s USAGE', async () => {
    expect(audit.appMay(relation('public.note'), 'SELECT')).toBe(true);
    expect(relation('hidden.doc').appPrivileges).toEqual(['SELECT']);
    expect(audit.appMay(relation('hidden.doc'), 'SELECT')).toBe(false);
    await expect(db.as('app', 'SELECT FROM hidden.doc')).rejects.toThrow('permission denied for schema');
    expect(audit.appMayCall(fn('definer'))).toBe(false);
  });

  it('follows views to the tables they reach, and as whom', async () => {
    const reads = () =>
      audit
        .readsOf(relation('public.outer_view'))
        .map(({ relation: { name }, checkedAs }) => `${name} ${checkedAs}`)
        .sort();
    const { migrator } = db.roles;
    expect(reads()).toEqual([`inner_view ${migrator}`, `line ${migrator}`, `note ${migrator}`]);
    expect(audit.escapesRls(migrator, relation('public.line'))).toBe(true);
    expect(audit.escapesRls(migrator, relation('public.note'))).toBe(false);
    expect(audit.escapesRls(db.roles.app, relation('public.line'))).toBe(false);
    if (SERVER_VERSION < 150000) return;
    await db.as('migrator', 'ALTER VIEW outer_view SET (security_invoker = on)');
    audit = await auditOf([db.note]);
    expect(isSecurityInvoker(relation('public.outer_view'))).toBe(true);
    expect(reads()).toEqual(['inner_view null', 'line null', `note ${migrator}`]);
  });

  it('sees through a function that reads the tenant setting, and what a policy depends on', () => {
    const line = relation('public.line');
    const [policy] = audit.policiesForApp(line, 'SELECT');
    const [{ expression }] = audit.clausesOf(line, policy!) as [ReturnType<typeof audit.clausesOf>[number]];
    expect(expression.functions).toMatchObject([{ schema: 'public', name: 'tenant', perRow: false }]);
    expect(audit.holdsToTenant(expression, 'tenant_id')).toBe(true);
    expect(audit.holdsToTenant(expression, 'note_id')).toBe(false);
    expect(audit.dependenciesOf(line, policy!)).toMatchObject({
      relations: [relation('public.note').oid],
      functions: [fn('tenant').oid],
    });
  });

  it('knows roles, and what is set and granted beyond tables', () => {
    const { app, admin, migrator } = db.roles;
    expect(audit.roles.hasPrivilegesOf(migrator, admin)).toBe(true);
    expect(audit.roles.hasPrivilegesOf(app, admin)).toBe(false);
    expect(audit.roles.maySetRole(app, admin)).toBe(true);
    expect(audit.reachableRoles.map(({ name }) => name)).toEqual([admin]);
    const { database } = audit;
    expect(database.storedSettings).toContainEqual({
      role: app,
      database: db.name,
      setting: 'row_security',
      value: 'off',
    });
    expect(database.defaultPrivileges).toContainEqual({
      owner: migrator,
      schema: 'public',
      objectType: 'r',
      privilege: 'TRUNCATE',
      grantee: null,
    });
    expect(database.eventTriggers).toMatchObject([{ name: 'guard', enabled: 'D', tags: ['CREATE TABLE'] }]);
    expect(database.publications).toMatchObject([{ name: 'everything', allTables: true }]);
    expect(database.publications[0]!.tables).toContainEqual({
      table: relation('public.note').oid,
      filter: null,
    });
    expect(database.foreignServers).toMatchObject([
      { name: 'other', appUsage: false, mappedUsers: [null], tables: [relation('public.far').oid] },
    ]);
    expect(database.extensions.map(({ name }) => name)).toContain('postgres_fdw');
    expect(database).toMatchObject({ appTemp: true, appCreate: false });
  });
});
