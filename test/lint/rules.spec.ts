import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RlsCliModule, runCli } from '../../libs/rls-tenants/src/cli/index.js';
import { RlsConfigurationError } from '../../libs/rls-tenants/src/errors.js';
import { lintText, migration, places } from './lint-support.js';

/** Where a rule begins and where it ends, beside the two examples of its page. */
type Options = NonNullable<Parameters<typeof lintText>[1]>;

const NONE: Options = { sessionSettings: [] };
const ADD = 'ALTER TABLE note ADD COLUMN body text';

/** Rule and line of each finding in an `up` of these statements; the first is in line 3. */
async function found(rule: string, sql: readonly string[], options: Options = {}, members = '') {
  const up = sql.map((one) => `await queryRunner.query(\`${one}\`);`).join('\n');
  const report = await lintText(migration(up, undefined, members), options);
  return places(report)
    .filter((place) => place.startsWith(rule))
    .map((place) => place.split(':').slice(0, 2).join(':'));
}
const outside = 'readonly transaction = false;';

describe('MIG007 lock-timeout-missing', () => {
  it('asks for a bound where the session has none, and once for a migration', async () => {
    expect(await found('MIG007', [ADD, ADD])).toEqual([]);
    expect(await found('MIG007', [ADD, ADD], NONE)).toEqual(['MIG007:3']);
    expect(await found('MIG007', [ADD], { sessionSettings: ['statement_timeout'] })).toEqual(['MIG007:3']);
    expect(await found('MIG007', ['CREATE TABLE a (b int)', 'ALTER TABLE a ADD c int'], NONE)).toEqual([]);
    expect(await found('MIG007', ['TRUNCATE note'], NONE)).toEqual(['MIG007:3']);
  });

  it('finds where the migration switches the session’s own off, and where it switches its own on too late', async () => {
    expect(await found('MIG007', ['SET LOCAL lock_timeout = 0', ADD])).toEqual(['MIG007:4']);
    expect(await found('MIG007', [`SET LOCAL lock_timeout = '0ms'`, ADD])).toEqual(['MIG007:4']);
    expect(await found('MIG007', ['SET LOCAL lock_timeout = 0', 'RESET lock_timeout', ADD])).toEqual([]);
    expect(await found('MIG007', [ADD, `SET LOCAL lock_timeout = '2s'`], NONE)).toEqual(['MIG007:3']);
    expect(await found('MIG007', [`SET LOCAL lock_timeout = '2s'`, 'RESET ALL', ADD], NONE)).toEqual([
      'MIG007:5',
    ]);
    expect(await found('MIG007', [`SELECT set_config('lock_timeout', '2s', true)`, ADD], NONE)).toEqual([]);
  });

  it('takes SET LOCAL outside a transaction for nothing, and leaves what waits for nobody alone', async () => {
    expect(await found('MIG007', [`SET LOCAL lock_timeout = '2s'`, ADD], NONE, outside)).toEqual([
      'MIG007:4',
    ]);
    expect(await found('MIG007', [`SET lock_timeout = '2s'`, ADD], NONE, outside)).toEqual([]);
    expect(await found('MIG007', ['CREATE INDEX CONCURRENTLY a ON note (b)'], NONE, outside)).toEqual([]);
    expect(await found('MIG007', ['ALTER TABLE note VALIDATE CONSTRAINT a'], NONE)).toEqual([]);
  });
});

describe('MIG008 statement-timeout-missing', () => {
  it('finds locks that nothing ends', async () => {
    expect(await found('MIG008', [ADD])).toEqual([]);
    expect(await found('MIG008', [ADD], NONE)).toEqual(['MIG008:3']);
    expect(await found('MIG008', ['SET LOCAL statement_timeout = 0', ADD])).toEqual(['MIG008:4']);
    expect(await found('MIG008', [`SET LOCAL statement_timeout = '9s'`, ADD], NONE)).toEqual([]);
  });

  it('finds a SET that outlives the migration, and none that is taken back', async () => {
    expect(await found('MIG008', [`SET search_path = a`, ADD])).toEqual(['MIG008:3']);
    expect(await found('MIG008', [`SELECT set_config('search_path', 'a', false)`])).toEqual(['MIG008:3']);
    for (const back of ['RESET search_path', 'RESET ALL', 'SET search_path TO DEFAULT']) {
      expect(await found('MIG008', [`SET search_path = a`, ADD, back])).toEqual([]);
    }
    expect(await found('MIG008', ['SET TRANSACTION ISOLATION LEVEL SERIALIZABLE'])).toEqual([]);
  });
});

