import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Test } from '@nestjs/testing';
import request from 'supertest';
import { DataSource, type DataSourceOptions, type MigrationInterface } from 'typeorm';
import {
  consolidateSchemas,
  type ConsolidateSchemasOptions,
} from '../../libs/rls-tenants/src/cli/consolidate-schemas.js';
import { migrationDataSourceOptions } from '../../libs/rls-tenants/src/migrations/index.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { writeGuide, type Guide } from './support/guide.js';
import { CONTENTS, createOldSchemas, TENANTS, type OldTenant } from './support/schemas.js';

// The built bin, as `npm test` builds it: what users run.
const BIN = resolve('libs/rls-tenants/dist/cli/main.js');
const FIRST = TENANTS[0]!;

let db: TestDatabase;
let guide: Guide;

/** What a file of the guide exports. */
function load(name: string): Record<string, unknown> {
  return require(join(guide.directory, `${name}.ts`)) as Record<string, unknown>;
}

function dataSourceOptions(role: 'app' | 'migrator'): DataSourceOptions {
  const entities = load('entities').entities as NonNullable<DataSourceOptions['entities']>;
  return { type: 'postgres', url: db.url(role), entities };
}

/** The guide's steps 1 and 2: tables made from its entities, and its migration, as the migration role. */
async function prepare(tenants: readonly OldTenant[]): Promise<void> {
  db = await createTestDatabase();
  guide = await writeGuide(db);
  process.env.DATABASE_URL = db.url('app');
  process.env.MIGRATOR_PASSWORD = 'test';
  const Protect = load('protect-tables').ProtectTables1764000000001 as new () => MigrationInterface;
  const dataSource = await new DataSource(dataSourceOptions('migrator')).initialize();
  const { upQueries } = await dataSource.driver.createSchemaBuilder().log();
  for (const { query, parameters } of upQueries) await dataSource.query(query, parameters);
  const queryRunner = dataSource.createQueryRunner();
  await queryRunner.startTransaction();
  await new Protect().up(queryRunner);
  await queryRunner.commitTransaction();
  await queryRunner.release();
  await dataSource.destroy();
  await db.as('migrator', `GRANT SELECT ON tenant TO ${db.roles.app}, ${db.roles.admin}`);
  await createOldSchemas(db, tenants);
  for (const { id } of tenants) await db.asSuperuser(`INSERT INTO tenant VALUES ($1, 'x')`, [id]);
}

async function dispose(): Promise<void> {
  await rm(guide.directory, { recursive: true });
  await db.drop();
}

/** Starts the bin in the guide's directory. */
function start(args: readonly string[]) {
  const child = spawn(process.execPath, [BIN, ...args], {
    cwd: guide.directory,
    env: process.env,
  });
  const text = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const)
    child[stream].on('data', (chunk: Buffer) => (text[stream] += chunk.toString()));
  return {
    child,
    outcome: once(child, 'close').then(([code]) => ({ code: code as number | null, ...text })),
  };
}

const run = (args: readonly string[]) => start(args).outcome;

/** `consolidate-schemas` in this process: as the guide calls it, with more or other options. */
async function consolidate(options: ConsolidateSchemasOptions, role: 'app' | 'migrator' = 'migrator') {
  const text = { stdout: '', stderr: '' };
  const output = {
    out: (more: string) => void (text.stdout += more),
    err: (more: string) => void (text.stderr += more),
    colors: false,
  };
  const login = { username: db.roles[role], password: 'test' };
  const dataSource = new DataSource(migrationDataSourceOptions(dataSourceOptions('app'), login));
  const pattern = options.mapping === undefined ? 'tenant_{id}' : undefined;
  return { code: await consolidateSchemas(async () => dataSource, { pattern, ...options }, output), ...text };
}

/** A mapping file of one tenant. */
async function mappingFile({ schema, id }: OldTenant): Promise<string> {
  const file = join(guide.directory, 'tenants.json');
  await writeFile(file, JSON.stringify({ [schema]: id }));
  return file;
}

/** A command of the guide, by what tells it from the others. */
function command(...options: string[]): string[] {
  const found = guide.commands.filter((args) =>
    ['--apply', '--verify', '--role'].every((option) => args.includes(option) === options.includes(option)),
  );
  expect(found).toHaveLength(1);
  return found[0]!.map((arg) => (arg === 'app' ? db.roles.app : arg));
}

