import { DataSource } from 'typeorm';
import {
  auditDataSource,
  auditTables,
  isFailure,
  type CatalogQuery,
} from '../../libs/rls-tenants/src/audit/index.js';
import { adminContext, tenantContext } from '../../libs/rls-tenants/src/context/tenant-context.js';
import { tenantTablesOf } from '../../libs/rls-tenants/src/entities/index.js';
import { RlsConfigurationError } from '../../libs/rls-tenants/src/errors.js';
import { A, NOTES } from '../support/notes.js';
import { createProtectedDatabase, type ProtectedDatabase } from '../support/protected-database.js';
import {
  createNoteDatabase,
  declared,
  NOTE_COLUMNS,
  protectSql,
  withQuery,
  type NoteDatabase,
} from './audit-support.js';

/** Statements sent, recorded by a query function. */
function recorded(query: CatalogQuery): { query: CatalogQuery; statements: string[] } {
  const statements: string[] = [];
  return {
    statements,
    query: (sql, parameters) => {
      statements.push(sql);
      return query(sql, parameters);
    },
  };
}

describe('auditTables', () => {
  let db: NoteDatabase;

  beforeAll(async () => {
    db = await createNoteDatabase();
  });
  afterAll(() => db.drop());

  it('finds nothing on a clean schema, as the app role, and reports what it looked at', async () => {
    const report = await db.audit();
    expect(report).toMatchObject({
      database: db.name,
      role: db.roles.app,
      findings: [],
      counts: { tables: 1, joinTables: 0 },
    });
    expect(report.tables).toMatchObject([
      {
        table: 'public.note',
        policies: [
          {
            name: 'note_admin_policy',
            command: 'ALL',
            roles: [db.roles.admin],
            using: 'true',
            appliesToAppRole: false,
          },
          {
            name: 'note_tenant_isolation_policy',
            roles: ['public'],
            using: expect.stringContaining('rls.current_tenant'),
          },
        ],
      },
    ]);
  });

  it('needs no privilege on the tables, nor on their schema', async () => {
    await db.as('migrator', `CREATE SCHEMA secret; CREATE TABLE secret.doc (${NOTE_COLUMNS})`);
    await db.as('migrator', protectSql(declared('secret.doc'), db.roles.admin));
    await expect(db.as('app', 'SELECT FROM secret.doc')).rejects.toThrow('permission denied for schema');
    expect(await db.findings([declared('secret.doc')])).toEqual([]);
  });

  it('does not take a protected table of the same name in another schema for an unprotected one', async () => {
    await db.as(
      'migrator',
      `CREATE SCHEMA good; CREATE TABLE good.twin (${NOTE_COLUMNS}); CREATE TABLE twin (${NOTE_COLUMNS})`,
    );
    await db.as('migrator', protectSql(declared('good.twin'), db.roles.admin));
    expect(await db.findings([declared('good.twin')])).toEqual([]);
    expect(await db.findings([declared('public.twin')])).toContain('RLS004 critical');
    expect(await db.findings([declared('twin')])).toContain('RLS004 critical');
  });

  it('resolves a name without a schema through the search path, as the app role’s statements do', async () => {
    const audited = async (searchPath: string) =>
      withQuery(db.url('app'), async (query) => {
        await query(`SELECT set_config('search_path', $1, false)`, [searchPath]);
        const { findings, tables } = await auditTables(query, [declared('path_note')], {
          adminRole: db.roles.admin,
          scope: 'declared',
        });
        return { ids: findings.map(({ ruleId }) => ruleId), table: tables[0]!.table };
      });
    await db.as(
      'migrator',
      `CREATE SCHEMA first; CREATE TABLE first.path_note (${NOTE_COLUMNS}); CREATE TABLE path_note (${NOTE_COLUMNS})`,
    );
    await db.as('migrator', protectSql(declared('public.path_note'), db.roles.admin));
    await db.as('migrator', `GRANT USAGE ON SCHEMA first TO ${db.roles.app}`);
    expect(await audited('public, first')).toEqual({ ids: [], table: 'public.path_note' });
    expect(await audited('first, public')).toMatchObject({
      ids: expect.arrayContaining(['RLS004']),
      table: 'first.path_note',
    });
    // A schema without USAGE is not searched.
    await db.as('migrator', `REVOKE USAGE ON SCHEMA first FROM ${db.roles.app}`);
    expect(await audited('first, public')).toEqual({ ids: [], table: 'public.path_note' });
  });

  it('audits a partitioned table like any other', async () => {
    await db.as(
      'migrator',
      'CREATE TABLE event (id int, tenant_id uuid NOT NULL) PARTITION BY HASH (tenant_id)',
    );
    await db.as('migrator', protectSql(declared('event'), db.roles.admin));
    expect(await db.findings([declared('event')])).toEqual([]);
    await db.as('migrator', 'ALTER TABLE event DISABLE ROW LEVEL SECURITY');
    expect(await db.findings([declared('event')])).toEqual(['RLS004 critical']);
  });

  it('sends as many statements for 50 tables as for 5', async () => {
    const tables = Array.from({ length: 50 }, (_, n) => declared(`many_${n}`));
    for (const table of tables)
      await db.as(
        'migrator',
        `CREATE TABLE ${table.table} (${NOTE_COLUMNS}); ${protectSql(table, db.roles.admin)}`,
      );
    const count = (some: typeof tables, scope: 'declared' | 'database') =>
      withQuery(db.url('app'), async (query) => {
        const recording = recorded(query);
        await auditTables(recording.query, some, { adminRole: db.roles.admin, scope });
        return recording.statements.length;
      });
    const five = await count(tables.slice(0, 5), 'declared');
    expect(await count(tables, 'declared')).toBe(five);
    expect(five).toBeLessThanOrEqual(11);
    const wholeDatabase = await count(tables, 'database');
    expect(await count(tables.slice(0, 5), 'database')).toBe(wholeDatabase);
    expect(wholeDatabase).toBeLessThanOrEqual(30);
  });

  it('names no table in its statements, and reads in one read-only snapshot with a time limit', async () => {
    await withQuery(db.url('app'), async (query) => {
      const settings: unknown[] = [];
      const { query: recording, statements } = recorded(async (sql, parameters) => {
        const rows = await query(sql, parameters);
        if (sql.includes('pg_policy')) {
          settings.push(
            await query(
              `SELECT current_setting('transaction_read_only') AS read_only, current_setting('transaction_isolation') AS isolation,
                      current_setting('statement_timeout') AS timeout`,
            ),
          );
        }
        return rows;
      });
      await auditTables(recording, [db.note], { adminRole: db.roles.admin });
      expect(settings).not.toEqual([]);
      for (const rows of settings)
        expect(rows).toEqual([{ read_only: 'on', isolation: 'repeatable read', timeout: '30s' }]);
      expect(statements.filter((sql) => /\bnote\b/.test(sql))).toEqual([]);
      expect(statements[0]).toMatch(/^START TRANSACTION/);
      expect(statements.at(-1)).toBe('COMMIT');
      // The caller's connection is as it was.
      expect(
        await query(
          `SELECT current_setting('search_path') AS path, current_setting('statement_timeout') AS timeout`,
        ),
      ).toEqual([{ path: '"$user", public', timeout: '0' }]);
    });
  });

  it('ends its transaction when it fails', async () => {
    await withQuery(db.url('app'), async (query) => {
      await expect(auditTables(query, [db.note], { role: 'no_such_role' })).rejects.toThrow(
        RlsConfigurationError,
      );
      expect(await query('SELECT now() = statement_timestamp() AS no_transaction')).toEqual([
        { no_transaction: true },
      ]);
    });
  });

  it.each([
    ['no table', [], {}, /nothing to check/],
    [
      'a role that does not exist',
      [declared('note')],
      { role: 'no_such_role' },
      /"no_such_role" does not exist/,
    ],
    ['PUBLIC as the admin role', [declared('note')], { adminRole: 'public' }, /Invalid role name/],
    ['an impossible table name', [declared('a.b.c')], {}, /Invalid table name/],
  ])('refuses %s', async (_name, tables, options, message) => {
    const refused = db.audit(tables, options);
    await expect(refused).rejects.toThrow(RlsConfigurationError);
    await expect(refused).rejects.toThrow(message);
  });

  it('gives the worst finding first', async () => {
    await db.as(
      'migrator',
      `CREATE TABLE bad (id int, tenant_id uuid); GRANT REFERENCES ON bad TO ${db.roles.app}`,
    );
    expect(await db.findings([db.note, declared('bad')])).toEqual([
      'RLS004 critical',
      'RLS026 error',
      'RLS043 error',
      'RLS080 error',
      'RLS080 error',
    ]);
  });
});

