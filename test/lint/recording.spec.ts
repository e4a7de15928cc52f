import { readFileSync } from 'node:fs';
import { Script } from 'node:vm';
import {
  DataSource,
  Table,
  TableCheck,
  TableColumn,
  TableForeignKey,
  TableIndex,
  TableUnique,
  View,
  type QueryRunner,
} from 'typeorm';
import {
  loadTypeScript,
  readMigrationFile,
  RECORDED_METHODS,
  recordCalls,
} from '../../libs/rls-tenants/src/lint/index.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { lintText, migration, places } from './lint-support.js';

const IMPORTS =
  "import { Table, TableColumn, TableIndex, TableForeignKey, TableUnique, TableCheck, TableExclusion, View } from 'typeorm';";
const NOTHING = 'await queryRunner.query(`SELECT 1`);';

/** `up` begins in line 3. */
function lint(up: string, down?: string, members?: string) {
  return lintText(`${IMPORTS}${migration(up, down, members)}`);
}

async function found(up: string, down?: string, members?: string): Promise<string[]> {
  return places(await lint(up, down, members));
}

async function notChecked(up: string, members?: string): Promise<string[]> {
  const { findings } = await lint(up, undefined, members);
  return findings.filter(({ ruleId }) => ruleId === 'MIG013').map(({ message }) => message);
}

/** The statements that are read in a migration, recorded ones included. */
async function statements(up: string, down = NOTHING, members?: string) {
  const ts = await loadTypeScript();
  const file = readMigrationFile(ts, 'a.ts', `${IMPORTS}${migration(up, down, members)}`);
  const [recorded] = await recordCalls([file]);
  const [{ statements: all, unanalyzable } = { statements: [], unanalyzable: [] }] = recorded!.migrations;
  const of = (direction: string) => all.filter((one) => one.direction === direction).map(({ sql }) => sql);
  return { up: of('up'), down: of('down'), unanalyzable: unanalyzable.map(({ what }) => what) };
}

const CALLS: readonly (readonly [string, string])[] = [
  ["createTable(new Table({ name: 'note', columns: [{ name: 'tenant_id', type: 'uuid' }] }))", 'MIG050'],
  [
    "createTable(new Table({ name: 'a', columns: [{ name: 'b', type: 'int' }], indices: [{ columnNames: ['b'] }] }))",
    'MIG086',
  ],
  ["dropTable('note')", 'MIG040'],
  ["dropTable('note', true)", 'MIG040'],
  ["renameTable('note', 'page')", 'MIG040'],
  ["clearTable('note')", 'MIG042'],
  ["dropView('v')", 'MIG040'],
  ["dropSchema('old', true, true)", 'MIG040'],
  ["addColumn('note', new TableColumn({ name: 'a', type: 'int' }))", 'MIG035'],
  [
    "addColumns('note', [new TableColumn({ name: 'a', type: 'uuid', isGenerated: true, generationStrategy: 'uuid' })])",
    'MIG036',
  ],
  ["dropColumn('note', 'a')", 'MIG040'],
  ["dropColumns('note', ['a'])", 'MIG040'],
  ["renameColumn('note', 'a', 'b')", 'MIG040'],
  ["createPrimaryKey('note', ['id'])", 'MIG025'],
  ["createUniqueConstraint('note', new TableUnique({ columnNames: ['a'] }))", 'MIG024'],
  ["createUniqueConstraints('note', [new TableUnique({ columnNames: ['a'] })])", 'MIG024'],
  ["createCheckConstraint('note', new TableCheck({ name: 'c', expression: 'a > 0' }))", 'MIG033'],
  ["createCheckConstraints('note', [new TableCheck({ name: 'c', expression: 'a > 0' })])", 'MIG033'],
  [
    "createExclusionConstraint('note', new TableExclusion({ name: 'x', expression: 'USING gist (a WITH &&)' }))",
    'MIG026',
  ],
  [
    "createExclusionConstraints('note', [new TableExclusion({ name: 'x', expression: 'USING gist (a WITH &&)' })])",
    'MIG026',
  ],
  [
    "createForeignKey('note', new TableForeignKey({ columnNames: ['a'], referencedTableName: 'b', referencedColumnNames: ['id'] }))",
    'MIG030',
  ],
  [
    "createForeignKeys('note', [new TableForeignKey({ columnNames: ['a'], referencedTableName: 'b', referencedColumnNames: ['id'] })])",
    'MIG030',
  ],
  ["createIndex('note', new TableIndex({ columnNames: ['a'] }))", 'MIG020'],
  ["createIndices('note', [new TableIndex({ columnNames: ['a'] })])", 'MIG020'],
  ["createIndex('note', new TableIndex({ columnNames: ['a'], isConcurrent: true }))", 'MIG001'],
  ["dropIndex('note', 'i')", 'MIG021'],
  ["dropIndices('note', [new TableIndex({ name: 'i', columnNames: ['a'] })])", 'MIG021'],
];

