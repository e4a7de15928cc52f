import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  originsOf,
  splitMigrationFile,
  type SplitFile,
  type SplitOptions,
} from '../../libs/rls-tenants/src/generate/index.js';
import { RlsConfigurationError } from '../../libs/rls-tenants/src/errors.js';
import { readSteps } from '../../libs/rls-tenants/src/generate/read-steps.js';
import { lintMigrations } from '../../libs/rls-tenants/src/lint/index.js';
import { migration } from '../lint/lint-support.js';

const OPTIONS: SplitOptions = {
  isPartitioned: (table) => table === 'finding',
  isTenantTable: (table) => table === 'note',
};

const calls = (statements: readonly string[]) =>
  statements.map((sql) => `await queryRunner.query(\`${sql}\`);`).join('\n');

/** Splits a migration of these statements, whose `down` consists of those. */
function split(ups: readonly string[], downs: readonly string[] = []): Promise<SplitFile> {
  return splitMigrationFile('1760000000000-example.ts', migration(calls(ups), calls(downs)), OPTIONS);
}

/** The names of the files, without timestamps. */
function names({ files }: SplitFile): string[] {
  return files.map(({ name }) => name.replace(/^\d{13}-|\.ts$/g, ''));
}

/** The text of the file of that name. */
function file(result: SplitFile, name: string): string {
  return result.files[names(result).indexOf(name)]!.text;
}

/** Statements that are in no file and no report, or in more than one. */
async function lost(text: string, result: SplitFile): Promise<string[]> {
  const { steps } = await readSteps('1760000000000-example.ts', text);
  const kept = [
    ...result.planned.flatMap((planned) => planned.steps.flatMap(originsOf)),
    ...result.notes.filter(({ kind }) => kind === 'left-out').flatMap(({ statements }) => statements),
  ];
  return steps
    .flatMap((step) => (step.kind === 'sql' ? [step.up] : []))
    .filter((sql) => kept.filter((one) => one === sql).length !== 1);
}

const SEEDS = join(__dirname, '../lint/fixtures/seeds-bad');

describe('the bad examples of the seeds', () => {
  const expected: Record<string, string[]> = {
    '1760000000081-index-with-table.ts': [
      'create-finding-group-daily-summary',
      'finding-group-daily-summary-indexes',
    ],
    '1760000000082-three-tables.ts': [
      'create-finding-group-daily-summary',
      'finding-group-daily-summary-indexes',
      'resource-indexes',
      'finding-index-partitions',
      'finding-index-parent',
    ],
    '1760000000083-partitioned-index.ts': ['finding-index-partitions', 'finding-index-parent'],
  };

  it.each(Object.entries(expected))('%s takes the good shape', async (name, shape) => {
    const text = readFileSync(join(SEEDS, name), 'utf8');
    const result = await splitMigrationFile(name, text, OPTIONS);
    expect(names(result)).toEqual(shape);
    const { findings } = await lintMigrations(
      result.files.map((one) => ({ file: one.name, text: one.text })),
      { partitionedTables: ['finding'], tenantTables: ['resource', 'finding'] },
    );
    expect(findings.filter(({ severity }) => severity === 'error')).toEqual([]);
  });

  it.each(readdirSync(SEEDS))('nothing of %s is lost, or all of it is refused', async (name) => {
    const text = readFileSync(join(SEEDS, name), 'utf8');
    const missing = await splitMigrationFile(name, text, OPTIONS).then(
      (result) => lost(text, result),
      (error: unknown) => {
        if (error instanceof RlsConfigurationError) return [];
        throw error;
      },
    );
    expect(missing).toEqual([]);
  });
});

