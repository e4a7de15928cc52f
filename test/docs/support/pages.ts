import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

export const ROOT = resolve(__dirname, '../../..');

/** A fenced block of a page. */
export interface Fence {
  readonly language: string;
  readonly text: string;
  /** The line of the page that the block's text begins on, from 1. */
  readonly line: number;
  /** The file it is, where its first line names one: `// src/main.ts`. */
  readonly file: string | undefined;
  /** The HTML comment right above it, which a reader does not see. */
  readonly note: string | undefined;
}

/** The text of a page, by its path from the root of the repository. */
export const pageText = (page: string): string => readFileSync(join(ROOT, page), 'utf8');

/** The blocks of a page in their order, those in lists included. */
export function fencesOf(markdown: string): Fence[] {
  return [...markdown.matchAll(/^( *)```(\w*)[^\n]*\n([^]*?)^\1```$/gm)].map((match) => {
    const [, indent, language, body] = match as unknown as [string, string, string, string];
    const text = body.replaceAll(new RegExp(`^${indent}`, 'gm'), '');
    const before = markdown.slice(0, match.index);
    return {
      language,
      text,
      line: before.split('\n').length + 1,
      file: /^(?:\/\/|#|--) (\S+\.\w+)\n/.exec(text)?.[1],
      note: /<!-- ((?:(?!-->)[^])*) -->\s*$/.exec(before)?.[1],
    };
  });
}

/** README and every page of docs, by its path from the root; what the site is built with and generates is left out. */
export const allPages = (): string[] => [
  'README.md',
  ...readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.md') && !/^(api|\.vitepress)\b/.test(path))
    .map((path) => `docs/${path}`)
    .sort(),
];
