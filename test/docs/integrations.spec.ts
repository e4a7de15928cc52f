import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pageText, ROOT } from './support/pages.js';

const named = [...pageText('docs/integrations.md').matchAll(/`(test\/[^`]+)`/g)].map(([, path]) => path!);

it('every test that the table of integrations names exists', () => {
  expect(named.length).toBeGreaterThan(30);
  expect(named.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
});

it('every row of the table names a test', () => {
  const rows = pageText('docs/integrations.md')
    .split('\n')
    .filter((line) => line.startsWith('|') && !/^\|[\s-|]*$/.test(line) && !line.startsWith('| integration'));
  expect(rows.length).toBeGreaterThan(20);
  expect(rows.filter((row) => !/`test\/[^`]+\.spec\.ts`/.test(row))).toEqual([]);
});

it('every suite of a transport, a queue or a transaction library is in the table', () => {
  const suites = ['transports', 'bullmq', 'pg-boss', 'microservices'].flatMap((folder) =>
    readdirSync(join(ROOT, 'test', folder))
      .filter((name) => name.endsWith('.spec.ts'))
      .map((name) => `test/${folder}/${name}`),
  );
  expect(suites.filter((path) => !named.includes(path))).toEqual([]);
});

it('every test that a guide names exists', () => {
  const missing = readdirSync(join(ROOT, 'docs/guides')).flatMap((guide) =>
    [...pageText(`docs/guides/${guide}`).matchAll(/`(test\/[^`\s]+\.ts)`/g)]
      .map(([, path]) => path!)
      .filter((path) => !existsSync(join(ROOT, path)))
      .map((path) => `${guide}: ${path}`),
  );
  expect(missing).toEqual([]);
});