/** What a tenant's schema holds, and what the app role sees of the protected tables in that tenant's context. */
const oldContents = async ({ schema, id }: OldTenant) => {
  const phone = id === TENANTS[4]!.id ? CONTENTS.replace("coalesce(phone, '-')", "'-'") : CONTENTS;
  return (
    await db.asSuperuser<{ contents: Record<string, unknown[]> }>(`SET search_path TO ${schema}; ${phone}`)
  )[0]!.contents;
};
const newContents = async (tenantId: string) =>
  (
    await db.as<{ contents: Record<string, unknown[]> }>(
      'app',
      `SET rls.current_tenant TO '${tenantId}'; ${CONTENTS}`,
    )
  )[0]!.contents;

/** All that a run could change, as superuser. */
const state = () =>
  db.asSuperuser(`SELECT (SELECT count(*)::int FROM author) AS authors, (SELECT count(*)::int FROM article) AS articles,
    (SELECT count(*)::int FROM article_tags_tag) AS links, (SELECT count(*)::int FROM invoice) AS invoices,
    (SELECT count(*)::int FROM rls_backfill_progress) AS progress, (SELECT count(*)::int FROM rls_consolidated_key) AS keys,
    (SELECT last_value::int FROM author_id_seq) AS sequence`);

const total = (of: (tenant: OldTenant) => number) => TENANTS.reduce((sum, tenant) => sum + of(tenant), 0);