describe('a call of the query runner', () => {
  it.each(CALLS)('%s is linted as the SQL it runs: %s', async (call, rule) => {
    const { findings, coverage } = await lint(`${NOTHING}\n  await queryRunner.${call};`);
    expect(coverage.unanalyzable).toBe(0);
    const at = findings.filter(({ ruleId }) => ruleId === rule).map(({ line, column }) => [line, column]);
    expect(at).toEqual([[4, 9]]);
  });

  it.each([
    ["createSchema('a', true)", 'CREATE SCHEMA IF NOT EXISTS "a"'],
    ["createView(new View({ name: 'v', expression: 'SELECT 1' }))", 'CREATE VIEW "v" AS SELECT 1'],
    ["dropUniqueConstraint('note', 'u')", 'ALTER TABLE "note" DROP CONSTRAINT "u"'],
    [
      "dropUniqueConstraints('note', [new TableUnique({ name: 'u', columnNames: ['a'] })])",
      'ALTER TABLE "note" DROP CONSTRAINT "u"',
    ],
    ["dropCheckConstraint('note', 'c')", 'ALTER TABLE "note" DROP CONSTRAINT "c"'],
    [
      "dropCheckConstraints('note', [new TableCheck({ name: 'c' })])",
      'ALTER TABLE "note" DROP CONSTRAINT "c"',
    ],
    ["dropExclusionConstraint('note', 'x')", 'ALTER TABLE "note" DROP CONSTRAINT "x"'],
    [
      "dropExclusionConstraints('note', [new TableExclusion({ name: 'x' })])",
      'ALTER TABLE "note" DROP CONSTRAINT "x"',
    ],
    ["dropForeignKey('billing.note', 'f')", 'ALTER TABLE "billing"."note" DROP CONSTRAINT "f"'],
    [
      "dropForeignKeys('note', [new TableForeignKey({ name: 'f', columnNames: ['a'], referencedTableName: 'b', referencedColumnNames: ['id'] })])",
      'ALTER TABLE "note" DROP CONSTRAINT "f"',
    ],
  ])('%s is read as the SQL it runs, in up() and down()', async (call, sql) => {
    const line = `await queryRunner.${call};`;
    expect(await statements(line, line)).toEqual({ up: [sql], down: [sql], unanalyzable: [] });
  });

  it('of every method is covered here', () => {
    const text = readFileSync(__filename, 'utf8');
    expect(RECORDED_METHODS.filter((method) => !text.includes(`${method}(`))).toEqual([]);
  });
});

