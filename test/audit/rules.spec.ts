import { readdirSync, readFileSync } from 'node:fs';
import { AUDIT_RULES } from '../../libs/rls-tenants/src/audit/index.js';

const SOURCES = 'libs/rls-tenants/src/audit/rules';
const PAGES = 'docs/rules';
const TESTS = 'test/audit';

/** Found by checkDriver(), which has no catalog to look at. */
const DRIVER_RULES = ['RLS090', 'RLS091'];

describe('every audit rule', () => {
  it('is one file in the list', () => {
    const files = readdirSync(SOURCES).filter((file) => file.endsWith('.rule.ts'));
    expect(AUDIT_RULES.map(({ title }) => `${title}.rule.ts`).sort()).toEqual(files.sort());
  });

  it('has an id of its own, in order', () => {
    const ids = AUDIT_RULES.map(({ id }) => id);
    expect([...new Set(ids)].sort()).toEqual(ids);
  });

  it.each(AUDIT_RULES.map((rule) => [rule.id, rule] as const))(
    '%s has a page that gives its reason, and a test',
    (id, rule) => {
      const page = readFileSync(`${PAGES}/${id}.md`, 'utf8');
      expect(page).toContain(`# ${id} ${rule.title}\n\nSeverity: ${rule.severity}`);
      expect(page).toContain(rule.reason);
      expect(readdirSync(TESTS)).toContain(`${id}.${rule.title}.spec.ts`);
    },
  );

  it('is what a page is about', () => {
    const pages = readdirSync(PAGES).filter((page) => /^RLS\d/.test(page));
    expect(pages.sort()).toEqual(
      [...AUDIT_RULES.map(({ id }) => id), ...DRIVER_RULES].map((id) => `${id}.md`),
    );
  });
});