describe('from one schema per tenant, as the guide says', () => {
  beforeAll(() => prepare(TENANTS));
  afterAll(dispose);

  it('the dry run shows schemas, tenants, order, rows, differences and what is left alone, and writes nothing', async () => {
    const before = await state();
    const { code, stdout, stderr } = await run(command());
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    for (const { schema, id } of TENANTS) expect(stdout).toContain(`${schema}  tenant ${id}  `);
    expect(stdout).toMatch(
      /5 tables.*\n  author  102 rows  new keys in id\n  invoice  48 rows\n  tag  60 rows  new keys in id\n  article  942 rows  second pass for answersId\n  article_tags_tag  \d+ rows\n/,
    );
    expect(stdout).toContain(
      `column "phone" of table "author" is absent and stays NULL: ${TENANTS[4]!.schema}\n`,
    );
    expect(stdout).toMatch(
      /table "audit_log" is not copied: tenant_\w+, tenant_\w+, tenant_\w+ and 9 more\n/,
    );
    expect(stdout).toContain('not tenant-scoped and are left alone');
    expect(stdout).toContain('Nothing was written.');
    expect(await state()).toEqual(before);
  });

  it('integer keys that collide are refused, with the ways out', async () => {
    const { code, stderr } = await consolidate({ apply: true });
    expect(code).toBe(1);
    expect(stderr).toContain(
      `refused  Rows of "author" have the same id: (1) in ${TENANTS[0]!.schema} and ${TENANTS[11]!.schema}`,
    );
    expect(stderr).toContain(
      'Make the tenant part of it: (tenant_id, id). Or give the rows new keys: --renumber.',
    );
    expect((await state())[0]).toMatchObject({ authors: 0, progress: 0 });
  });

  it('killed again and again it copies each row once, and finds rows and contents the same', async () => {
    const slowly = [...command('--apply'), '--batch-size', '5'];
    const articles = async () => (await state())[0]!.articles as number;
    for (const until of [20, 400]) {
      const { child, outcome } = start(slowly);
      while ((await articles()) < until && child.exitCode === null) await sleep(5);
      child.kill('SIGKILL');
      expect((await outcome).code).toBeNull();
      expect(await articles()).toBeLessThan(942);
    }
    // The server may still be ending what the killed process left.
    await sleep(200);
    const { code, stdout, stderr } = await run(command('--apply'));
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/Verified: \d+ rows of 12 tenants, the same in number and content/);
    expect((await state())[0]).toMatchObject({
      authors: total((tenant) => tenant.authors),
      articles: total((tenant) => tenant.articles),
      invoices: 48,
    });
  });

  it.each(TENANTS.map((tenant) => [tenant.id, tenant] as const))(
    'the app role sees in the context of %s what its schema holds, and nothing else',
    async (id, tenant) => {
      const contents = await newContents(id);
      expect(contents).toEqual(await oldContents(tenant));
      expect([contents.authors!.length, contents.articles!.length]).toEqual([
        tenant.authors,
        tenant.articles,
      ]);
      expect(contents.links!.length).toBeGreaterThan(10);
      expect(
        contents.articles!.filter((article) => (article as unknown[])[4] !== null).length,
      ).toBeGreaterThan(10);
    },
  );

  it('new rows get keys beyond those that were copied', async () => {
    const [row] = await db.as<{ id: number }>(
      'app',
      `SET rls.current_tenant TO '${FIRST.id}'; INSERT INTO author (email) VALUES ('new@example.com') RETURNING id`,
    );
    const [{ largest }] = (await db.asSuperuser('SELECT max(id) AS largest FROM author')) as [
      { largest: number },
    ];
    expect(row!.id).toBe(largest);
    await db.asSuperuser(`DELETE FROM author WHERE email = 'new@example.com'`);
  });

  it("old keys lead to the new ones, in the tenant's own context", async () => {
    const question = guide.sql.find((text) => text.includes('rls_consolidated_key WHERE table_name'))!;
    for (const { id } of TENANTS.slice(0, 3)) {
      const [row] = await db.as<{ email: string }>(
        'app',
        `SET rls.current_tenant TO '${id}'; SELECT email FROM author WHERE id = (${question.trim().replace(';', '')})`,
      );
      expect(row!.email).toBe('author1@example.com');
    }
    expect(await db.as('app', question)).toEqual([]);
  });

  it('check-rls has no findings', async () => {
    const args = [...command('--role'), '--admin-role', db.roles.admin];
    expect(await run(args)).toMatchObject({ code: 0, stderr: expect.not.stringContaining('error') });
  });

  it("the guide's application serves each tenant its own articles, and the admin all of them", async () => {
    const AppModule = load('app.module').AppModule as new () => object;
    const module = await Test.createTestingModule({ imports: [AppModule] }).compile();
    const app = module.createNestApplication({ logger: false });
    app.use((incoming: { user: unknown; headers: Record<string, string> }, _: unknown, next: () => void) => {
      incoming.user = { tenantId: incoming.headers['x-test-user'] };
      next();
    });
    await app.init();
    try {
      const get = async (path: string, tenant: OldTenant) =>
        (await request(app.getHttpServer()).get(path).set('x-test-user', tenant.id).expect(200)).text;
      for (const tenant of [FIRST, TENANTS[7]!]) {
        const articles = JSON.parse(await get('/articles', tenant)) as { title: string; author: object }[];
        expect(articles).toHaveLength(tenant.articles);
        expect(articles.filter(({ title, author }) => !title.endsWith(tenant.id) || !author)).toEqual([]);
        expect(await get('/articles/count-of-all', tenant)).toBe('942');
      }
    } finally {
      await app.close();
    }
  });

  it('a second run copies nothing', async () => {
    const before = await state();
    const { code, stdout } = await consolidate({ renumber: true, apply: true });
    expect({ code, stdout }).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('Copied 0 rows of 12 schemas.'),
    });
    expect(await state()).toEqual(before);
  });

  it('--verify finds what was written to an old schema or to a protected table since', async () => {
    expect(await run(command('--verify'))).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('Verified'),
    });
    await db.asSuperuser(`UPDATE ${FIRST.schema}.author SET phone = 'changed' WHERE id = 1;
      INSERT INTO ${TENANTS[1]!.schema}.invoice VALUES (99, 1);
      UPDATE article SET "answersId" = NULL WHERE tenant_id = '${TENANTS[2]!.id}'`);
    const { code, stderr } = await consolidate({ renumber: true, verify: true });
    expect(code).toBe(1);
    expect(stderr).toContain(
      `different  ${FIRST.schema}.author: 3 rows, 3 in the protected table for tenant ${FIRST.id}, with other contents`,
    );
    expect(stderr).toContain(`different  ${TENANTS[1]!.schema}.invoice: 5 rows, 4 in the protected table`);
    expect(stderr).toContain(`different  ${TENANTS[2]!.schema}.article: 54 rows, 54`);
    expect(stderr).toContain('Of 60 comparisons 3 differ');
  });

  it("the guide's statements discard one tenant's copy, and it is copied again", async () => {
    const discard = guide.sql.find((text) => text.startsWith('BEGIN;'))!;
    await db.as('migrator', discard);
    expect((await newContents(FIRST.id)).articles).toBeNull();
    expect((await newContents(TENANTS[3]!.id)).articles).toHaveLength(TENANTS[3]!.articles);
    const mapping = await mappingFile(FIRST);
    expect(await consolidate({ mapping, renumber: true, apply: true })).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('of 1 tenant, the same'),
    });
    expect(await newContents(FIRST.id)).toEqual(await oldContents(FIRST));
  });
});