describe('MIG010 not-repeatable', () => {
  it('finds one step that cannot be repeated outside a transaction; two are MIG003’s', async () => {
    const index = 'CREATE INDEX CONCURRENTLY a ON note (b)';
    expect(await found('MIG010', [index], {}, outside)).toEqual(['MIG010:3']);
    expect(await found('MIG010', [ADD])).toEqual([]);
    expect(await found('MIG', [index, 'CREATE INDEX CONCURRENTLY c ON note (d)'], {}, outside)).toEqual([
      'MIG003:4',
    ]);
    expect(await found('MIG010', ['ALTER TABLE note DROP CONSTRAINT a'], {}, outside)).toEqual(['MIG010:3']);
  });

  it.each([
    'ALTER TABLE note DROP CONSTRAINT IF EXISTS a',
    'ALTER TABLE note VALIDATE CONSTRAINT a',
    'ALTER TABLE note ALTER COLUMN a SET DEFAULT 1',
    'VACUUM note',
    'REINDEX INDEX CONCURRENTLY a',
    'ALTER TABLE event DETACH PARTITION event_1 CONCURRENTLY',
  ])('leaves alone: %s', async (sql) => {
    expect(await found('MIG010', [sql], {}, outside)).toEqual([]);
  });
});

describe('MIG011 work-after-exclusive-lock', () => {
  it.each([
    'SELECT count(*) FROM page',
    'ALTER TABLE page VALIDATE CONSTRAINT a',
    'CREATE INDEX a ON page (b)',
  ])('finds after a lock, and not before it: %s', async (slow) => {
    expect(await found('MIG011', [ADD, slow])).toEqual(['MIG011:4']);
    expect(await found('MIG011', [slow, ADD])).toEqual([]);
    expect(await found('MIG011', [ADD, slow], {}, outside)).toEqual([]);
  });

  it('finds a second table that is locked, and none that is new or attached in one statement', async () => {
    expect(await found('MIG011', [ADD, 'ALTER TABLE page ADD COLUMN a int'])).toEqual(['MIG011:4']);
    expect(await found('MIG011', [ADD, 'ALTER TABLE note ADD COLUMN a int'])).toEqual([]);
    expect(await found('MIG011', ['CREATE TABLE page (a int)', 'ALTER TABLE page ADD b int', ADD])).toEqual(
      [],
    );
    expect(await found('MIG011', ['ALTER TABLE event DETACH PARTITION event_1'])).toEqual([]);
  });
});

describe('MIG015 row-security-not-off', () => {
  const options: Options = { ...NONE, tenantTables: ['note'] };
  const read = 'SELECT count(*) FROM note';

  it('finds the first read of a tenant table with row security on', async () => {
    expect(await found('MIG015', [read, read], options)).toEqual(['MIG015:3']);
    expect(await found('MIG015', [read], { tenantTables: ['note'] })).toEqual([]);
    expect(await found('MIG015', ['SET LOCAL row_security = on', read], { tenantTables: ['note'] })).toEqual([
      'MIG015:4',
    ]);
    expect(await found('MIG015', ['SELECT count(*) FROM page'], options)).toEqual([]);
    expect(
      await found('MIG015', ['DELETE FROM page USING note WHERE page.id = note.page_id'], options),
    ).toEqual(['MIG015:3']);
  });

  it('leaves alone what is off, and what is meant for one tenant', async () => {
    expect(await found('MIG015', ['SET LOCAL row_security = off', read], options)).toEqual([]);
    expect(
      await found('MIG015', [`SELECT set_config('rls.current_tenant', '1', true)`, read], options),
    ).toEqual([]);
  });
});

describe('MIG039 fk-column-without-index', () => {
  const key = (columns: string) => `CONSTRAINT a FOREIGN KEY (${columns}) REFERENCES page (x)`;
  const table = (columns: string, rest: string) => [
    `CREATE TABLE note (tenant_id uuid, page_id int, ${key(columns)}${rest})`,
  ];

  it.each([
    ['page_id', ', PRIMARY KEY (page_id)', []],
    ['page_id', ', UNIQUE (tenant_id, page_id)', ['MIG039:3']],
    ['tenant_id, page_id', ', UNIQUE (tenant_id, page_id)', []],
    ['tenant_id, page_id', ', UNIQUE (page_id)', []],
    ['tenant_id, page_id', ', UNIQUE (tenant_id)', ['MIG039:3']],
    ['tenant_id', ', UNIQUE (tenant_id, page_id)', []],
  ])('FOREIGN KEY (%s)%s', async (columns, rest, findings) => {
    expect(await found('MIG039', table(columns, rest))).toEqual(findings);
  });

  it('says nothing of tables whose indexes it cannot know', async () => {
    expect(await found('MIG039', [`ALTER TABLE note ADD ${key('page_id')}`])).toEqual([]);
  });
});

