import { readdirSync, readFileSync } from 'node:fs';
import { lintFindingText } from '../../libs/rls-tenants/src/cli/lint-migrations.report.js';
import { LINT_RULES, lintMigrations, type LintOptions } from '../../libs/rls-tenants/src/lint/index.js';
import * as library from '../../libs/rls-tenants/src/index.js';
import * as migrations from '../../libs/rls-tenants/src/migrations/index.js';
import { lintText } from './lint-support.js';

const SOURCES = 'libs/rls-tenants/src/lint/rules';
const PAGES = 'docs/lint';

/** A page: what is found in its first example, as the command prints it, and a second one that is clean. */
function readPage(id: string) {
  const text = readFileSync(`${PAGES}/${id}.md`, 'utf8');
  const blocks = [...text.matchAll(/```(\w+)\n([^]*?)```\n/g)].map(([, language, block]) => ({
    language,
    block,
  }));
  const [violating, findings, clean] = blocks;
  expect(blocks.map(({ language }) => language)).toEqual(['ts', 'text', 'ts']);
  const options = /linted with `([^`]+)`/.exec(text)?.[1] ?? '';
  return {
    text,
    violating: violating!.block!,
    findings: findings!.block!,
    clean: clean!.block!,
    options: parse(options),
  };
}

function parse(line: string): LintOptions & { rules: string[] | undefined } {
  const value = (name: string) => new RegExp(`--${name} (\\S+)`).exec(line)?.[1];
  const settings = value('session-settings');
  return {
    partitionedTables: value('partitioned')?.split(','),
    tenantTables: value('tenant-tables')?.split(','),
    transactionMode: value('transaction-mode') as LintOptions['transactionMode'],
    sessionSettings: settings === 'none' ? [] : undefined,
    rules: value('rule')?.split(','),
  };
}

describe('every lint rule', () => {
  it('is one file in the list', () => {
    const files = readdirSync(SOURCES).filter((file) => file.endsWith('.rule.ts'));
    expect(LINT_RULES.map(({ id, title }) => `${id}.${title}.rule.ts`)).toEqual(files.sort());
  });

  it('has a page, and is in the overview', () => {
    const pages = readdirSync(PAGES).filter((page) => /^MIG\d/.test(page));
    expect(pages.sort()).toEqual(LINT_RULES.map(({ id }) => `${id}.md`));
    const overview = readFileSync(`${PAGES}/README.md`, 'utf8');
    expect(LINT_RULES.filter(({ id, title }) => !overview.includes(`[${id} ${title}](${id}.md)`))).toEqual(
      [],
    );
  });

  describe.each(LINT_RULES.map((rule) => [rule.id, rule] as const))('%s', (id, rule) => {
    const page = readPage(id);

    it('has its title, severity and reason on its page', () => {
      expect(page.text).toContain(`# ${id} ${rule.title}\n\nSeverity: ${rule.severity}\n\n${rule.reason}\n`);
    });

    it('finds in the first example what the page shows, file, line and column included', async () => {
      const { findings } = await lintText(page.violating, page.options);
      expect(findings.map(({ ruleId }) => ruleId)).toContain(id);
      expect(findings.map((finding) => lintFindingText(finding, { colors: false })).join('\n')).toBe(
        page.findings,
      );
    });

    it('finds nothing in the second example, nor does any other rule', async () => {
      expect((await lintText(page.clean, page.options)).findings).toEqual([]);
    });

    it('corrects the first example with files in which no rule finds anything', async () => {
      const { findings } = await lintText(page.violating, page.options);
      for (const { files = [] } of findings) {
        const inputs = files.map(({ name, text }) => ({ file: name, text }));
        const report = await lintMigrations(inputs, { ...page.options, squawk: false });
        expect({ findings: report.findings, migrations: report.coverage.migrations }).toEqual({
          findings: [],
          migrations: files.length,
        });
      }
    });
  });
});

describe('the overview', () => {
  const overview = readFileSync(`${PAGES}/README.md`, 'utf8');
  const guide = overview.slice(overview.indexOf('## Decision tree'), overview.indexOf('## Rules'));

  it('names only operations, helpers and base classes that are exported', () => {
    const exported = new Set([...Object.keys(library), ...Object.keys(migrations)]);
    const named = guide.match(/\b(?:[a-z]+(?:[A-Z][a-z0-9]+)+|(?:[A-Z][a-z]+){2,}Migration)\b/g)!;
    // An option of the data source.
    const missing = [...new Set(named)].filter((name) => !exported.has(name) && name !== 'allowMigrate');
    expect({ named: named.length > 30, missing }).toEqual({ named: true, missing: [] });
  });

  it('names only rules that exist', () => {
    const named = new Set(guide.match(/MIG\d+/g));
    expect([...named].filter((id) => !LINT_RULES.some((rule) => rule.id === id))).toEqual([]);
  });
});
