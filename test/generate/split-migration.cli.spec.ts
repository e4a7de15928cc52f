import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RlsCliModule, runCli } from '../../libs/rls-tenants/src/cli/index.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { migration } from '../lint/lint-support.js';

const MIXED = migration(
  `await queryRunner.query(\`CREATE TABLE note (id uuid PRIMARY KEY, title text)\`);
await queryRunner.query(\`CREATE INDEX note_title ON note (title)\`);
await queryRunner.query(\`CREATE INDEX event_kind ON event (kind)\`);`,
  `await queryRunner.query(\`DROP INDEX event_kind\`);
await queryRunner.query(\`DROP TABLE note\`);`,
);

const SPLIT = [
  '1760000000000-create-note.ts',
  '1760000000001-note-indexes.ts',
  '1760000000002-event-indexes.ts',
];

describe('split-migration', () => {
  let folder: string;
  let file: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'split-'));
    file = join(folder, '1760000000000-example.ts');
    await writeFile(file, MIXED);
  });
  afterEach(() => rm(folder, { recursive: true }));

  /** Runs the command, and gives its exit code and what it wrote. */
  async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
    const written = { out: '', err: '' };
    const collect = (stream: 'out' | 'err') => (text: string | Uint8Array) => {
      written[stream] += String(text);
      return true;
    };
    const spies = [
      jest.spyOn(process.stdout, 'write').mockImplementation(collect('out')),
      jest.spyOn(process.stderr, 'write').mockImplementation(collect('err')),
    ];
    try {
      const code = await runCli(RlsCliModule, ['split-migration', ...args]);
      return { code, ...written };
    } finally {
      for (const spy of spies) spy.mockRestore();
    }
  }

  it('says what it would write, and writes nothing', async () => {
    const { code, out } = await run(file);
    expect(code).toBe(1);
    for (const name of SPLIT) expect(out).toContain(name);
    expect(await readdir(folder)).toEqual(['1760000000000-example.ts']);
  });

  it('writes the files in place of the one with --write', async () => {
    expect(await run(file, '--write')).toMatchObject({ code: 0, err: '' });
    expect((await readdir(folder)).sort()).toEqual(SPLIT);
    expect(await readFile(join(folder, SPLIT[1]!), 'utf8')).toContain('extends ConcurrentMigration');
    for (const name of SPLIT) expect((await run(join(folder, name))).code).toBe(0);
  });

  it('leaves the file that is split with --keep', async () => {
    expect((await run(file, '--write', '--keep')).code).toBe(0);
    expect((await readdir(folder)).sort()).toEqual([SPLIT[0], '1760000000000-example.ts', ...SPLIT.slice(1)]);
  });

  it('overwrites nothing, and then writes nothing at all', async () => {
    await writeFile(join(folder, SPLIT[2]!), 'mine');
    const { code, err } = await run(file, '--write');
    expect(code).toBe(2);
    expect(err).toContain(`${SPLIT[2]} exists`);
    expect((await readdir(folder)).sort()).toEqual(['1760000000000-example.ts', SPLIT[2]]);
  });

  it('lets no other migration run in between', async () => {
    await writeFile(join(folder, '1760000000001-other.ts'), '');
    const { code, err } = await run(file, '--write');
    expect(code).toBe(2);
    expect(err).toContain('1760000000001-other.ts would run between the files');
    expect(await readdir(folder)).toHaveLength(2);
  });

  it('refuses what has no safe form, with the way around it', async () => {
    const up = `await queryRunner.query(\`ALTER TABLE "note" DROP COLUMN "size"\`);
await queryRunner.query(\`ALTER TABLE "note" ADD "size" bigint NOT NULL\`);`;
    const down = `await queryRunner.query(\`ALTER TABLE "note" DROP COLUMN "size"\`);
await queryRunner.query(\`ALTER TABLE "note" ADD "size" integer NOT NULL\`);`;
    await writeFile(file, migration(up, down));
    const { code, err } = await run(file, '--write');
    expect(code).toBe(2);
    expect(err).toMatch(/Column "size" of table "note" is dropped and added again/);
    expect(err).toMatch(/Expand, backfill, contract/);
    expect(await readdir(folder)).toEqual(['1760000000000-example.ts']);
  });

  it('explains itself', async () => {
    const { code, out } = await run('--help');
    expect(code).toBe(0);
    expect(out).toContain('Examples:');
    expect(out).toContain('Exit codes: 0');
  });

  it.each([
    ['a file that does not exist', ['nowhere.ts']],
    ['what is compiled', ['dist/x.js']],
    ['two databases', ['x.ts', '--url', 'postgres://x', '--data-source', 'y.js']],
    ['an unknown option', ['x.ts', '--force']],
  ])('ends with 2 for %s', async (_what, args) => {
    const { code, err } = await run(...args);
    expect(code).toBe(2);
    expect(err).not.toBe('');
  });

  describe('with a database', () => {
    let db: TestDatabase;

    beforeAll(async () => {
      db = await createTestDatabase();
      await db.as(
        'migrator',
        `CREATE TABLE event (id uuid, kind text) PARTITION BY LIST (kind);
         CREATE TABLE migrations (id serial PRIMARY KEY, "timestamp" bigint NOT NULL, name varchar NOT NULL)`,
      );
    });
    afterAll(() => db.drop());

    it('knows which tables are partitioned', async () => {
      const { code, out } = await run(file, '--url', db.url('migrator'));
      expect(code).toBe(1);
      expect(out).toMatch(/event-index-partitions[^]*event-index-parent/);
    });

    it('does not split what is applied', async () => {
      await db.as(
        'migrator',
        `INSERT INTO migrations ("timestamp", name) VALUES (1760000000000, 'Example1760000000000')`,
      );
      const { code, err } = await run(file, '--url', db.url('migrator'), '--write');
      expect(code).toBe(2);
      expect(err).toContain('"Example1760000000000" is applied already');
      expect(await readdir(folder)).toEqual(['1760000000000-example.ts']);
    });
  });
});