describe('what is refused', () => {
  const [one, two] = TENANTS.slice(0, 2) as [OldTenant, OldTenant];

  beforeAll(() => prepare([one, two]));
  afterAll(dispose);

  it.each([
    [
      'a NOT NULL column without a default that an old table lacks',
      `ALTER TABLE public.tag ADD size int NOT NULL`,
      `ALTER TABLE public.tag DROP size`,
      `lacks column "size", which table "tag" needs in every row`,
    ],
    [
      'columns that the protected table lacks',
      `ALTER TABLE ${one.schema}.tag ADD a int, ADD b int`,
      `ALTER TABLE ${one.schema}.tag DROP a, DROP b`,
      `${one.schema}.tag has columns that table "tag" lacks: a, b.`,
    ],
    [
      'values of an enum that the new type lacks',
      `ALTER TYPE ${one.schema}.article_status RENAME VALUE 'draft' TO 'sketch'`,
      `ALTER TYPE ${one.schema}.article_status RENAME VALUE 'sketch' TO 'draft'`,
      'has enum values that article_status lacks: sketch',
    ],
    [
      'another type',
      `ALTER TABLE ${one.schema}.invoice ALTER total TYPE float8`,
      `ALTER TABLE ${one.schema}.invoice ALTER total TYPE numeric`,
      'is double precision, not numeric',
    ],
    [
      'NULLs where none are taken',
      `ALTER TABLE ${one.schema}.tag ALTER label DROP NOT NULL; UPDATE ${one.schema}.tag SET label = NULL WHERE id < 3`,
      `UPDATE ${one.schema}.tag SET label = 'x' WHERE id < 3; ALTER TABLE ${one.schema}.tag ALTER label SET NOT NULL`,
      `has 2 rows without "label"`,
    ],
    [
      'a table that a schema lacks',
      `ALTER TABLE ${one.schema}.invoice RENAME TO bill`,
      `ALTER TABLE ${one.schema}.bill RENAME TO invoice`,
      `Schema "${one.schema}" has no table "invoice"`,
    ],
    [
      'another primary key',
      `ALTER TABLE ${one.schema}.invoice DROP CONSTRAINT invoice_pkey`,
      `ALTER TABLE ${one.schema}.invoice ADD PRIMARY KEY (number)`,
      'is none, that of the protected table number',
    ],
    [
      'references that find no row',
      `ALTER TABLE ${one.schema}.article_tags_tag DROP CONSTRAINT "article_tags_tag_tagId_fkey"; UPDATE ${one.schema}.article_tags_tag SET "tagId" = 77 WHERE "tagId" = 2`,
      `UPDATE ${one.schema}.article_tags_tag SET "tagId" = 2 WHERE "tagId" = 77`,
      'to rows that "tenant_00000000_0000_4000_8000_000000000001"."tag" lacks',
    ],
    [
      'a tenant that the shared table lacks',
      `DELETE FROM tenant WHERE id = '${two.id}'`,
      `INSERT INTO tenant VALUES ('${two.id}', 'x')`,
      `47 rows of ${two.schema}.article refer by tenant_id to rows that tenant lacks`,
    ],
    [
      'the same unique value in two schemas',
      `CREATE UNIQUE INDEX ON public.author (email)`,
      `DROP INDEX public.author_email_idx`,
      'Rows of "author" have the same email: (author1@example.com) in',
    ],
    [
      'rows of the tenant that were not copied',
      `INSERT INTO invoice VALUES ('${one.id}', 1, 1)`,
      `DELETE FROM invoice`,
      `Tenant ${one.id} has rows in table "invoice" that this command did not copy`,
    ],
    [
      'a tenant column that names another tenant',
      `ALTER TABLE ${one.schema}.tag ADD tenant_id text DEFAULT '${two.id}'`,
      `ALTER TABLE ${one.schema}.tag DROP tenant_id`,
      `5 rows of ${one.schema}.tag name another tenant than ${one.id}`,
    ],
    [
      'old tables that may not be read',
      `REVOKE SELECT ON ${one.schema}.tag FROM ALLROLES`,
      `GRANT SELECT ON ${one.schema}.tag TO ALLROLES`,
      `may not read ${one.schema}.tag`,
    ],
    [
      'a cycle in which no column may be NULL',
      `ALTER TABLE public.article ALTER "answersId" SET NOT NULL`,
      `ALTER TABLE public.article ALTER "answersId" DROP NOT NULL`,
      'form a cycle in which no column may be NULL',
    ],
    [
      'a missing table of new keys',
      `ALTER TABLE rls_consolidated_key RENAME TO gone`,
      `ALTER TABLE gone RENAME TO rls_consolidated_key`,
      'Table "rls_consolidated_key" does not exist',
    ],
  ])('%s', async (_, change, undo, message) => {
    const named = (sql: string) => sql.replace('ALLROLES', db.roles.migrator);
    await db.asSuperuser(named(change));
    const { code, stderr } = await consolidate({ renumber: true, apply: true });
    await db.asSuperuser(named(undo));
    expect(stderr).toContain(message);
    expect(code).toBe(1);
    expect((await state())[0]).toEqual({
      authors: 0,
      articles: 0,
      links: 0,
      invoices: 0,
      progress: 0,
      keys: 0,
      sequence: 1,
    });
  });

  it.each([
    [
      'a schema without a tenant',
      'CREATE SCHEMA tenant_template',
      'DROP SCHEMA tenant_template',
      {},
      'Schema "tenant_template" has no tenant',
    ],
    [
      'two schemas with the same tenant',
      `CREATE SCHEMA "tenant_${one.id}"`,
      `DROP SCHEMA "tenant_${one.id}"`,
      {},
      'have the same tenant',
    ],
    [
      'a role that is not admitted',
      'REVOKE ADMIN FROM ALLROLES',
      'GRANT ADMIN TO ALLROLES',
      {},
      'is not admitted to all rows',
    ],
    [
      'a schema that may not be used',
      `REVOKE USAGE ON SCHEMA ${one.schema} FROM ALLROLES`,
      `GRANT USAGE ON SCHEMA ${one.schema} TO ALLROLES`,
      {},
      'may not use schema',
    ],
    [
      'the schema of the protected tables',
      '',
      '',
      { mapping: 'public.json' },
      'Schema "public" holds the protected tables',
    ],
    ['two modes at once', '', '', { verify: true }, '--apply and --verify are both given'],
    [
      'a mapping and a pattern',
      '',
      '',
      { mapping: 'public.json', pattern: 'x_{id}' },
      'Both of --mapping and --pattern are given',
    ],
    ['an unknown table', '', '', { table: ['nope'] }, '"nope" is no table of a tenant-scoped entity'],
    ['an impossible batch size', '', '', { batchSize: 0 }, 'The batch size is 0'],
  ] as [string, string, string, ConsolidateSchemasOptions, string][])(
    'before any data is read: %s',
    async (_, change, undo, options, message) => {
      const mapping = join(guide.directory, 'public.json');
      await writeFile(mapping, JSON.stringify({ public: one.id }));
      const named = (sql: string) =>
        sql.replace('ALLROLES', db.roles.migrator).replace('ADMIN', db.roles.admin);
      await db.asSuperuser(named(change));
      const { code, stderr } = await consolidate({
        renumber: true,
        apply: true,
        ...options,
        ...(options.mapping && { mapping }),
      });
      await db.asSuperuser(named(undo));
      expect(stderr).toContain(message);
      expect(code).toBe(2);
    },
  );

  it('the command line: nothing is read without a data source, a mapping, and tables that exist', async () => {
    const start = ['consolidate-schemas', '--data-source', 'dist/migration-data-source.js'];
    const outcomes = await Promise.all([
      run(['consolidate-schemas', '--pattern', 'tenant_{id}']),
      run(start),
      run([...start, '--pattern', 'tenant_{id}', '--table', 'invoice', 'nope']),
    ]);
    expect(outcomes.map(({ code }) => code)).toEqual([2, 2, 2]);
    expect(outcomes.map(({ stderr }) => stderr.split('\n')[0])).toEqual([
      'consolidate-schemas: No --data-source is given.',
      'consolidate-schemas: Neither of --mapping and --pattern is given.',
      'consolidate-schemas: "nope" is no table of a tenant-scoped entity.',
    ]);
  });
});