describe('tables', () => {
  it('are made before those that reference them, each with its constraints and policies', async () => {
    const result = await split([
      `CREATE TABLE comment (id uuid PRIMARY KEY, note_id uuid, tenant_id uuid NOT NULL)`,
      `CREATE TABLE note (id uuid PRIMARY KEY, tenant_id uuid NOT NULL)`,
      `ALTER TABLE comment ADD CONSTRAINT fk FOREIGN KEY (note_id) REFERENCES note (id)`,
      `ALTER TABLE note ENABLE ROW LEVEL SECURITY`,
      `CREATE POLICY p ON note USING (tenant_id IS NOT NULL)`,
      `GRANT SELECT ON note TO app`,
    ]);
    expect(names(result)).toEqual(['create-note', 'create-comment']);
    const text = file(result, 'create-note');
    expect(text).toMatch(
      /CREATE TABLE[^]*ENABLE ROW[^]*CREATE POLICY[^]*GRANT[^]*down[^]*REVOKE SELECT ON note FROM app[^]*DROP POLICY "p"[^]*DISABLE ROW[^]*DROP TABLE/,
    );
    expect(file(result, 'create-comment')).toContain('ADD CONSTRAINT fk');
  });

  it('that reference each other get one of the keys later', async () => {
    const result = await split([
      `CREATE TABLE a (id int PRIMARY KEY, b_id int)`,
      `CREATE TABLE b (id int PRIMARY KEY, a_id int)`,
      `ALTER TABLE a ADD CONSTRAINT a_b FOREIGN KEY (b_id) REFERENCES b (id)`,
      `ALTER TABLE b ADD CONSTRAINT b_a FOREIGN KEY (a_id) REFERENCES a (id)`,
    ]);
    expect(names(result)).toEqual(['create-a', 'create-b', 'a-constraints', 'a-validate']);
    expect(file(result, 'a-constraints')).toContain('REFERENCES b (id) NOT VALID');
  });

  it('wait with a key that references columns which become unique later', async () => {
    const result = await split([
      `ALTER TABLE note ADD CONSTRAINT u UNIQUE (tenant_id, id)`,
      `CREATE TABLE comment (id uuid PRIMARY KEY, tenant_id uuid, note_id uuid)`,
      `ALTER TABLE comment ADD CONSTRAINT fk FOREIGN KEY (tenant_id, note_id) REFERENCES note (tenant_id, id)`,
    ]);
    expect(names(result)).toEqual([
      'create-comment',
      'note-indexes',
      'comment-constraints',
      'comment-validate',
    ]);
  });

  it('share a type, or become partitions, after all of them are there', async () => {
    const result = await split([
      `CREATE TYPE kind AS ENUM ('a')`,
      `CREATE TABLE a (id int PRIMARY KEY, kind kind, b_id int)`,
      `CREATE TABLE b (id int PRIMARY KEY, kind kind)`,
      `ALTER TABLE a ADD CONSTRAINT fk FOREIGN KEY (b_id) REFERENCES b (id)`,
      `ALTER TABLE log ADD COLUMN c int`,
      `CREATE TABLE log_2026 (id int, c int)`,
      `ALTER TABLE log ATTACH PARTITION log_2026 FOR VALUES FROM (1) TO (2)`,
    ]);
    expect(names(result)).toEqual(['create-objects', 'create-b', 'create-a', 'create-log-2026', 'alter-log']);
  });

  it('in use are altered one by one, and each command of an ALTER TABLE goes where it belongs', async () => {
    const result = await split([
      `ALTER TABLE author ADD COLUMN a numeric(4,2) DEFAULT 0, ADD CONSTRAINT c CHECK (a >= 0), DROP COLUMN b`,
      `ALTER TABLE tag ADD COLUMN a int`,
    ]);
    expect(names(result)).toEqual([
      'alter-author',
      'alter-tag',
      'author-constraints',
      'author-validate',
      'drop-from-author',
    ]);
    expect(file(result, 'alter-author')).toContain(
      '`ALTER TABLE author ADD COLUMN a numeric(4,2) DEFAULT 0`',
    );
    expect(file(result, 'drop-from-author')).toContain('/** For a later deploy');
  });

  it('get a NOT NULL column in two steps, with room for a backfill', async () => {
    const result = await split([`ALTER TABLE author ADD "email" text NOT NULL`]);
    expect(names(result)).toEqual(['alter-author', 'author-not-null']);
    expect(file(result, 'alter-author')).toContain('ADD COLUMN "email" text`');
    expect(result.notes).toMatchObject([
      { kind: 'rewritten', reason: expect.stringContaining('backfill') as string },
    ]);
  });

  it('get a volatile default for the rows to come', async () => {
    const result = await split([`ALTER TABLE author ADD "key" uuid NOT NULL DEFAULT gen_random_uuid()`]);
    expect(file(result, 'alter-author')).toMatch(
      /ADD COLUMN "key" uuid`[^]*SET DEFAULT gen_random_uuid\(\)`/,
    );
    expect(names(result)).toContain('author-not-null');
  });

  it('lose constraints before data, and a key is never missing while it is replaced', async () => {
    const result = await split([
      `ALTER TABLE author DROP CONSTRAINT old_check`,
      `ALTER TABLE tag DROP COLUMN a`,
      `ALTER TABLE comment DROP CONSTRAINT fk`,
      `ALTER TABLE comment ADD CONSTRAINT fk FOREIGN KEY (note_id) REFERENCES note (id) ON DELETE CASCADE`,
    ]);
    expect(names(result)).toEqual([
      'comment-constraints',
      'comment-validate',
      'author-drop-constraints',
      'drop-from-tag',
    ]);
    expect(file(result, 'comment-constraints')).toMatch(/DROP CONSTRAINT fk[^]*ADD CONSTRAINT fk/);
  });
});

