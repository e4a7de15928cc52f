import { readMigrationFile, loadTypeScript } from '../../libs/rls-tenants/src/lint/index.js';
import { lintText, migration, places } from './lint-support.js';

const INDEX = 'CREATE INDEX a ON note (b)';

describe('a finding stands where its statement stands', () => {
  const at = async (up: string) => places(await lintText(migration(up)));

  it('in a string, in a template, and behind escapes', async () => {
    expect(await at(`await queryRunner.query('${INDEX}');`)).toEqual(['MIG020:3:26']);
    expect(await at(`await queryRunner.query(\`\n\n  ${INDEX}\`);`)).toEqual(['MIG020:5:3']);
    expect(await at(`await queryRunner.query('SELECT \\'\\u{41}\\x41\\'; ${INDEX}');`)).toEqual([
      'MIG020:3:49',
    ]);
  });

  it('as one of several statements, after comments and letters of several bytes', async () => {
    const sql = "SELECT 'é😀'; -- ü\n/* ; */ " + INDEX + ';\nSELECT 2';
    expect(await at(`await queryRunner.query(\`${sql}\`);`)).toEqual(['MIG020:4:9']);
  });

  it('in a constant of the file, in a sum, in a template of constants', async () => {
    expect(await at(`const sql = '${INDEX}';\nawait queryRunner.query(sql);`)).toEqual(['MIG020:3:14']);
    expect(await at(`await queryRunner.query('CREATE INDEX a ' +\n'ON note (b)');`)).toEqual(['MIG020:3:26']);
    expect(
      await at(`const table = 'note';\nawait queryRunner.query(\`CREATE INDEX a ON \${table} (b)\`);`),
    ).toEqual(['MIG020:4:26']);
  });

  it('in a method that up() calls', async () => {
    const text = migration(
      'await this.indexes(queryRunner);',
      undefined,
      `\nprivate async indexes(runner: QueryRunner) { await runner.query('${INDEX}'); }`,
    );
    expect(places(await lintText(text))).toEqual(['MIG020:2:66']);
  });

  it('through the manager, as a bound statement, and in JavaScript', async () => {
    expect(await at(`await queryRunner.manager.query('${INDEX}');`)).toEqual(['MIG020:3:34']);
    const js = `module.exports = class A1760000000000 { async up(q) { await q.query('${INDEX}'); } async down(q) { await q.query('SELECT 1'); } }`;
    const ts = await loadTypeScript();
    expect(readMigrationFile(ts, 'a.js', js).migrations).toHaveLength(1);
  });
});

describe('what cannot be read', () => {
  const what = async (up: string) => {
    const { findings, coverage } = await lintText(migration(up));
    expect(coverage.unanalyzable).toBe(findings.length);
    return findings.map(({ ruleId, severity, message }) => `${ruleId} ${severity}: ${message}`);
  };

  it('is said, and counted: SQL of run time, a reassigned variable, a parameter', async () => {
    const said = ['MIG013 warning: Not checked: SQL that is put together at run time.'];
    expect(await what('await queryRunner.query(`DROP TABLE ${this.table}`);')).toEqual(said);
    expect(await what(`let sql = '${INDEX}'; sql += 'c'; await queryRunner.query(sql);`)).toEqual(said);
    expect(await what(`const sql = [1].map((sql) => sql); await queryRunner.query(sql[0]);`)).toEqual(said);
  });

  it('is said of the schema methods of the query runner, of other functions that get it, of DO blocks', async () => {
    expect(await what(`await queryRunner.addColumn('note', column);`)).toEqual([
      'MIG013 warning: Not checked: queryRunner.addColumn(), because column is known at run time only.',
    ]);
    expect(await what(`await queryRunner.clearDatabase();`)).toEqual([
      'MIG013 warning: Not checked: queryRunner.clearDatabase().',
    ]);
    expect(await what('await helper(queryRunner);')).toEqual([
      'MIG013 warning: Not checked: what helper() does with the query runner.',
    ]);
    expect(await what('await queryRunner.query(`DO $$ BEGIN PERFORM 1; END $$`);')).toEqual([
      'MIG013 warning: Not checked: a DO block.',
    ]);
  });

  it.each([
    'const runner = queryRunner;',
    'const { query } = queryRunner;',
    'await helper({ queryRunner });',
    'await new Helper(queryRunner).run();',
    'const manager = queryRunner.manager;',
    "this.run((sql) => queryRunner['connection']);",
  ])('is said wherever the query runner goes out of sight: %s', async (line) => {
    expect(await what(line)).toEqual([
      'MIG013 warning: Not checked: what happens with the query runner here.',
    ]);
  });

  it('is said of base classes that are not the library’s, and of operations that are no list', async () => {
    const said = async (text: string) =>
      (
        await lintText(`import { ConcurrentMigration } from 'nestjs-rls-tenants/migrations';\n${text}`)
      ).findings.map(({ message }) => message);
    expect(await said('class A1760000000000 extends OurMigration {}')).toEqual([
      'Not checked: what the base class OurMigration does.',
    ]);
    expect(
      await said('class A1760000000000 extends ConcurrentMigration { get operations() { return []; } }'),
    ).toEqual(['Not checked: operations that are no list.']);
  });

  it('is an error where PostgreSQL could not read it either', async () => {
    expect(await what('await queryRunner.query(`CREATE INDEXX a`);')).toEqual([
      'MIG013 error: Not checked: SQL that PostgreSQL cannot parse (syntax error at or near "INDEXX").',
    ]);
  });
});