describe('a run that stops half-way', () => {
  const tenants = TENANTS.slice(0, 2);
  const copy = (options: ConsolidateSchemasOptions = {}) =>
    consolidate({ renumber: true, apply: true, batchSize: 7, ...options });

  beforeAll(() => prepare(tenants));
  afterAll(dispose);

  it('--table copies that table only', async () => {
    expect(await copy({ table: ['invoice'] })).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('Verified: 8 rows of 2 tenants'),
    });
    expect((await state())[0]).toMatchObject({ invoices: 8, authors: 0 });
  });

  it('--table does not copy references to rows that are not there yet', async () => {
    const { code, stderr } = await copy({ table: ['article_tags_tag'] });
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringMatching(/to rows that "article" lacks/),
    });
  });

  it('a batch whose progress is not kept is not kept either', async () => {
    await db.asSuperuser(`CREATE FUNCTION crash() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''crashed''; END';
      CREATE TRIGGER crash BEFORE UPDATE ON rls_backfill_progress FOR EACH ROW
      WHEN (NEW.backfill LIKE 'consolidate rows of % into author') EXECUTE FUNCTION crash()`);
    const { code, stderr } = await copy();
    await db.asSuperuser('DROP FUNCTION crash CASCADE');
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('crashed') });
    expect((await state())[0]).toMatchObject({ authors: 0 });
  });

  it('rows that a trigger swallows are an error, and the batch is undone', async () => {
    await db.asSuperuser(`CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
      CREATE TRIGGER swallow BEFORE INSERT ON tag FOR EACH ROW EXECUTE FUNCTION swallow()`);
    const { code, stderr } = await copy();
    await db.asSuperuser('DROP FUNCTION swallow CASCADE');
    expect(code).toBe(2);
    expect(stderr).toMatch(/of 5 rows 0 were written/);
  });

  it('an error names the table, keeps the batches before it, and the next run goes on from there', async () => {
    await db.asSuperuser(`ALTER TABLE article ADD CONSTRAINT c CHECK (title NOT LIKE 'article 30 %')`);
    const { code, stderr } = await copy();
    expect(code).toBe(2);
    expect(stderr).toMatch(/Copying rows of tenant_\w+1\.article failed: .* violates check constraint "c"/);
    const [{ articles }] = (await state()) as [{ articles: number }];
    expect(articles % 7).toBe(0);
    await db.asSuperuser('ALTER TABLE article DROP CONSTRAINT c');
  });

  it('a row that came after its table was numbered is an error, not a row with a wrong key', async () => {
    const [tenant] = tenants as [OldTenant];
    await db.asSuperuser(`DELETE FROM article WHERE tenant_id = '${tenant.id}'; DELETE FROM tag WHERE tenant_id = '${tenant.id}';
      DELETE FROM rls_backfill_progress WHERE backfill LIKE 'consolidate rows of %.tag into tag' AND tenant_id = '${tenant.id}';
      DELETE FROM rls_backfill_progress WHERE backfill LIKE 'consolidate rows of %.article into article' AND tenant_id = '${tenant.id}';
      INSERT INTO ${tenant.schema}.tag (id, label) VALUES (50, 'late')`);
    const { code, stderr } = await copy();
    await db.asSuperuser(`DELETE FROM ${tenant.schema}.tag WHERE id = 50`);
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: expect.stringContaining('null value in column "id"'),
    });
  });

  it('rows with new keys do not get rows with old keys beside them', async () => {
    const { code, stderr } = await copy({ renumber: false, mapping: await mappingFile(tenants[0]!) });
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringContaining(`${tenants[0]!.schema}.author was begun with --renumber`),
    });
  });

  it('several runs at once copy each row once', async () => {
    await Promise.all([copy(), copy(), copy()]);
    expect(await copy()).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('of 2 tenants, the same'),
    });
    for (const tenant of tenants) expect(await newContents(tenant.id)).toEqual(await oldContents(tenant));
  });

  it('keys that rows of other tenants have are refused', async () => {
    const [third] = TENANTS.slice(2) as [OldTenant];
    await createOldSchemas(db, [third]);
    await db.asSuperuser(`INSERT INTO tenant VALUES ($1, 'x')`, [third.id]);
    await db.asSuperuser(
      `UPDATE ${third.schema}.article SET id = (SELECT id FROM public.article LIMIT 1) WHERE title LIKE 'article 1 %'`.replace(
        'UPDATE',
        `ALTER TABLE ${third.schema}.article DROP CONSTRAINT "article_answersId_fkey"; UPDATE ${third.schema}.article SET "answersId" = NULL; DELETE FROM ${third.schema}.article_tags_tag; UPDATE`,
      ),
    );
    const { code, stderr } = await copy({ mapping: await mappingFile(third) });
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringMatching(
        /\.article has id \([-0-9a-f]{36}\) of rows that other tenants have in table "article"/,
      ),
    });
  });
});