describe('indexes', () => {
  it('keep expressions, order, predicates and methods', async () => {
    const result = await split([
      `CREATE UNIQUE INDEX i ON author (lower("name"), "at" DESC, "b") WHERE ("deleted" IS NULL)`,
      `CREATE INDEX j ON author USING gin ("tags" jsonb_path_ops)`,
    ]);
    expect(file(result, 'author-indexes').replaceAll(/\s+/g, ' ')).toContain(
      `columns: [{ expression: 'lower("name")' }, { expression: '"at" DESC' }, 'b'], unique: true, where: '("deleted" IS NULL)'`,
    );
    expect(file(result, 'author-indexes')).toContain(`method: 'gin'`);
  });

  it('that the library cannot describe are built by SQL that can be run again', async () => {
    const result = await split([
      `CREATE INDEX i ON author (a) INCLUDE (b)`,
      `ALTER TABLE tag ADD COLUMN a int`,
    ]);
    expect(file(result, 'author-indexes')).toMatch(
      /transaction = false[^]*DROP INDEX CONCURRENTLY IF EXISTS "i"[^]*CREATE INDEX CONCURRENTLY i ON author \(a\) INCLUDE \(b\)/,
    );
  });

  it('that nobody declares stay, and it is said how to declare them', async () => {
    const result = await split(
      [`DROP INDEX "public"."note_by_hand"`, `ALTER TABLE tag ADD COLUMN a int`],
      [`CREATE INDEX "note_by_hand" ON "note" ("title")`],
    );
    expect(names(result)).toEqual(['alter-tag']);
    expect(result.notes[0]).toMatchObject({
      kind: 'left-out',
      reason: expect.stringContaining(`@Index('note_by_hand', { synchronize: false })`) as string,
    });
  });

  it('that TypeORM named are dropped concurrently, and come back in the same way', async () => {
    const index = 'IDX_d681183fd15b20a41d47354bb0';
    const result = await split(
      [`DROP INDEX "public"."${index}"`, `ALTER TABLE tag ADD COLUMN a int`],
      [`CREATE INDEX "${index}" ON "note" ("title")`],
    );
    expect(names(result)).toEqual(['alter-tag', 'note-drop-indexes']);
    expect(file(result, 'note-drop-indexes')).toMatch(
      new RegExp(
        `DROP INDEX CONCURRENTLY IF EXISTS "${index}"[^]*down[^]*CREATE INDEX CONCURRENTLY "${index}"`,
      ),
    );
  });
});

