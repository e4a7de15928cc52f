import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
const library = resolve(root, 'libs/rls-tenants');
const { name, exports } = JSON.parse(readFileSync(resolve(library, 'package.json'), 'utf8'));

/** The source file of each entry point, by the name that an import has. */
export const entries = new Map(
  Object.entries(exports)
    .filter(([, target]) => typeof target === 'object')
    .map(([path, { types }]) => [
      path.replace('.', name),
      resolve(library, types.replace('./dist/', 'src/').replace('.d.ts', '.ts')),
    ]),
);

/** Names each page as its import: `nestjs-rls-tenants/migrations`. */
function nameByImport(app) {
  app.converter.on('resolveBegin', ({ project }) => {
    for (const module of project.children ?? []) {
      module.name = module.name === 'index' ? name : `${name}/${module.name}`;
    }
  });
}

/** The API reference: a folder of pages for each entry point, from the doc comments of the sources. */
export default {
  entryPoints: [...entries.values()],
  tsconfig: resolve(library, 'tsconfig.lib.json'),
  basePath: resolve(library, 'src'),
  out: resolve(root, 'docs/api'),
  plugin: ['typedoc-plugin-markdown', nameByImport],
  name: 'API reference',
  readme: 'none',
  disableSources: true,
  excludePrivate: true,
  excludeInternal: true,
  sort: ['alphabetical'],
  // Types that only appear in the signature of something public need no page.
  validation: { notExported: false, invalidLink: true },
  treatWarningsAsErrors: true,
  logLevel: 'Warn',
  // typedoc-plugin-markdown
  outputFileStrategy: 'modules',
  entryFileName: 'index',
  textContentMappings: { 'title.modulePage': '{name}', 'title.indexPage': 'API reference' },
  hidePageHeader: true,
  hideBreadcrumbs: true,
  parametersFormat: 'table',
  interfacePropertiesFormat: 'table',
  typeDeclarationFormat: 'table',
  enumMembersFormat: 'table',
  propertyMembersFormat: 'table',
  useCodeBlocks: true,
};
