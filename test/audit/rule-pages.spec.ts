import { readdirSync, readFileSync } from 'node:fs';
import pg from 'pg';
import type { TestRoles } from '../support/database.js';
import { createNoteDatabase, type NoteDatabase } from './audit-support.js';

const PAGES = 'docs/rules';
const read = (page: string) => readFileSync(`${PAGES}/${page}`, 'utf8');

/** The SQL of a section, as somebody would paste it. */
function sqlOf(page: string, section: string): string {
  const [, text = ''] = page.split(`\n## ${section}\n`);
  const [body] = text.split('\n## ');
  return [...body!.matchAll(/```sql\n(.*?)```/gs)].map(([, sql]) => sql).join('');
}

/** What `-- shows a, b` behind a SELECT promises, and what the SELECT gave. */
interface Shown {
  readonly promised: string;
  readonly shown: string;
}

/** The pages that say where they start from. */
const pages = readdirSync(PAGES).filter(
  (page) => page.startsWith('RLS') && read(page).includes('[example database](README.md)'),
);

describe('the pages of the rules', () => {
  let db: NoteDatabase;

  beforeAll(async () => {
    db = await createNoteDatabase();
  });
  beforeEach(async () => {
    await db.as('migrator', 'DROP TABLE IF EXISTS note, doc, membership CASCADE');
    const [, table] = sqlOf(read('README.md'), 'Example database').split('\\c - migrator\n');
    await paste(table!.split('\\c postgres')[0]!);
  });
  afterAll(() => db.drop());

  /** Runs SQL as psql would, the migration role first. */
  const paste = async (sql: string): Promise<Shown[]> => {
    const text = sql
      .replace(/\brls_admin\b/g, db.roles.admin)
      .replace(/(?<!c - )\bapp\b(?!\.)/g, db.roles.app);
    const shown: Shown[] = [];
    for (const [index, part] of text.split(/^\\c - /m).entries()) {
      const [role, statements] = index === 0 ? ['migrator', part] : splitLine(part);
      shown.push(...(await runAs(role as keyof TestRoles, statements)));
    }
    return shown;
  };
  const splitLine = (text: string): [string, string] => {
    const end = text.indexOf('\n');
    return [text.slice(0, end), text.slice(end + 1)];
  };
  const runAs = async (role: keyof TestRoles, statements: string): Promise<Shown[]> => {
    const client = new pg.Client({ connectionString: db.url(role) });
    await client.connect();
    const shown: Shown[] = [];
    try {
      for (const [, statement, promised] of statements.matchAll(/(.*?);(?: +-- ([^\n]*))?\n/gs)) {
        const { rows } = await client.query<{ body: string }>(statement!);
        const bodies = rows.map(({ body }) => body).join(', ') || 'nothing';
        if (promised?.startsWith('shows ')) shown.push({ promised: promised.slice(6), shown: bodies });
      }
    } finally {
      await client.end();
    }
    return shown;
  };

  it.each(pages)('%s: what it says to paste shows the leak, and its fix ends the finding', async (page) => {
    const id = page.replace('.md', '');
    expect(await db.findingsOf(id)).toEqual([]);
    const shown = await paste(sqlOf(read(page), 'Reproduce in psql'));
    expect(shown).not.toEqual([]);
    for (const one of shown) expect(one.shown).toBe(one.promised);
    expect(await db.findingsOf(id)).not.toEqual([]);

    await paste(sqlOf(read(page), 'Fix'));
    expect(await db.findingsOf(id)).toEqual([]);
  });
});