describe('what TypeORM writes about views and enums', () => {
  it('a view of a tenant table reads it as its caller', async () => {
    const result = await split(
      [
        `DROP VIEW "titles"`,
        `CREATE VIEW "titles" AS SELECT title FROM "note"`,
        `CREATE VIEW "names" AS SELECT name FROM "author"`,
        `DROP VIEW "gone"`,
      ],
      [`CREATE VIEW "titles" AS SELECT 1`, `CREATE VIEW "gone" AS SELECT 1`],
    );
    expect(names(result)).toEqual(['create-titles', 'create-names', 'drop-from-gone']);
    expect(file(result, 'create-titles')).toContain(
      'CREATE VIEW "titles" WITH (security_invoker = true) AS SELECT title FROM "note"',
    );
    expect(file(result, 'create-names')).not.toContain('security_invoker');
  });

  it('what it notes of a view stays with the view, and parameters become literals', async () => {
    const insert = `await queryRunner.query(\`INSERT INTO "typeorm_metadata"("schema", "type", "name", "value") VALUES ($1, $2, $3, $4)\`, ["public","VIEW","names","SELECT 'it''s' FROM x"]);`;
    const text = migration(
      `${calls([`CREATE VIEW "names" AS SELECT name FROM "author"`])}\n${insert}\n${calls([`ALTER TABLE tag ADD COLUMN a int`])}`,
    );
    const result = await splitMigrationFile('1760000000000-example.ts', text, OPTIONS);
    expect(file(result, 'create-names')).toContain(
      `VALUES ('public', 'VIEW', 'names', 'SELECT ''it''''s'' FROM x')`,
    );
  });

  it('a new value of an enum has a file of its own, before what uses it', async () => {
    const result = await split([
      `ALTER TABLE author ADD COLUMN a int`,
      `ALTER TYPE "public"."role" ADD VALUE 'editor'`,
    ]);
    expect(names(result)).toEqual(['alter-role', 'alter-author']);
  });
});

describe('rows', () => {
  it('are written in a file of their own, after the structure and before what depends on them', async () => {
    const result = await split([
      `ALTER TABLE author ADD COLUMN a int`,
      `UPDATE author SET a = 1`,
      `ALTER TABLE author ALTER COLUMN a SET NOT NULL`,
    ]);
    expect(names(result)).toEqual(['alter-author', 'author-data', 'author-not-null']);
  });

  it('are not written under columns that change afterwards', async () => {
    await expect(
      split([
        `UPDATE author SET a = 1`,
        `ALTER TABLE author RENAME COLUMN a TO b`,
        `CREATE TABLE t (id int)`,
      ]),
    ).rejects.toThrow(/Rows are written before a later statement/);
  });
});

