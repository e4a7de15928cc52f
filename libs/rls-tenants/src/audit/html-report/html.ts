/** Markup that is safe to write: made by {@link html}, where everything that is not markup already is escaped. */
export class Html {
  constructor(readonly markup: string) {}
}

/** What may stand in a template: text is escaped, lists are joined, undefined leaves nothing. */
export type HtmlValue = Html | string | number | undefined | readonly HtmlValue[];

/** A template of markup, its indentation left out. Values go into text and into attributes in double quotes, only. */
export function html(strings: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  return new Html(
    strings.map((part, index) => part.replaceAll(/\s*\n\s*/g, '\n') + markupOf(values[index])).join(''),
  );
}

/**
 * Text of the database. Characters that have no look of their own or turn the direction of others are made visible, so
 * that no name passes for another one; the text itself, which is what is copied, stays as it is.
 */
export function visible(text: string): Html {
  const parts = text.split(INVISIBLE);
  return new Html(
    parts
      .map((part, index) =>
        index % 2 === 0 ? escape(part) : `<bdi data-code="U+${codeOf(part)}">${escape(part)}</bdi>`,
      )
      .join(''),
  );
}

/** {@link visible} where there can be no markup, as in pictures: what cannot be seen is replaced. */
export function visibleText(text: string): string {
  return text
    .split(INVISIBLE)
    .map((part, index) => (index % 2 === 0 ? part : `⟨U+${codeOf(part)}⟩`))
    .join('');
}

// Controls other than tab and line breaks, format characters such as the zero-width and bidirectional ones.
const INVISIBLE = /((?![\t\n\r])[\p{Cc}\p{Cf}\u2028\u2029])/u;

function codeOf(character: string): string {
  return character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0');
}

function markupOf(value: HtmlValue): string {
  if (value === undefined) return '';
  if (value instanceof Html) return value.markup;
  if (typeof value === 'string' || typeof value === 'number') return escape(String(value));
  return value.map(markupOf).join('');
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escape(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => ENTITIES[character]!);
}

/** `1 finding`, `2,000 findings`. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString('en')} ${count === 1 ? one : many}`;
}
