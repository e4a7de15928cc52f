import { html, visible, visibleText } from './html.js';

describe('html', () => {
  it('escapes what is not markup already, in text and in attributes', () => {
    expect(
      html`<a title="${`"'`}">${'<b>&amp;'}${html`<i>${'<'}</i>`}${[1, 'a', undefined]}</a>`.markup,
    ).toBe('<a title="&quot;&#39;">&lt;b&gt;&amp;amp;<i>&lt;</i>1a</a>');
  });

  it('keeps the line breaks and spaces of values, and leaves out the indentation of templates', () => {
    const indented = html`<p>${'a\n   b'}</p>
      <p></p>`;
    expect(indented.markup).toBe('<p>a\n   b</p>\n<p></p>');
  });
});

describe('visible', () => {
  it('shows characters that have no look or turn others around, and keeps them in what is copied', () => {
    expect(visible('a\u202Eb\u200B<').markup).toBe(
      'a<bdi data-code="U+202E">\u202E</bdi>b<bdi data-code="U+200B">\u200B</bdi>&lt;',
    );
    expect(visible('é 表 😀 \t\n').markup).toBe('é 表 😀 \t\n');
    expect(visibleText('a\u202Eb')).toBe('a⟨U+202E⟩b');
  });
});