describe('tables that were made by calls before', () => {
  const NOTE =
    "await queryRunner.createTable(new Table({ name: 'public.note', columns: [{ name: 'id', type: 'int', isPrimary: true }, { name: 'a', type: 'varchar', length: '10', isUnique: true }] }));";

  it('are known: what is done to them in the same migration locks nobody out', async () => {
    const call =
      "await queryRunner.createForeignKey('note', new TableForeignKey({ columnNames: ['id'], referencedTableName: 'b', referencedColumnNames: ['id'] }));";
    expect(await found(`${NOTE}\n${call}`)).toEqual([]);
    expect(await found(call)).toEqual(['MIG030:3:7']);
  });

  it('have their columns: a change that TypeORM makes by dropping and adding is seen as that', async () => {
    const change =
      "await queryRunner.changeColumn('note', 'a', new TableColumn({ name: 'a', type: 'varchar', length: '20' }));";
    const { up } = await statements(`${NOTE}\n${change}`);
    expect(up.slice(-2)).toEqual([
      'ALTER TABLE "note" DROP COLUMN "a"',
      'ALTER TABLE "note" ADD "a" varchar(20) NOT NULL',
    ]);
    expect(await notChecked(change)).toEqual([
      'Not checked: queryRunner.changeColumn(), which depends on the columns that "note" has.',
    ]);
    expect(
      await notChecked(
        change
          .replace("changeColumn('note', 'a', ", "changeColumns('note', [{ oldColumn: 'a', newColumn: ")
          .replace('));', ')}]);'),
      ),
    ).toEqual(['Not checked: queryRunner.changeColumns(), which depends on the columns that "note" has.']);
  });

  it('are known in down() as up() left them, and under their new name', async () => {
    const { down, unanalyzable } = await statements(
      `${NOTE}\nawait queryRunner.renameTable('note', 'page');`,
      "await queryRunner.dropPrimaryKey('page'); await queryRunner.updatePrimaryKeys('page', [new TableColumn({ name: 'a', type: 'varchar' })]);",
    );
    expect(unanalyzable).toEqual([]);
    expect(down).toEqual([
      expect.stringMatching(/^ALTER TABLE "page" DROP CONSTRAINT "PK_/),
      expect.stringMatching(/^ALTER TABLE "page" ADD CONSTRAINT "PK_\w+" PRIMARY KEY \("a"\)$/),
    ]);
  });

  it('have indexes that are dropped as the database would have them dropped: not concurrently', async () => {
    const { up, down } = await statements(
      "await queryRunner.createIndex('note', new TableIndex({ name: 'i', columnNames: ['a'], isConcurrent: true }));",
      "await queryRunner.dropIndex('note', 'i');",
    );
    expect({ up, down }).toEqual({
      up: ['CREATE INDEX CONCURRENTLY "i" ON "note"  ("a")'],
      down: ['DROP INDEX "public"."i"'],
    });
  });

  it('are not known any more once SQL has changed them', async () => {
    const key = "await queryRunner.dropPrimaryKey('note');";
    expect(await notChecked(`${NOTE}\n${key}`)).toEqual([]);
    expect(
      await notChecked(`${NOTE}\nawait queryRunner.query('ALTER TABLE note DROP COLUMN a');\n${key}`),
    ).toEqual(['Not checked: queryRunner.dropPrimaryKey(), which depends on the columns that "note" has.']);
    expect(await notChecked(`${NOTE}\nawait queryRunner.dropTable('note');\n${key}`)).toHaveLength(1);
    expect(
      await notChecked(
        "await queryRunner.addColumn('note', new TableColumn({ name: 'b', type: 'int', isPrimary: true }));",
      ),
    ).toHaveLength(1);
  });

  it('are known to later migrations, in the order of their timestamps', async () => {
    const later = migration(
      "await queryRunner.dropPrimaryKey('note');\nawait queryRunner.createIndex('note', new TableIndex({ columnNames: ['a'] }));",
    ).replace('1760000000000', '1760000000001');
    const report = await lintText(`${IMPORTS}${later}${migration(NOTE)}`);
    expect(places(report)).toContain('MIG020:4:7');
    expect(report.coverage.unanalyzable).toBe(0);
  });

  it('have their enums made and dropped as well', async () => {
    const add =
      "await queryRunner.addColumn('note', new TableColumn({ name: 'size', type: 'enum', enum: ['s', 'l'], isNullable: true }));";
    expect(await statements(add, "await queryRunner.dropColumn('note', 'size');")).toEqual({
      up: [
        `CREATE TYPE "public"."note_size_enum" AS ENUM('s', 'l')`,
        'ALTER TABLE "note" ADD "size" "public"."note_size_enum"',
      ],
      down: ['ALTER TABLE "note" DROP COLUMN "size"', 'DROP TYPE "public"."note_size_enum"'],
      unanalyzable: [],
    });
  });
});

describe('arguments are read', () => {
  const index = 'CREATE INDEX "a" ON "note"  ("b")';
  const up = async (text: string, members?: string) => statements(text, NOTHING, members);

  it.each([
    [
      "const index = new TableIndex({ name: 'a', columnNames: ['b'] }); await queryRunner.createIndex('note', index);",
    ],
    [
      "const columnNames = ['b']; await queryRunner.createIndex('note', new TableIndex({ name: 'a', columnNames }));",
    ],
    [
      "const name = 'a'; const rest = { columnNames: ['b'] } as const; await queryRunner.createIndex(`note`, new TableIndex({ name, ...rest }));",
    ],
    [
      "const names = ['b']; await queryRunner.createIndex('no' + 'te', new TableIndex({ 'name': 'a', columnNames: [...names] }));",
    ],
    [
      "const table = await queryRunner.getTable('note'); if (table && !table.foreignKeys.length) await queryRunner.createIndex(table, new TableIndex({ name: 'a', columnNames: ['b'] }));",
    ],
    [
      "{ const i = new TableIndex({ columnNames: ['c'] }); } { const i = new TableIndex({ name: 'a', columnNames: ['b'] }); await queryRunner.createIndex('note', i); }",
    ],
    [
      "const table = await queryRunner.getTable('note'); await queryRunner.createIndex(table!, new TableIndex({ name: 'a', columnNames: ['b'] }));",
    ],
  ])('from literals and from constants that nothing changes: %s', async (text) => {
    expect(await up(text)).toEqual({ up: [index], down: ['SELECT 1'], unanalyzable: [] });
  });

  it('from readonly properties of the class, and from nothing else of it', async () => {
    const members = "\nprivate MODIFIER index = new TableIndex({ name: 'a', columnNames: ['b'] });";
    const text = "await queryRunner.createIndex('note', this.index);";
    expect((await up(text, members.replace('MODIFIER', 'readonly'))).up).toEqual([index]);
    expect((await up(text, members.replace('MODIFIER ', ''))).unanalyzable).toEqual([
      'queryRunner.createIndex(), because this.index is known at run time only',
    ]);
  });

  it.each([
    [
      "const c = ['b']; c.push('d'); await queryRunner.createIndex('note', new TableIndex({ columnNames: c }));",
      'c',
    ],
    [
      "const c = ['b']; change(c); await queryRunner.createIndex('note', new TableIndex({ columnNames: c }));",
      'c',
    ],
    [
      "const c = ['b']; const d = c; d.push('e'); await queryRunner.createIndex('note', new TableIndex({ columnNames: c }));",
      'c',
    ],
    [
      "const i = new TableIndex({ columnNames: ['b'] }); i.isConcurrent = true; await queryRunner.createIndex('note', i);",
      'i',
    ],
    [
      "const i = new TableIndex({ columnNames: ['b'] }); for (const i of indexes()) await queryRunner.createIndex('note', i);",
      'i',
    ],
    ["const { i } = indexes(); await queryRunner.createIndex('note', i);", 'i'],
    ["let t = 'note'; await queryRunner.createIndex(t, new TableIndex({ columnNames: ['b'] }));", 't'],
    ["await queryRunner.createIndex('note', new OwnIndex());", 'new OwnIndex()'],
    ["await queryRunner.createIndex('note', new TableIndex({ columnNames: columns() }));", 'columns()'],
    [
      "await queryRunner.createIndex('note', new TableIndex({ ['columnNames']: ['b'] }));",
      "['columnNames']: ['b']",
    ],
    ["const a = { ...a }; await queryRunner.createIndex('note', new TableIndex(a));", '{ ...a }'],
    [
      "const t = await queryRunner.getTable('note'); await queryRunner.dropForeignKey('note', t.foreignKeys.find((k) => k.name));",
      't.foreignKeys.find((k) => k.name)',
    ],
  ])('but not where they may be something else at run time: %s', async (text, part) => {
    const { unanalyzable, up: ran } = await up(text);
    expect(ran).toEqual([]);
    expect(unanalyzable).toEqual([
      expect.stringMatching(/^queryRunner\.\w+\(\), because .* is known at run time only$/),
    ]);
    expect(unanalyzable[0]).toContain(`because ${part} is`);
  });

  it('in CommonJS, as the compiler writes it', async () => {
    const ts = await loadTypeScript();
    const read = async (text: string) => {
      const [file] = await recordCalls([readMigrationFile(ts, 'a.js', text)]);
      return file!.migrations[0]!.statements.map(({ sql }) => sql);
    };
    const body = (table: string) =>
      `class A1760000000000 { async up(q) { await q.createIndex('note', new ${table}({ name: 'a', columnNames: ['b'] })); } async down(q) {} }`;
    expect(await read(`const typeorm_1 = require("typeorm"); ${body('typeorm_1.TableIndex')}`)).toEqual([
      index,
    ]);
    expect(await read(`const { TableIndex: I } = require("typeorm"); ${body('I')}`)).toEqual([index]);
    expect(await read(`import * as typeorm from 'typeorm'; ${body('typeorm.TableIndex')}`)).toEqual([index]);
    expect(await read(`import { TableIndex } from './own.js'; ${body('TableIndex')}`)).toEqual([]);
  });

  it('and what TypeORM itself refuses is said', async () => {
    const [said] = await notChecked(
      "await queryRunner.createTable(new Table({ name: 'a', columns: [{ name: 'b', type: 'int' }] }));\nawait queryRunner.dropPrimaryKey('a');",
    );
    expect(said).toMatch(/^Not checked: queryRunner\.dropPrimaryKey\(\), of which TypeORM says: /);
  });

  it('and SQL that is none is an error', async () => {
    const { findings } = await lint(
      "await queryRunner.addColumn('note', new TableColumn({ name: 'a', type: 'int int int', isNullable: true }));",
    );
    expect(findings.map(({ severity, message }) => `${severity}: ${message}`)).toEqual([
      'error: Not checked: SQL of queryRunner.addColumn() that PostgreSQL cannot parse (syntax error at or near "int").',
    ]);
  });

  it('and a comment above the call suppresses its findings', async () => {
    const call = "await queryRunner.createIndex('note', new TableIndex({ columnNames: ['a'] }));";
    expect(await found(`// rls-lint-ignore MIG020: ten rows\n${call}`)).toEqual([]);
  });
});

const UP = `
  await queryRunner.createTable(new Table({ name: 'person', columns: [{ name: 'id', type: 'int', isPrimary: true }] }));
  await queryRunner.createTable(
    new Table({
      name: 'note',
      comment: 'of people',
      columns: [
        { name: 'id', type: 'int', isPrimary: true, isGenerated: true, generationStrategy: 'identity' },
        { name: 'name', type: 'varchar', length: '10', isUnique: true },
        { name: 'size', type: 'enum', enum: ['s', 'l'] },
        { name: 'person_id', type: 'int', isNullable: true, default: 0 },
        { name: 'twice', type: 'int', generatedType: 'STORED', asExpression: '"person_id" * 2' },
      ],
      indices: [{ columnNames: ['name'] }],
      checks: [{ columnNames: ['id'], expression: 'id > 0' }],
    }),
    true,
  );
  await queryRunner.createForeignKey(
    'note',
    new TableForeignKey({ columnNames: ['person_id'], referencedTableName: 'person', referencedColumnNames: ['id'], onDelete: 'CASCADE' }),
  );
  await queryRunner.addColumns('note', [
    new TableColumn({ name: 'kind', type: 'enum', enum: ['a', 'b'], isNullable: true }),
    new TableColumn({ name: 'code', type: 'text', isUnique: true, isNullable: true }),
  ]);
  await queryRunner.createIndex('note', new TableIndex({ name: 'by_code', columnNames: ['code'], where: 'code IS NOT NULL' }));
  await queryRunner.createUniqueConstraint('public.note', new TableUnique({ columnNames: ['id', 'name'] }));
  await queryRunner.createCheckConstraint('note', new TableCheck({ name: 'small', expression: 'id < 100' }));
  await queryRunner.createView(new View({ name: 'names', expression: 'SELECT name FROM note' }), true);
  await queryRunner.changeTableComment('person', 'all');
  await queryRunner.clearTable('note');
`;
const DOWN = `
  await queryRunner.dropView('names');
  await queryRunner.dropCheckConstraint('note', 'small');
  await queryRunner.dropIndex('note', 'by_code');
  await queryRunner.dropColumn('note', 'kind');
  await queryRunner.changeColumn('note', 'name', new TableColumn({ name: 'name', type: 'varchar', length: '20' }));
  await queryRunner.renameColumn('note', 'code', 'sign');
  await queryRunner.dropPrimaryKey('note');
  await queryRunner.dropTable('note', true);
  await queryRunner.renameTable('person', 'people');
`;

describe('what is recorded', () => {
  let database: TestDatabase;
  let dataSource: DataSource;
  beforeAll(async () => {
    database = await createTestDatabase();
    dataSource = await new DataSource({ type: 'postgres', url: database.url('migrator') }).initialize();
    await dataSource.query(
      'CREATE TABLE typeorm_metadata (type text, database text, schema text, "table" text, name text, value text)',
    );
  });
  afterAll(async () => {
    await dataSource.destroy();
    await database.drop();
  });

  /** Runs the lines on PostgreSQL, and returns what they sent that is no read. */
  async function run(lines: string): Promise<string[]> {
    const classes = { Table, TableCheck, TableColumn, TableForeignKey, TableIndex, TableUnique, View };
    // The same text that the linter reads, run.
    const script = new Script(`(async (queryRunner, ${Object.keys(classes).join(', ')}) => {${lines}})`);
    const make = script.runInThisContext() as (runner: QueryRunner, ...told: unknown[]) => Promise<void>;
    const runner = dataSource.createQueryRunner();
    const sent = jest.spyOn(runner, 'query');
    try {
      await make(runner, ...Object.values(classes));
      return sent.mock.calls
        .map(([sql]) => sql.trim())
        .filter((sql) => !/^(?:SELECT|WITH)|typeorm_metadata/.test(sql));
    } finally {
      await runner.release();
    }
  }

  it('is what TypeORM sends to PostgreSQL for the same calls, one after the other', async () => {
    const { up, down, unanalyzable } = await statements(UP, DOWN);
    expect(unanalyzable).toEqual([]);
    expect(up).toEqual(await run(UP));
    expect(down).toEqual(await run(DOWN));
    expect(up.length + down.length).toBeGreaterThan(25);
  });
});