describe('refused, with the way around it', () => {
  it.each([
    [
      'a column of another type',
      [`ALTER TABLE author DROP COLUMN "a"`, `ALTER TABLE author ADD "a" bigint`],
      [`ALTER TABLE author DROP COLUMN "a"`, `ALTER TABLE author ADD "a" integer`],
      /Column "a" of table "author" is dropped and added again to make integer into bigint/,
    ],
    [
      'a column whose former type is not known',
      [`ALTER TABLE author DROP COLUMN "a"`, `ALTER TABLE author ADD "a" text`],
      [],
      /its former type is not known/,
    ],
    [
      'a type that is converted',
      [`ALTER TABLE author ALTER COLUMN "a" TYPE bigint`],
      [`ALTER TABLE author ALTER COLUMN "a" TYPE integer`],
      /Column "a" of table "author" changes from integer to bigint/,
    ],
    [
      'an enum that is made anew',
      [
        `ALTER TYPE "public"."role" RENAME TO "role_old"`,
        `CREATE TYPE "public"."role" AS ENUM('a')`,
        `ALTER TABLE "author" ALTER COLUMN "role" TYPE "public"."role" USING "role"::"text"::"public"."role"`,
        `DROP TYPE "public"."role_old"`,
      ],
      [],
      /Enum "role" is made anew, and column "role" of table "author" changes to it/,
    ],
    ['a primary key', [`ALTER TABLE author ADD CONSTRAINT pk PRIMARY KEY (a)`], [], /gets primary key "pk"/],
    [
      'an exclusion',
      [`ALTER TABLE author ADD CONSTRAINT e EXCLUDE USING gist (a WITH =)`],
      [],
      /exclusion constraint "e"/,
    ],
    [
      'a unique constraint of a partitioned table',
      [`ALTER TABLE finding ADD CONSTRAINT u UNIQUE (a)`],
      [],
      /Partitioned table "finding"/,
    ],
    [
      'a foreign key of a partitioned table',
      [`ALTER TABLE finding ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES tag (id)`],
      [],
      /Partitioned table "finding"/,
    ],
    ['a serial column', [`ALTER TABLE author ADD "n" SERIAL NOT NULL`], [], /without writing it anew/],
    [
      'a column with a constraint',
      [`ALTER TABLE author ADD "n" int UNIQUE`],
      [],
      /together with a constraint/,
    ],
    [
      'a DO block',
      [`DO $$ BEGIN END $$`, `ALTER TABLE author ADD "n" int`],
      [],
      /cannot be read: a DO block/,
    ],
    [
      'a SET',
      [`SET lock_timeout = 1`, `ALTER TABLE author ADD "n" int`],
      [],
      /nothing is known of what it does/,
    ],
    [
      'a deferrable unique constraint',
      [`ALTER TABLE author ADD CONSTRAINT u UNIQUE (a) DEFERRABLE`],
      [],
      /deferrable/,
    ],
  ])('%s', async (_what, ups, downs, message) => {
    await expect(split(ups, downs)).rejects.toThrow(message);
  });

  it('all at once, so that they can be seen to together', async () => {
    const refusal = split([
      `ALTER TABLE author ADD CONSTRAINT pk PRIMARY KEY (a)`,
      `ALTER TABLE tag ADD CONSTRAINT e EXCLUDE USING gist (a WITH =)`,
    ]);
    await expect(refusal).rejects.toThrow(/1\. Table "author"[^]*2\. Table "tag"/);
  });

  it.each([
    ['a condition', `if (Date.now()) { await queryRunner.query(\`CREATE TABLE a (id int)\`); }`],
    ['SQL of run time', `await queryRunner.query('CREATE TABLE a' + String(1));`],
    ['an entity', `await queryRunner.manager.find(Author);`],
    ['a computed parameter', `await queryRunner.query(\`INSERT INTO a VALUES ($1)\`, [Date.now()]);`],
  ])('%s cannot move into another file', async (_what, up) => {
    const text = migration(`${up}\n${calls([`CREATE TABLE b (id int)`, `CREATE INDEX i ON b (id)`])}`);
    await expect(splitMigrationFile('1760000000000-example.ts', text, OPTIONS)).rejects.toThrow(
      /cannot be split|cannot be put/,
    );
  });

  it('what cannot be read, though there is nothing else in the file', async () => {
    const text = migration(`await queryRunner.createTable(new Table({ name: 'a' }));`);
    await expect(splitMigrationFile('1760000000000-example.ts', text, OPTIONS)).rejects.toThrow(
      /1760000000000-example.ts:3 cannot be read: queryRunner.createTable/,
    );
  });
});

describe('what undoes a statement', () => {
  it('is found in down, or derived; what is neither is said', async () => {
    const result = await split(
      [`CREATE TABLE a (id int)`, `CREATE TABLE b (id int)`, `DROP TABLE c`, `COMMENT ON TABLE a IS 'x'`],
      [`DROP TABLE a CASCADE`, `DROP TABLE nobody`],
    );
    expect(file(result, 'create-a')).toContain('`DROP TABLE a CASCADE`');
    expect(file(result, 'create-b')).toContain('`DROP TABLE "b"`');
    expect(result.notes.map(({ kind, statements }) => [kind, ...statements])).toEqual([
      ['no-down', 'DROP TABLE c'],
      ['no-down', `COMMENT ON TABLE a IS 'x'`],
      ['left-out', 'DROP TABLE nobody'],
    ]);
  });
});

