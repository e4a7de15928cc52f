import { sqlMarkup } from './sql-markup.js';

const textOf = (markup: string) =>
  markup
    .replaceAll(/<[^>]+>/g, '')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&');

describe('sqlMarkup', () => {
  it('marks keywords, strings and comments, and not what only looks like one', () => {
    expect(sqlMarkup(`SELECT "from", 'it''s -- no' -- yes`).markup).toBe(
      '<b>SELECT</b> &quot;from&quot;, <i>&#39;it&#39;&#39;s -- no&#39;</i> <em>-- yes</em>',
    );
    expect(sqlMarkup(`DO $x$ SELECT '$y$' $x$;/* a */b`).markup).toBe(
      '<b>DO</b> <i>$x$ SELECT &#39;$y$&#39; $x$</i>;<em>/* a */</em>b',
    );
  });

  it.each([
    `'</pre><script>alert(1)</script>`,
    `"<img src=x onerror=alert(1)>`,
    `-- </em><script>`,
    `/* <script> $a$ <b>`,
    `$a$ <i> "'`,
    `rls-tenants setup-roles --app "a" 'b`,
  ])('changes no character, adds only its own elements, and ends: %s', (sql) => {
    const { markup } = sqlMarkup(sql);
    expect(textOf(markup)).toBe(sql);
    expect(markup.replaceAll(/<\/?(?:b|i|em)>/g, '')).not.toMatch(/[<>"']/);
  });
});
