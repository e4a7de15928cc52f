import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { html, type Html } from './html.js';
import { sqlMarkup } from './sql-markup.js';

/** The pages of docs/rules, which the build puts beside the compiled rules. */
const PAGES = join(import.meta.dirname, '../pages');

/**
 * What the page of a rule says beyond title, severity and reason: what leaks, how to reproduce it, how to fix it.
 * Undefined if there is no such page.
 */
export function rulePage(id: string): Html | undefined {
  const page = /^RLS\d{3}$/.test(id) ? readPage(id) : undefined;
  if (page === undefined) return undefined;
  const start = page.indexOf('\n## ');
  return start < 0 ? undefined : pageMarkup(page.slice(start));
}

function readPage(id: string): string | undefined {
  try {
    return readFileSync(join(PAGES, `${id}.md`), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** The Markdown that the pages use: headings, fenced code, lists, paragraphs, code and links in them. */
function pageMarkup(text: string): Html {
  const blocks = text.matchAll(/^```\w*\n([\s\S]*?)^```$|^#+ (.*)$|((?:^(?!```|#).*\S.*\n?)+)/gm);
  return html`${[...blocks].map(([, code, heading, lines]) => {
    if (code !== undefined) return html`<pre>${sqlMarkup(code.trimEnd())}</pre>`;
    if (heading !== undefined) return html`<h4>${inlineMarkup(heading)}</h4>`;
    return textMarkup(lines!);
  })}`;
}

function textMarkup(lines: string): Html {
  const [lead, ...items] = lines.split(/^(?:[-*]|\d+\.) /m).map((item) => item.trim());
  return html`${lead === '' ? undefined : html`<p>${inlineMarkup(lead!)}</p>`}${
    items.length === 0
      ? undefined
      : html`<ul>
          ${items.map((item) => html`<li>${inlineMarkup(item)}</li>`)}
        </ul>`
  }`;
}

/** Links lead out of the page: their text stays, as that of bold print does. */
function inlineMarkup(text: string): Html {
  const parts = text
    .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replaceAll('**', '')
    .split(/`([^`]+)`/);
  return html`${parts.map((part, index) => (index % 2 === 0 ? part : html`<code>${part}</code>`))}`;
}