describe('a file that is as it should be', () => {
  it.each([
    ['one table', migration(calls([`CREATE TABLE a (id int)`, `ALTER TABLE a ENABLE ROW LEVEL SECURITY`]))],
    [
      'operations, whatever they depend on',
      `import { ConcurrentMigration, concurrentIndex } from 'nestjs-rls-tenants/migrations';
       const table = 'note';
       export class Example1760000000000 extends ConcurrentMigration {
         readonly operations = [concurrentIndex({ table: 'note', columns: COLUMNS })];
       }`,
    ],
  ])('is left alone: %s', async (_what, text) => {
    expect(await splitMigrationFile('1760000000000-example.ts', text, OPTIONS)).toMatchObject({
      unchanged: true,
      files: [],
    });
  });

  it('operations of several concerns are split like statements, and keep their text', async () => {
    const text = `import { RlsMigration, concurrentIndex, protectTable, runSql } from 'nestjs-rls-tenants/migrations';
export class Example1760000000000 extends RlsMigration {
  readonly operations = [
    runSql('CREATE TABLE note (id uuid, tenant_id uuid NOT NULL)', 'DROP TABLE note'),
    protectTable({
      table: 'note',
      tenantIdType: 'uuid',
      appRole: 'app',
    }),
    concurrentIndex({ table: 'note', columns: ['tenant_id'] }),
  ];
}
`;
    const result = await splitMigrationFile('1760000000000-example.ts', text, OPTIONS);
    expect(names(result)).toEqual(['create-note', 'note-indexes']);
    expect(file(result, 'create-note')).toContain(
      `    protectTable({ table: 'note', tenantIdType: 'uuid', appRole: 'app' }),`,
    );
  });
});

describe('what would mean something else in another file', () => {
  it.each([
    [
      'rows written while row-level security is off',
      [
        'ALTER TABLE note NO FORCE ROW LEVEL SECURITY',
        'UPDATE note SET a = 1',
        'ALTER TABLE note FORCE ROW LEVEL SECURITY',
      ],
      /Rows are written before a later statement changes their table/,
    ],
    [
      'rows written before their table is protected',
      ['UPDATE note SET a = 1', 'CREATE POLICY p ON note USING (tenant_id = 1)'],
      /Rows are written before a later statement changes their table/,
    ],
    [
      'rows written while a trigger is off',
      ['ALTER TABLE note DISABLE TRIGGER t', 'UPDATE note SET a = 1', 'ALTER TABLE note ENABLE TRIGGER t'],
      /Rows are written before a later statement changes their table/,
    ],
    [
      'rows written after a constraint is dropped',
      ['ALTER TABLE note DROP CONSTRAINT c', `INSERT INTO note VALUES (1)`],
      /Rows are written after a constraint of their table is dropped/,
    ],
    [
      'a column that is used before it gets another name',
      ['ALTER TABLE note ALTER COLUMN a SET NOT NULL', 'ALTER TABLE note RENAME COLUMN a TO b'],
      /uses a name that is changed after it/,
    ],
    [
      'a table that loses a constraint before it gets another name',
      ['ALTER TABLE note DROP CONSTRAINT c', 'ALTER TABLE note RENAME TO remark'],
      /uses a name that is changed after it/,
    ],
    [
      'a unique constraint in another form under the same name',
      ['ALTER TABLE note DROP CONSTRAINT u', 'ALTER TABLE note ADD CONSTRAINT u UNIQUE (tenant_id, a)'],
      /between the two nothing keeps duplicates out/,
    ],
  ])('%s is refused', async (_what, ups, message) => {
    await expect(split(ups)).rejects.toThrow(message);
  });

  it('a unique constraint that is only made again as it was stays', async () => {
    const again = [
      'ALTER TABLE note DROP CONSTRAINT u',
      'ALTER TABLE note ADD CONSTRAINT u UNIQUE (tenant_id, a)',
    ];
    const result = await split([...again, 'ALTER TABLE note ADD b int', 'CREATE INDEX i ON note (b)'], again);
    expect(names(result)).toEqual(['alter-note', 'note-indexes']);
    expect(result.notes.find(({ kind }) => kind === 'left-out')?.statements).toEqual(again);
  });

  it('views that read each other are made anew in one file', async () => {
    const again = (column: string) => [
      'DROP VIEW outer_view',
      'DROP VIEW inner_view',
      `CREATE VIEW inner_view AS SELECT ${column} FROM plain`,
      `CREATE VIEW outer_view AS SELECT ${column} FROM inner_view`,
    ];
    const result = await split([...again('a'), 'CREATE INDEX i ON plain (a)'], again('b'));
    expect(names(result)).toEqual(['create-outer-view', 'plain-indexes']);
  });

  it('a table that is made of a query is dropped as a table', async () => {
    const result = await split(['CREATE TABLE copy AS SELECT * FROM plain', 'CREATE INDEX i ON copy (a)']);
    expect(file(result, 'create-copy')).toContain('DROP TABLE "copy"');
  });
});
