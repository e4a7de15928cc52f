import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

const SOURCE = resolve(__dirname, '../libs/rls-tenants/src');

/** What each part of the library may import (DESIGN: imports point downward only). Files of the root are named. */
const MAY_IMPORT: Record<string, string[]> = {
  'errors.ts': [],
  'supported-versions.ts': ['errors.ts'],
  context: ['errors.ts'],
  policies: ['errors.ts', 'context'],
  propagation: ['errors.ts', 'context'],
  bullmq: ['errors.ts', 'context', 'propagation'],
  'pg-boss': ['errors.ts', 'supported-versions.ts', 'context', 'propagation'],
  microservices: ['errors.ts', 'context', 'propagation'],
  entities: ['errors.ts', 'context', 'policies'],
  connection: ['errors.ts', 'supported-versions.ts', 'context', 'policies', 'entities'],
  observability: ['context', 'connection'],
  opentelemetry: ['observability'],
  prometheus: ['connection'],
  migrations: ['errors.ts', 'context', 'policies', 'entities', 'connection'],
  backfill: [
    'errors.ts',
    'supported-versions.ts',
    'context',
    'policies',
    'entities',
    'connection',
    'migrations',
  ],
  lint: ['errors.ts', 'context', 'policies', 'entities', 'migrations'],
  audit: ['errors.ts', 'context', 'policies', 'entities', 'connection'],
  generate: ['errors.ts', 'context', 'policies', 'entities', 'connection', 'migrations', 'lint', 'audit'],
  consolidate: ['errors.ts', 'context', 'policies', 'entities', 'connection', 'migrations', 'backfill'],
  cli: [
    'errors.ts',
    'context',
    'policies',
    'entities',
    'connection',
    'migrations',
    'backfill',
    'lint',
    'audit',
    'generate',
    'consolidate',
  ],
  testing: ['errors.ts', 'context', 'policies', 'entities', 'connection', 'migrations', 'audit'],
  'rls-tenants.options.ts': ['errors.ts', 'context', 'connection'],
  'rls-tenants.module.ts': [
    'errors.ts',
    'supported-versions.ts',
    'context',
    'policies',
    'entities',
    'connection',
    'audit',
    'rls-tenants.options.ts',
  ],
  health: ['errors.ts', 'context', 'audit', 'rls-tenants.module.ts', 'rls-tenants.options.ts'],
  'index.ts': [
    'errors.ts',
    'context',
    'policies',
    'entities',
    'connection',
    'observability',
    'backfill',
    'consolidate',
    'rls-tenants.module.ts',
    'rls-tenants.options.ts',
  ],
};

const files = readdirSync(SOURCE, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts') && !file.endsWith('.spec.ts'))
  .map((file) => ({ file, part: file.split('/')[0]!, imports: importsOf(join(SOURCE, file)) }));

function importsOf(file: string): string[] {
  const specifiers = readFileSync(file, 'utf8').matchAll(/(?:from|import)\s*\(?\s*'(\.{1,2}\/[^']+)'/g);
  return [...specifiers].map(([, specifier]) =>
    relative(SOURCE, resolve(dirname(file), specifier!.replace(/\.js$/, '.ts'))),
  );
}

describe('the layers of the library', () => {
  it('are all known', () => {
    expect(files.length).toBeGreaterThan(20);
    expect([...new Set(files.map(({ part }) => part))].filter((part) => !(part in MAY_IMPORT))).toEqual([]);
  });

  it('import downward only', () => {
    const upward = files.flatMap(({ file, part, imports }) =>
      imports
        .map((imported) => imported.split('/')[0]!)
        .filter((target) => target !== part && !MAY_IMPORT[part]?.includes(target))
        .map((target) => `${file} imports ${target}`),
    );
    expect(upward).toEqual([]);
  });

  it('policies know of the context only what a tenant id is', () => {
    const context = files
      .filter(({ part }) => part === 'policies')
      .flatMap(({ imports }) => imports.filter((target) => target.startsWith('context/')));
    expect([...new Set(context)]).toEqual(['context/tenant-id.ts']);
  });

  it('the context knows nothing of SQL or TypeORM', () => {
    const foreign = files
      .filter(({ part }) => part === 'context')
      .filter(({ file }) =>
        /from '(?:typeorm|pg|@nestjs\/typeorm|libpg-query)/.test(readFileSync(join(SOURCE, file), 'utf8')),
      );
    expect(foreign.map(({ file }) => file)).toEqual([]);
  });
});
