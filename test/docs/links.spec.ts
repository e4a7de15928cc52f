import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { allPages, pageText, ROOT } from './support/pages.js';

const pages = allPages();

/** A page without its blocks and inline code, in which nothing is a link. */
const prose = (page: string): string =>
  pageText(page)
    .replaceAll(/^( *)```[^]*?^\1```$/gm, '')
    .replaceAll(/(`+)[^`]+?\1/g, (code) => code.replaceAll(/[[\]]/g, ' '));

const linksOf = (page: string): string[] =>
  [...prose(page).matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target]) => target!)
    .filter((target) => !/^(https?|mailto):/.test(target));

const headingsOf = (page: string): string[] =>
  [
    ...pageText(page)
      .replaceAll(/^( *)```[^]*?^\1```$/gm, '')
      .matchAll(/^#{1,6} (.*)$/gm),
  ].map(([, text]) => text!.replaceAll(/\[([^\]]*)\]\([^)]*\)|`/g, '$1'));

/** The anchor that GitHub gives a heading. */
const onGitHub = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\- _]/gu, '')
    .replaceAll(' ', '-');

/** The anchor that VitePress gives it. */
const onTheSite = (heading: string): string =>
  heading
    .normalize('NFKD')
    .replaceAll(/[\u0300-\u036F]/g, '')
    .replaceAll(/[\s~`!@#$%^&*()\-_+=[\]{}|\\;:"'“”‘’<>,.?/]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')
    .replace(/^(\d)/, '_$1')
    .toLowerCase();

/** The site has links to pages of its own (`/quick-start`), and what it generates. */
const generated = (page: string, target: string) => page === 'docs/index.md' || target.includes('api/');

it('every link leads to a file of the repository', () => {
  const broken = pages.flatMap((page) =>
    linksOf(page)
      .filter((target) => !target.startsWith('#') && !generated(page, target))
      .filter((target) => !existsSync(join(ROOT, dirname(page), target.replace(/#.*/, ''))))
      .map((target) => `${page}: ${target}`),
  );
  expect(broken).toEqual([]);
});

it('every link to a heading leads to one, on GitHub and on the site', () => {
  const broken = pages.flatMap((page) =>
    linksOf(page)
      .filter((target) => target.includes('#') && !generated(page, target))
      .filter((target) => {
        const [file, anchor] = target.split('#') as [string, string];
        const to = file === '' ? page : join(dirname(page), file);
        if (!to.endsWith('.md') || !existsSync(join(ROOT, to))) return false;
        const headings = headingsOf(to);
        return ![onGitHub, onTheSite].every((anchorOf) =>
          headings.some((heading) => anchorOf(heading) === anchor),
        );
      })
      .map((target) => `${page}: ${target}`),
  );
  expect(broken).toEqual([]);
});

it('pages link to pages, with their extension, so that GitHub finds them', () => {
  const folders = pages.flatMap((page) =>
    linksOf(page)
      .filter((target) => page.startsWith('docs/') && /(^|\/)[\w-]+$/.test(target.replace(/#.*/, '')))
      .filter((target) => !target.startsWith('#') && !generated(page, target))
      .filter((target) => join(dirname(page), target).startsWith('docs/'))
      .map((target) => `${page}: ${target}`),
  );
  expect(folders).toEqual([]);
});
