import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Attack } from './attack.js';
import { ATTACKS, FAMILIES } from './index.js';

/** The guide is written with `UPDATE_GUIDE=1 npx jest test/sealed/attacks/guide`, and formatted by Prettier. */
const GUIDE = join(__dirname, '../../../docs/guides/sealed-attacks.md');
const BOUNDARY = '<!-- Made from test/sealed/attacks. -->';

const cell = (text: string) =>
  text.replaceAll('|', '\\|').replace(/[<>{}]/g, (char) => `&#${char.charCodeAt(0)};`);

function rowOf({ id, title, tries, plain, open, since }: Attack): string {
  const version = since ? ` (PostgreSQL ${since / 10000} and later)` : '';
  return `| ${id} | ${cell(title)}${version} | ${cell(tries)} | ${plain} | ${open ? `**open**` : 'holds'} |`;
}

function tables(): string {
  const open = ATTACKS.filter((attack) => attack.open);
  return [
    ...FAMILIES.flatMap(({ name, attacks }) => [
      `### ${name}\n`,
      '| id | attack | what it tries | plain | sealed |',
      '| --- | --- | --- | --- | --- |',
      ...attacks.map(rowOf),
      '',
    ]),
    '## What is open\n',
    ...open.map(({ id, title, open: why }) => `- **${id}, ${title}.** ${why}`),
    '',
  ].join('\n');
}

/** Without what Prettier does to it. */
const plainText = (markdown: string) => markdown.replace(/-{3,}/g, '---').replace(/\s+/g, ' ');

const [before, shown, after] = readFileSync(GUIDE, 'utf8').split(BOUNDARY) as [string, string, string];

beforeAll(() => {
  if (process.env.UPDATE_GUIDE) writeFileSync(GUIDE, [before, `\n\n${tables()}\n`, after].join(BOUNDARY));
});

it('the guide shows every attack, as the suite runs it', () => {
  expect(plainText(shown)).toBe(plainText(`\n${tables()}\n`));
});

it('the guide tells the right number', () => {
  const numbers = [...readFileSync(GUIDE, 'utf8').matchAll(/\b(\d+) attacks\b/g)].map(([, number]) => number);
  expect(new Set(numbers)).toEqual(new Set([String(ATTACKS.length)]));
});