describe('what is no danger', () => {
  const found = async (up: string, members?: string) =>
    places(await lintText(migration(up, undefined, members), { tenantTables: ['note'] }));

  it('locks of tables that the migration creates', async () => {
    expect(
      await found(`await queryRunner.query('CREATE TABLE page (a int)');
        await queryRunner.query('ALTER TABLE page ADD CONSTRAINT page_a CHECK (a > 0)');
        await queryRunner.query('ALTER TABLE "public"."page" ALTER COLUMN a SET NOT NULL');
        await queryRunner.query('INSERT INTO page SELECT 1');`),
    ).toEqual([]);
  });

  it('the operations of the library, by where they are imported from', async () => {
    const text = (module: string) => `import { protectTable, RlsMigration } from '${module}';
      export class A1760000000000 extends RlsMigration { readonly operations = [protectTable({ table: 'note' })]; }`;
    const own = await lintText(text('nestjs-rls-tenants/migrations'));
    expect({ findings: own.findings, operations: own.coverage.operations }).toEqual({
      findings: [],
      operations: 1,
    });
    const foreign = await lintText(text('./somewhere.js'));
    expect(foreign.coverage).toMatchObject({ operations: 0, unanalyzable: 2 });
  });

  it('CONCURRENTLY in a class of the library that has no transaction', async () => {
    const text = (base: string) => `import { ${base}, runSql } from 'nestjs-rls-tenants/migrations';
      export class A1760000000000 extends ${base} { readonly operations = [runSql('REINDEX INDEX CONCURRENTLY a', 'SELECT 1')]; }`;
    expect(places(await lintText(text('ConcurrentMigration')))).toEqual([]);
    expect(places(await lintText(text('RlsMigration')))).toEqual(['MIG001:2:89']);
  });

  it('a change of a tenant table that the library sees all rows for, and only there', async () => {
    const sql = 'UPDATE note SET a = 1 WHERE b = 2';
    expect(await found(`await queryRunner.query('${sql}');`)).toEqual(['MIG058:3:26']);
    const text = `import { withAllRows } from 'nestjs-rls-tenants/migrations';\n${migration(
      `await withAllRows(queryRunner, ['note'], async () => { await queryRunner.query('${sql}'); });`,
    )}`;
    expect(places(await lintText(text, { tenantTables: ['note'] }))).toEqual([]);
  });

  it('CONCURRENTLY in down() between a commit and the next start', async () => {
    const drop = `await queryRunner.query('DROP INDEX CONCURRENTLY a');`;
    const down = async (text: string) =>
      places(await lintText(migration('await queryRunner.query("SELECT 1");', text)));
    expect(await down(drop)).toEqual(['MIG004:6:26']);
    expect(
      await down(`await queryRunner.commitTransaction();\n${drop}\nawait queryRunner.startTransaction();`),
    ).toEqual([]);
    expect(
      await down(`await queryRunner.commitTransaction();\nawait queryRunner.startTransaction();\n${drop}`),
    ).toEqual(['MIG004:8:26']);
  });
});

describe('a tenant table is known', () => {
  const unique = `await queryRunner.query('DROP INDEX CONCURRENTLY IF EXISTS a');
    await queryRunner.query('CREATE UNIQUE INDEX CONCURRENTLY a ON note (b)');`;
  const second = migration(unique, undefined, '\nreadonly transaction = false;').replace(
    '1760000000000',
    '1760000000001',
  );
  const found = async (first: string) =>
    places(await lintText(`${first}\n${second}`)).map((place) => place.slice(0, 6));

  it('by the tenant column that another migration gives it, or by the operation that protects it', async () => {
    expect(await found(migration('await queryRunner.query("SELECT 1");'))).toEqual([]);
    expect(
      await found(migration(`await queryRunner.query('ALTER TABLE public.note ADD COLUMN tenant_id uuid');`)),
    ).toEqual(['MIG061']);
    expect(
      await found(`import { protectTable, RlsMigration } from 'nestjs-rls-tenants/migrations';
        export class A1760000000000 extends RlsMigration { readonly operations = [protectTable({ table: 'note' })]; }`),
    ).toEqual(['MIG061']);
  });

  it('by the name of the tenant column that the command is told', async () => {
    const text = migration(`await queryRunner.query('CREATE TABLE note (org uuid)');`);
    expect(places(await lintText(text))).toEqual([]);
    expect(places(await lintText(text, { tenantColumn: 'org' }))).toEqual(['MIG050:3:26']);
  });
});

describe('a suppression', () => {
  const found = async (comment: string) => {
    const report = await lintText(migration(`${comment}\nawait queryRunner.query('${INDEX}');`));
    return { places: places(report), suppressed: report.coverage.suppressed };
  };

  it('with a reason, above the statement, suppresses the rules it names', async () => {
    expect(await found('// rls-lint-ignore MIG020: ten rows')).toEqual({ places: [], suppressed: 1 });
    expect(await found('// rls-lint-ignore MIG020, MIG021: ten rows')).toEqual({
      places: ['MIG085:3:1'],
      suppressed: 1,
    });
  });

  it('without a reason, or of another rule, suppresses nothing and is reported', async () => {
    for (const comment of [
      '// rls-lint-ignore MIG020',
      '// rls-lint-ignore MIG020:  ',
      '// rls-lint-ignore MIG021: no',
    ]) {
      expect(await found(comment)).toEqual({ places: ['MIG085:3:1', 'MIG020:4:26'], suppressed: 0 });
    }
  });

  it('of the class stands above the class', async () => {
    const text = migration('await queryRunner.query("SELECT 1");', '');
    expect(places(await lintText(text))).toEqual(['MIG082:1:14']);
    expect(places(await lintText(`// rls-lint-ignore MIG082: nothing to undo\n${text}`))).toEqual([]);
  });
});
