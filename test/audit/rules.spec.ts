import { readdirSync, readFileSync } from 'node:fs';
import type { Catalog } from '../../libs/rls-tenants/src/audit/catalog.js';
import { AUDIT_RULES, isFailure } from '../../libs/rls-tenants/src/audit/index.js';
import { defineRule, type RuleContext } from '../../libs/rls-tenants/src/audit/rule.js';

const SOURCES = 'libs/rls-tenants/src/audit/rules';
const PAGES = 'docs/rules';
const TESTS = 'test/audit';

/** Found by checkDriver(), which has no catalog to look at, and by boot verification, which knows the application. */
const APPLICATION_RULES = ['RLS090', 'RLS091', 'RLS092', 'RLS093', 'RLS094'];

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
      [...AUDIT_RULES.map(({ id }) => id), ...APPLICATION_RULES].map((id) => `${id}.md`),
    );
  });
});

describe('a rule that fails on an object', () => {
  it('keeps what it found, and says that the rest is unknown, which is no pass', () => {
    const seen = { object: 'table "public.note"', message: 'seen', fix: '' };
    const rule = defineRule({
      id: 'RLS004',
      title: 'odd',
      severity: 'critical',
      reason: '',
      *find() {
        yield seen;
        throw new Error('an odd object');
      },
    });
    const findings = rule.check({} as Catalog, {} as RuleContext);
    expect(findings).toMatchObject([
      { ...seen, severity: 'critical' },
      { ruleId: 'RLS004', severity: 'error', message: expect.stringContaining('an odd object') },
    ]);
    expect(findings.every(isFailure)).toBe(true);
  });
});
