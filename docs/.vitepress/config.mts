import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defineConfig, type DefaultTheme, type MarkdownRenderer } from 'vitepress';
import { entries } from './typedoc.config.mjs';

const docs = join(dirname(fileURLToPath(import.meta.url)), '..');

/** A page's entry, under its own first heading. */
function page(path: string, text?: string): DefaultTheme.SidebarItem {
  const heading = /^# (.*)$/m.exec(readFileSync(join(docs, `${path}.md`), 'utf8'))?.[1];
  return { text: text ?? heading?.replaceAll('`', '') ?? path, link: `/${path}` };
}

/** All pages of a folder, in the order of their names. */
const folder = (path: string): DefaultTheme.SidebarItem[] =>
  readdirSync(join(docs, path))
    .filter((name) => /^[A-Z]+\d+\.md$/.test(name))
    .map((name) => page(`${path}/${name.replace('.md', '')}`));

const inOperation = ['pgbouncer', 'read-replicas', 'managed-postgresql', 'backups'];

/** Every other guide, the most read ones first. */
const first = ['testing', 'transactions', 'auto-scoping', 'queues', 'microservices', 'graphql', 'websockets'];
const inYourApplication = [
  ...first,
  ...readdirSync(join(docs, 'guides'))
    .map((name) => name.replace('.md', ''))
    .filter(
      (name) =>
        ![...first, ...inOperation, 'security-model', 'sealed-context', 'sealed-attacks'].includes(name),
    )
    .sort(),
];

/**
 * Pages link to sources of the repository, which GitHub shows and the site has not: there only the link's text stays.
 * test/docs/links.spec.ts looks whether the files exist.
 */
function withoutLinksToSources(markdown: MarkdownRenderer): void {
  markdown.core.ruler.push('without-links-to-sources', ({ tokens, env }) => {
    for (const { children } of tokens) {
      let inside = false;
      for (const token of children ?? []) {
        const href = token.type === 'link_open' ? (token.attrGet('href') ?? '') : '';
        if (/^\.\.?\//.test(href)) inside = !normalize(join(dirname(env.path), href)).startsWith(docs);
        if (!inside || !token.type.startsWith('link_')) continue;
        if (token.type === 'link_close') inside = false;
        Object.assign(token, { type: 'text', tag: '', content: '', nesting: 0 });
      }
    }
  });
}

export default defineConfig({
  title: 'nestjs-rls-tenants',
  description: 'Database-enforced multitenancy for NestJS, TypeORM and PostgreSQL',
  lang: 'en',
  // The folders' README.md are what GitHub shows for them; here they are their index.
  rewrites: { 'rules/README.md': 'rules/index.md', 'lint/README.md': 'lint/index.md' },
  // A link to a page that does not exist fails the build.
  ignoreDeadLinks: false,
  lastUpdated: false,
  vite: { build: { chunkSizeWarningLimit: 3000 } },
  // Nothing in these pages is Vue's.
  markdown: { attrs: { disable: true }, config: withoutLinksToSources },
  themeConfig: {
    search: { provider: 'local' },
    outline: [2, 3],
    nav: [
      { text: 'Quick start', link: '/quick-start' },
      { text: 'Guides', link: '/integrations' },
      { text: 'API', link: '/api/' },
    ],
    sidebar: [
      {
        text: 'Start',
        items: [
          page('quick-start'),
          page('how-it-works'),
          page('guides/security-model'),
          page('guides/sealed-context'),
          page('guides/sealed-attacks'),
          page('versions'),
          page('benchmarks'),
        ],
      },
      {
        text: 'Adopt it',
        collapsed: true,
        items: [
          'from-no-multitenancy',
          'from-application-filtering',
          'from-schema-per-tenant',
          'upgrading-policies',
        ].map((name) => page(`adopting/${name}`)),
      },
      {
        text: 'In your application',
        items: [page('integrations'), ...inYourApplication.map((name) => page(`guides/${name}`))],
      },
      {
        text: 'In operation',
        items: inOperation.map((name) => page(`guides/${name}`)),
      },
      {
        text: 'Migrations',
        items: ['running', 'generating', 'operations', 'backfills', 'linting', 'join-tables'].map((name) =>
          page(`migrations/${name}`),
        ),
      },
      { text: 'Audit', items: ['check-rls', 'probing', 'html-report', 'health'].map((name) => page(name)) },
      {
        text: 'API reference',
        collapsed: true,
        items: [...entries.keys()].map((name) => ({ text: name, link: `/api/${name}` })),
      },
      { text: 'Rules of check-rls', link: '/rules/', collapsed: true, items: folder('rules') },
      { text: 'Rules of lint-migrations', link: '/lint/', collapsed: true, items: folder('lint') },
    ],
  },
});
