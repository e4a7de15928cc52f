import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { once, type Work } from './work.js';

export const NO_SQUAWK = '--no-squawk';

/** `lint-migrations` on folders of so many files. Without squawk, which is a program of others. */
export function lintWork(folder: string, sizes: readonly number[]): Work {
  const output = join(folder, 'lint.json');
  const commandFor = once(async (files) => {
    const migrations = join(folder, `migrations-${files}`);
    await writeMigrations(migrations, files);
    return ['lint-migrations', migrations, NO_SQUAWK, '--format', 'json', '--output', output];
  });
  return {
    name: 'lint',
    unit: 'files',
    sizes,
    async prepare(files) {
      const command = await commandFor(files);
      return {
        job: { kind: 'command', warmUp: await commandFor(1), work: command },
        command,
        check: () => checkReport(output, files),
      };
    },
  };
}

export async function writeMigrations(folder: string, files: number): Promise<void> {
  await mkdir(folder);
  const recipes = await readRecipes();
  for (let n = 0; n < files; n++) {
    const recipe = recipes[n % recipes.length]!;
    const { name, text } = migrationOf(recipe, Math.floor(n / recipes.length), n % recipes.length);
    await writeFile(join(folder, name), text);
  }
}

interface Recipe {
  slug: string;
  text: string;
}

// What a project's history is made of: some of everything that the linter knows, most of it as it should be.
const GOOD = [
  '1760000000081-create-finding-group-daily-summary',
  '1760000000082-finding-group-daily-summary-indexes',
  '1760000000084-finding-check-index-partitions',
  '1760000000085-finding-check-index-parent',
  '1760000000086-graph-data-ready',
  '1760000000089-backfill-finding-group-summaries',
  '1760000000090-on-one-database',
  '1760000000091-add-uuid',
  '1760000000093-uuid-unique',
  '1760000000095-setting-for-the-planner',
  '1760000000096-invoice-tenant',
];
const BAD = [
  '1760000000082-three-tables',
  '1760000000085-inline-backfill',
  '1760000000086-case-policy',
  '1760000000087-fields-of-two-tables',
  '1760000000089-unique-field',
];
const CALLS: readonly Recipe[] = [
  {
    slug: 'create-note',
    text: `import { type MigrationInterface, type QueryRunner, Table } from 'typeorm';

export class CreateNote1760000000001 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.createTable(
      new Table({
        name: 'note',
        columns: [
          { name: 'id', type: 'uuid', isPrimary: true, default: 'gen_random_uuid()' },
          { name: 'tenant_id', type: 'uuid' },
          { name: 'title', type: 'text' },
          { name: 'created_at', type: 'timestamptz', default: 'now()' },
        ],
      }),
    );
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.dropTable('note');
  }
}
`,
  },
  {
    slug: 'note-size',
    text: `import { type MigrationInterface, type QueryRunner, TableColumn } from 'typeorm';

export class NoteSize1760000000002 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.addColumn('note', new TableColumn({ name: 'size', type: 'int', isNullable: true }));
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.dropColumn('note', 'size');
  }
}
`,
  },
  {
    slug: 'note-title',
    text: `import { type MigrationInterface, type QueryRunner, TableIndex } from 'typeorm';

export class NoteTitle1760000000003 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.createIndex('note', new TableIndex({ name: 'note_title', columnNames: ['title'] }));
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.dropIndex('note', 'note_title');
  }
}
`,
  },
];

/** Twenty files: as the linter's own fixtures have them, and calls of the query runner. */
async function readRecipes(): Promise<Recipe[]> {
  const read = async (kind: string, names: readonly string[]) =>
    Promise.all(
      names.map(async (name) => ({
        slug: name.replace(/^\d+-/, ''),
        text: await readFile(resolve('test/lint/fixtures', kind, `${name}.ts`), 'utf8'),
      })),
    );
  const demo = await readFile(resolve('test/lint/fixtures/generated/1764000000000-create-schema.ts'), 'utf8');
  return [
    ...(await read('seeds-good', GOOD)),
    ...(await read('seeds-bad', BAD)),
    ...CALLS,
    { slug: 'create-schema', text: demo },
  ];
}

const TABLES =
  /\b(?:finding_group_daily_summary|finding(?=_2026)|finding|resource|scan|my_model|invoice|attack_paths_scan|note|workspace|tag|app_user|task|project|task_tag)\b/g;

/** The recipe with timestamps and tables of its own: the history of another year, of another part of the application. */
function migrationOf({ slug, text }: Recipe, year: number, place: number): { name: string; text: string } {
  // A file may hold several migrations.
  let classes = 0;
  const stamp = () => String(1_700_000_000_000 + (year * 100 + place) * 10 + classes++);
  const first = stamp();
  classes = 0;
  const dated = text.replace(/(?<=class \w+?)\d{13}/g, stamp);
  return { name: `${first}-${slug}.ts`, text: dated.replace(TABLES, (table) => `${table}_${year}`) };
}

async function checkReport(file: string, files: number): Promise<void> {
  const { coverage } = JSON.parse(await readFile(file, 'utf8')) as { coverage: { files: number } };
  if (coverage.files !== files) throw new Error(`${coverage.files} of ${files} files were linted.`);
}