describe('MIG060 fk-without-tenant', () => {
  const keys = 'a int REFERENCES note (id), b int REFERENCES tag (id)';
  const joined = async (columns: string) => {
    const text = `import { protectJoinTable, RlsMigration, runSql } from 'nestjs-rls-tenants/migrations';
      export class A1760000000000 extends RlsMigration { readonly operations = [
        runSql('CREATE TABLE note_tag (${columns})', 'DROP TABLE note_tag'),
        protectJoinTable({ joinTable: 'note_tag' }),
      ]; }`;
    const report = await lintText(text, { tenantTables: ['note', 'tag'] });
    return places(report).filter((place) => place.startsWith('MIG060'));
  };

  it('leaves the keys of a join table to protectJoinTable(), unless the table has a tenant column already', async () => {
    expect(await joined(keys)).toEqual([]);
    expect(await joined(`tenant_id uuid, ${keys}`)).toHaveLength(2);
  });
});

describe('MIG064 not-leakproof-column', () => {
  const added = (type: string) =>
    found('MIG064', [`CREATE TYPE state AS ENUM ('a')`, `ALTER TABLE note ADD COLUMN s ${type}`], {
      tenantTables: ['note'],
    });

  it('finds enums and numeric, and no type whose equality is leakproof', async () => {
    expect(await added('state')).toEqual(['MIG064:4']);
    expect(await added('"public"."state"')).toEqual(['MIG064:4']);
    expect(await added('decimal(5, 2)')).toEqual(['MIG064:4']);
    for (const type of ['text', 'uuid', 'bigint', 'boolean', 'date', 'timestamptz']) {
      expect(await added(type)).toEqual([]);
    }
  });

  it('says nothing of tables that have no tenant', async () => {
    expect(await found('MIG064', ['ALTER TABLE plan ADD COLUMN price numeric'])).toEqual([]);
  });
});

describe('MIG071 attach-scans', () => {
  const attach = 'ALTER TABLE event ATTACH PARTITION event_2 FOR VALUES FROM (1) TO (2)';
  const check = 'ALTER TABLE event_2 ADD CONSTRAINT bound CHECK (at IS NOT NULL AND at >= 1 AND at < 2)';

  it('asks for a CHECK that is valid, of a table that may have rows', async () => {
    expect(await found('MIG071', [attach])).toEqual(['MIG071:3']);
    expect(await found('MIG071', [check, attach])).toEqual([]);
    expect(await found('MIG071', [`${check} NOT VALID`, attach])).toEqual(['MIG071:4']);
    expect(
      await found('MIG071', [`${check} NOT VALID`, 'ALTER TABLE event_2 VALIDATE CONSTRAINT bound', attach]),
    ).toEqual([]);
    expect(await found('MIG071', ['CREATE TABLE event_2 (LIKE event)', attach])).toEqual([]);
  });

  it('finds that the DEFAULT partition is read, whatever the new one is', async () => {
    const rest = migration('await queryRunner.query(`CREATE TABLE rest PARTITION OF event DEFAULT`);');
    const later = async (sql: string) => {
      const text = migration(`await queryRunner.query(\`${sql}\`);`).replace('0000000000', '0000000001');
      return places(await lintText(`${rest}\n${text}`)).filter((place) => place.startsWith('MIG071'));
    };
    const messages = await later('CREATE TABLE event_3 PARTITION OF event FOR VALUES FROM (2) TO (3)');
    expect(messages).toHaveLength(1);
    expect(await later('CREATE TABLE other_3 PARTITION OF other FOR VALUES FROM (2) TO (3)')).toEqual([]);
  });
});

