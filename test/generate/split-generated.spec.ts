import { DataSource } from 'typeorm';
import {
  inlineParameters,
  originsOf,
  splitMigrationFile,
  type SplitFile,
} from '../../libs/rls-tenants/src/generate/index.js';
import { lintMigrations } from '../../libs/rls-tenants/src/lint/index.js';
import { catalogSnapshot } from '../migrations/catalog-snapshot.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { AFTER, BEFORE } from './split-entities.js';
import { generatedByTypeorm, migrationsOf, typeErrors } from './split-support.js';

type Snapshot = Record<string, string[]>;

const options = { isPartitioned: (table: string) => table === 'event' };

/** A database of the first version, as it is in use: a partitioned table, and an index that somebody made by hand. */
async function databaseBefore(): Promise<TestDatabase> {
  const db = await createTestDatabase();
  const before = await new DataSource({
    type: 'postgres',
    url: db.url('migrator'),
    entities: BEFORE,
  }).initialize();
  await before.query(
    'CREATE TABLE typeorm_metadata (type varchar, database varchar, schema varchar, "table" varchar, name varchar, value text)',
  );
  const { upQueries } = await before.driver.createSchemaBuilder().log();
  for (const { query, parameters } of upQueries) {
    const partitioned = query.startsWith('CREATE TABLE "event"') ? ' PARTITION BY RANGE ("at")' : '';
    await before.query(`${query}${partitioned}`, parameters);
  }
  await before.destroy();
  await db.as(
    'migrator',
    `CREATE TABLE event_2026 PARTITION OF event FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
     CREATE INDEX note_slug_by_hand ON note (slug);
     INSERT INTO event VALUES (uuid_generate_v4(), '2026-05-05', 'opened');
     CREATE TABLE migrations (id serial PRIMARY KEY, "timestamp" bigint NOT NULL, name varchar NOT NULL)`,
  );
  return db;
}

/** Without the index that only TypeORM's file drops. */
function managed(snapshot: Snapshot): Snapshot {
  return { ...snapshot, indexes: snapshot.indexes!.filter((one) => !one.includes('note_slug_by_hand')) };
}

/** Without the names of roles, which each database has of its own, and without PostgreSQL's for a partition's index. */
function neutral(snapshot: Snapshot, { roles }: TestDatabase): Snapshot {
  const names = Object.entries(roles).map(([role, name]) => [name, role] as const);
  const plain = (line: string) =>
    names
      .reduce((all, [name, role]) => all.replaceAll(name, role), line)
      .replaceAll(/(?:\\")?event_2026_(?:IDX_\w+|kind_at_idx)(?:\\")?/g, 'event_2026_index');
  return Object.fromEntries(Object.entries(snapshot).map(([part, lines]) => [part, lines.map(plain).sort()]));
}

describe('what typeorm migration:generate writes', () => {
  let split: TestDatabase;
  let unsplit: TestDatabase;
  let start: Snapshot;
  let text: string;
  let result: SplitFile;

  beforeAll(async () => {
    [split, unsplit] = [await databaseBefore(), await databaseBefore()];
    start = await catalogSnapshot(split);
    const after = new DataSource({ type: 'postgres', url: split.url('migrator'), entities: AFTER });
    text = await generatedByTypeorm(await after.initialize(), 'Next', 1760000000000);
    await after.destroy();
    result = await splitMigrationFile('1760000000000-next.ts', text, options);
  });
  afterAll(() => Promise.all([split.drop(), unsplit.drop()]));

  it('is dangerous as it stands', async () => {
    const { findings } = await lintMigrations([{ file: 'next.ts', text }], { partitionedTables: ['event'] });
    const rules = findings.filter(({ severity }) => severity === 'error').map(({ ruleId }) => ruleId);
    expect(rules).toEqual(
      expect.arrayContaining(['MIG022', 'MIG024', 'MIG030', 'MIG035', 'MIG038', 'MIG086']),
    );
  });

  it('becomes files of one table and one concern each, drops last', () => {
    expect(result.files.map(({ name }) => name.replace(/^\d{13}-|\.ts$/g, ''))).toEqual([
      'alter-author-role-enum',
      'create-tag',
      'alter-author',
      'alter-note',
      'create-note-title',
      'create-note-tag',
      'create-note-body',
      'create-team',
      'create-member',
      'team-indexes',
      'member-indexes',
      'note-tag-indexes',
      'author-indexes',
      'note-indexes',
      'event-index-partitions',
      'event-index-parent',
      'note-constraints',
      'author-constraints',
      'team-constraints',
      'author-validate',
      'author-not-null',
      'note-validate',
      'note-not-null',
      'team-validate',
      'drop-from-note',
    ]);
  });

  it('keeps every statement in exactly one file, or says why not', () => {
    const inFiles = result.planned.flatMap(({ steps }) => steps.flatMap(originsOf));
    const reported = result.notes
      .filter(({ kind }) => kind === 'left-out')
      .flatMap(({ statements }) => statements);
    const ups = text.slice(0, text.indexOf('async down')).matchAll(/query\(`(.*?)\s*`(?:, (\[.*\]))?\);/g);
    const expected = [...ups].map(([, sql, parameters]) =>
      inlineParameters(sql!.trim(), JSON.parse(parameters ?? '[]') as unknown[]),
    );
    expect([...inFiles, ...reported].sort()).toEqual(expected.sort());
  });

  it('is clean afterwards, but for the column that is dropped', async () => {
    const { findings } = await lintMigrations(
      result.files.map((file) => ({ file: file.name, text: file.text })),
      { partitionedTables: ['event'] },
    );
    expect(findings.filter(({ severity }) => severity === 'error')).toMatchObject([
      { ruleId: 'MIG040', file: expect.stringContaining('drop-from-note') as string },
    ]);
  });

  it('compiles', () => expect(typeErrors(result.files)).toEqual([]));

  it('needs no splitting a second time', async () => {
    const again = await Promise.all(
      result.files.map((file) => splitMigrationFile(file.name, file.text, options)),
    );
    expect(again.map(({ unchanged }) => unchanged)).toEqual(result.files.map(() => true));
  });

  it('makes the schema that the one file makes, by the migration role, and takes it back', async () => {
    const [whole, files] = [
      migrationsOf(unsplit.url('migrator'), [{ text }]),
      migrationsOf(split.url('migrator'), result.files),
    ];
    await Promise.all([whole.initialize(), files.initialize()]);
    try {
      await whole.runMigrations();
      await files.runMigrations();
      const made = managed(await catalogSnapshot(split));
      expect(neutral(made, split)).toEqual(neutral(managed(await catalogSnapshot(unsplit)), unsplit));
      expect(made).not.toEqual(managed(start));
      for (const _file of result.files) await files.undoLastMigration();
      expect(await catalogSnapshot(split)).toEqual(start);
    } finally {
      await Promise.all([whole.destroy(), files.destroy()]);
    }
  });
});