describe('auditDataSource', () => {
  let db: ProtectedDatabase;

  beforeAll(async () => {
    db = await createProtectedDatabase(NOTES);
  });
  afterAll(() => db.drop());

  it('audits the tables and join tables that the entities declare', async () => {
    const report = await auditDataSource(await db.plain(), { adminRole: db.roles.admin });
    expect(report.findings.filter(isFailure)).toEqual([]);
    expect(report.tables.map(({ kind, table }) => `${kind} ${table}`)).toEqual([
      'entity public.note',
      'entity public.notebook',
      'entity public.tag',
      'join-table public.note_tags_tag',
    ]);
    expect(report.counts).toEqual({ tables: 3, joinTables: 1, recognised: 0 });
  });

  it('finds what is wrong with a join table', async () => {
    await db.as('migrator', 'ALTER TABLE note_tags_tag DISABLE ROW LEVEL SECURITY');
    const { findings } = await auditDataSource(await db.plain(), { adminRole: db.roles.admin });
    expect(findings.filter(isFailure)).toMatchObject([
      { ruleId: 'RLS004', object: 'table "public.note_tags_tag"' },
    ]);
    await db.as('migrator', findings[0]!.fix);
  });

  it('works on an isolated data source, in and outside of any tenant context, and sees the app role', async () => {
    const dataSource = await db.isolated({ onMissingTenant: 'throw' });
    const audit = () => auditDataSource(dataSource, { adminRole: db.roles.admin });
    for (const report of [await audit(), await tenantContext(A, audit), await adminContext('audit', audit)]) {
      expect(report.role).toBe(db.roles.app);
      expect(report.findings.filter(isFailure)).toEqual([]);
    }
    await expect(dataSource.query('SELECT * FROM note')).rejects.toThrow('note');
  });

  it('gives its connection back, also after a failure', async () => {
    const dataSource = await db.plain({ poolSize: 1 });
    await auditDataSource(dataSource, { adminRole: db.roles.admin });
    await expect(auditDataSource(dataSource, { role: 'no_such_role' })).rejects.toThrow('does not exist');
    expect(await dataSource.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it('refuses a data source that is not initialized, and one without tenant-scoped entities', async () => {
    const options = { type: 'postgres', url: db.url('app') } as const;
    await expect(auditDataSource(new DataSource({ ...options, entities: NOTES }))).rejects.toThrow(
      /not initialized/,
    );
    await expect(auditDataSource(await db.plain({ entities: [] }))).rejects.toThrow(/nothing to check/);
    expect(tenantTablesOf(await db.plain())).not.toEqual([]);
  });
});