describe('MIG080 drops-unmanaged-index', () => {
  it('finds what generated files drop and did not create; what people write they mean', async () => {
    expect(await found('MIG080', ['DROP INDEX "public"."note_search"'])).toEqual(['MIG080:3']);
    expect(await found('MIG080', ['DROP INDEX note_search'])).toEqual([]);
    expect(await found('MIG080', ['DROP INDEX "public"."IDX_309b309e721fad5dabce5affc4"'])).toEqual([]);
    expect(
      await found('MIG080', [
        'CREATE INDEX "note_search" ON "note" ("body")',
        'DROP INDEX "public"."note_search"',
      ]),
    ).toEqual([]);
    expect(
      await found('MIG080', ['CREATE INDEX note_search ON note (body)', 'DROP INDEX "public"."note_search"']),
    ).toEqual(['MIG080:4']);
  });
});

describe('MIG084 mixed-concerns', () => {
  it('finds a second table, indexes of an old one, and drops; one table with its constraints is one concern', async () => {
    const create = 'CREATE TABLE page (id int)';
    expect(await found('MIG084', [ADD, create])).toEqual(['MIG084:4']);
    expect(await found('MIG084', [ADD, 'CREATE INDEX a ON note (body)'])).toEqual(['MIG084:4']);
    expect(await found('MIG084', [ADD, 'DROP TABLE page'])).toEqual(['MIG084:4']);
    expect(await found('MIG084', [create, 'ALTER TABLE page ADD CONSTRAINT a UNIQUE (id)'])).toEqual([]);
    // MIG086 says it with the correction.
    expect(await found('MIG084', [create, 'CREATE INDEX a ON page (id)'])).toEqual([]);
  });

  it('takes the partitions of a table for the table', async () => {
    expect(
      await found(
        'MIG084',
        ['ALTER TABLE event_1 ADD COLUMN a int', 'ALTER TABLE event_2 ADD COLUMN a int'],
        {
          partitionedTables: ['event'],
        },
      ),
    ).toEqual([]);
  });
});

describe('MIG090 style', () => {
  const sql = ['ALTER TABLE note ADD COLUMN a char(3)', 'ALTER TABLE note ADD COLUMN b timestamp[]'];

  it('runs only on demand', async () => {
    expect(await found('MIG090', sql)).toEqual([]);
    expect(await found('MIG090', sql, { rules: ['MIG090'] })).toEqual(['MIG090:3', 'MIG090:4']);
  });

  it('does not make its suppressions stale where it does not run', async () => {
    const text = migration(
      '// rls-lint-ignore MIG090: a code of three letters\nawait queryRunner.query(`ALTER TABLE note ADD COLUMN a char(3)`);',
    );
    expect(places(await lintText(text))).toEqual([]);
    expect(await lintText(text, { rules: ['MIG090'] })).toMatchObject({
      findings: [],
      coverage: { suppressed: 1 },
    });
  });

  it('is the only one there is to ask for', async () => {
    const asked = lintText('', { rules: ['MIG999'] });
    await expect(asked).rejects.toThrow(RlsConfigurationError);
    await expect(asked).rejects.toMatchObject({ hint: expect.stringContaining('MIG090') as string });
  });
});

describe('on the command line', () => {
  let folder: string;
  const lint = async (...args: string[]) => {
    const out = jest.spyOn(process.stdout, 'write').mockReturnValue(true);
    const err = jest.spyOn(process.stderr, 'write').mockReturnValue(true);
    try {
      const code = await runCli(RlsCliModule, ['lint-migrations', folder, '--no-squawk', ...args]);
      return { code, text: [...out.mock.calls, ...err.mock.calls].join('') };
    } finally {
      out.mockRestore();
      err.mockRestore();
    }
  };

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'lint-'));
    const up = 'await queryRunner.query(`ALTER TABLE note ADD COLUMN a char(3)`);';
    writeFileSync(join(folder, 'a.ts'), migration(up));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it('--session-settings says what sessions are given, and --rule asks for a rule', async () => {
    expect(await lint()).toMatchObject({ code: 0 });
    expect(await lint('--session-settings', 'none')).toMatchObject({
      code: 1,
      text: expect.stringMatching(/MIG007[^]*MIG008/) as string,
    });
    expect(await lint('--session-settings', 'lock_timeout, statement_timeout')).toMatchObject({ code: 0 });
    expect((await lint('--rule', 'MIG090')).text).toContain('MIG090 style (warning)');
  });

  it('neither takes what it does not know', async () => {
    expect(await lint('--session-settings', 'work_mem')).toMatchObject({ code: 2 });
    expect(await lint('--rule', 'MIG999')).toMatchObject({ code: 2 });
  });
});
