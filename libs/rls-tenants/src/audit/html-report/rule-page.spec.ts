import { AUDIT_RULES } from '../rules/index.js';
import { rulePage } from './rule-page.js';

describe('rulePage', () => {
  it.each(AUDIT_RULES.map(({ id }) => id))('has what leaks, how to reproduce and how to fix %s', (id) => {
    const { markup } = rulePage(id)!;
    const headings = [...markup.matchAll(/<h4>(.*?)<\/h4>/g)].map(([, text]) => text);
    expect(headings.slice(0, 3)).toEqual(['What leaks', 'Reproduce in psql', 'Fix']);
    expect(markup).toContain('<pre>');
    const text = markup.replaceAll(/<pre>[\s\S]*?<\/pre>|<code>.*?<\/code>/g, '');
    expect(text).not.toMatch(/`|\*\*|\]\(|^#|^- /m);
  });

  it('has nothing for what is no rule, whatever the name', () => {
    expect(rulePage('RLS000')).toBeUndefined();
    expect(rulePage('PRB001')).toBeUndefined();
    expect(rulePage('../rules/RLS001')).toBeUndefined();
  });
});
