import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { preProcessFile } from 'typescript';
import { consumerOf, packLibrary, readManifest, ROOT, type PackedLibrary } from './support/packed-library.js';

/** What an application has that uses the library and none of its optional peers. */
const REQUIRED = [
  '@nestjs/common',
  '@nestjs/core',
  '@nestjs/platform-express',
  '@nestjs/typeorm',
  'nestjs-cls',
  'pg',
  'reflect-metadata',
  'rxjs',
  'typeorm',
];

/** The optional peer that an entry is for; every other entry needs none. */
const NEEDS: Record<string, string> = {
  './bullmq': 'bullmq',
  './cli': 'nest-commander',
  './health': '@nestjs/terminus',
  './microservices': '@nestjs/microservices',
  './prometheus': 'prom-client',
};

/** The library as `npm pack` makes it, installed beside a consumer. */
describe('the packed library', () => {
  let library: PackedLibrary;
  /** Has no optional peer of the library. */
  let bare: string;
  beforeAll(() => {
    library = packLibrary();
    bare = consumerOf(library, REQUIRED);
  }, 120_000);
  afterAll(() => {
    library.remove();
    rmSync(bare, { recursive: true, force: true });
  });

  const modules = Object.entries(readManifest(join(ROOT, 'libs/rls-tenants')).exports).flatMap(
    ([entry, target]) => (typeof target === 'object' ? [entry] : []),
  );
  const specifierOf = (entry: string) => entry.replace('.', 'nestjs-rls-tenants');

  function node(home: string, file: string, source: string) {
    writeFileSync(join(home, file), source);
    const { stdout, stderr, status } = spawnSync(process.execPath, ['--no-warnings', join(home, file)], {
      encoding: 'utf8',
    });
    return { stdout: stdout.trim(), stderr, status };
  }
  const imports = (entry: string) =>
    `console.log(Object.keys(await import('${specifierOf(entry)}')).length > 0)`;
  const requires = (entry: string) => `console.log(Object.keys(require('${specifierOf(entry)}')).length > 0)`;

  it.each(modules)('%s is loaded by an ES module', (entry) => {
    expect(node(library.home, 'consumer.mjs', imports(entry))).toMatchObject({ stdout: 'true', status: 0 });
  });

  it.each(modules)('%s is loaded by a CommonJS module', (entry) => {
    expect(node(library.home, 'consumer.cjs', requires(entry))).toMatchObject({ stdout: 'true', status: 0 });
  });

  it('is one instance for both', () => {
    const source = `import { createRequire } from 'node:module';
import { RlsTenantsError } from 'nestjs-rls-tenants';
console.log(createRequire(import.meta.url)('nestjs-rls-tenants').RlsTenantsError === RlsTenantsError);`;
    expect(node(library.home, 'both.mjs', source)).toMatchObject({ stdout: 'true', status: 0 });
  });

  const withoutPeers = modules.filter((entry) => NEEDS[entry] === undefined);
  it.each(withoutPeers)('%s needs no optional peer', (entry) => {
    expect(node(bare, 'bare.mjs', imports(entry))).toMatchObject({ stdout: 'true', status: 0 });
    expect(node(bare, 'bare.cjs', requires(entry))).toMatchObject({ stdout: 'true', status: 0 });
  });

  // The control of the tests above, too: the optional peers are out of reach there.
  it.each(Object.entries(NEEDS))('%s without %s fails, and names it', (entry, peer) => {
    const { stderr, status } = node(bare, 'bare.mjs', imports(entry));
    expect(stderr).toContain(`Cannot find package '${peer}'`);
    expect(status).not.toBe(0);
  });

  it('refuses a version of a peer that it does not support, by name', () => {
    const manifest = join(bare, 'node_modules/@nestjs/core/package.json');
    const original = readFileSync(manifest, 'utf8');
    const source = `import { fromUser, RlsTenantsModule } from 'nestjs-rls-tenants';
RlsTenantsModule.forRoot({ tenantIdType: 'uuid', resolveTenant: fromUser((user) => user.tenant) });
console.log('accepted');`;
    expect(node(bare, 'versions.mjs', source)).toMatchObject({ stdout: 'accepted', status: 0 });
    writeFileSync(manifest, JSON.stringify({ ...JSON.parse(original), version: '10.4.22' }));
    const { stderr, status } = node(bare, 'versions.mjs', source);
    writeFileSync(manifest, original);
    expect(stderr).toContain(
      `RlsConfigurationError: @nestjs/core 10.4.22 is not supported: nestjs-rls-tenants ${library.manifest.version} needs ^11.0.0 || ^12.0.0.`,
    );
    expect(status).not.toBe(0);
  });

  it('has types for every entry', () => {
    writeFileSync(
      join(library.home, 'consumer.mts'),
      `import { RlsTenantsModule, fromUser, TenantScoped, TenantColumn, tenantContext } from 'nestjs-rls-tenants';
import { RlsMigration, protectTable } from 'nestjs-rls-tenants/migrations';
${modules.map((entry, index) => `import * as entry${index} from '${specifierOf(entry)}';`).join('\n')}
export const module = RlsTenantsModule.forRoot({ tenantIdType: 'uuid', resolveTenant: fromUser((user: { tenant: string }) => user.tenant) });
export class Protect1700000000000 extends RlsMigration {
  readonly operations = [protectTable({ table: 'note', tenantIdType: 'uuid', appRole: 'app' })];
}
export const value: Promise<number> = tenantContext('t', async () => 1);
export const used = [TenantScoped, TenantColumn, ${modules.map((_, index) => `entry${index}`).join(', ')}];
// @ts-expect-error an unknown tenantIdType does not compile
RlsTenantsModule.forRoot({ tenantIdType: 'guid', resolveTenant: () => 1 });
`,
    );
    // What a CommonJS application of NestJS 11's older templates compiles with finds the entries by typesVersions.
    cpSync(join(library.home, 'consumer.mts'), join(library.home, 'consumer.ts'));
    const common = '--ignoreConfig --noEmit --strict --skipLibCheck --target es2022 --types node';
    for (const [options, file] of [
      ['--module nodenext', 'consumer.mts'],
      ['--module commonjs --moduleResolution node10 --ignoreDeprecations 6.0', 'consumer.ts'],
    ]) {
      const tsc = spawnSync(
        join(ROOT, 'node_modules/.bin/tsc'),
        [...common.split(' '), ...options!.split(' '), file!],
        { cwd: library.home, encoding: 'utf8' },
      );
      expect({ options, output: tsc.stdout, status: tsc.status }).toEqual({ options, output: '', status: 0 });
    }
  }, 120_000);

  it('is what publint asks for, suggestions included', () => {
    const publint = spawnSync(
      join(ROOT, 'node_modules/.bin/publint'),
      ['run', library.tarball, '--strict', '--level', 'suggestion'],
      // Under CI it colours what it says to a pipe, too.
      { encoding: 'utf8', env: { ...process.env, CI: '', NO_COLOR: '1' } },
    );
    expect(publint.stdout).toMatch(/Linting\.\.\.\s+All good!\s*$/);
    expect(publint.status).toBe(0);
  }, 60_000);

  /**
   * The strict profile: old resolution by `main` and typesVersions, CommonJS, ES modules, bundlers. Left out is the rule
   * that a `require` must not reach an ES module: it speaks of Node.js before 20.19, which `engines` excludes, and each
   * entry is required above.
   */
  it('has the types that attw asks for', () => {
    const attw = spawnSync(
      join(ROOT, 'node_modules/.bin/attw'),
      [library.tarball, '--profile', 'strict', '--ignore-rules', 'cjs-resolves-to-esm', '--format', 'json'],
      { encoding: 'utf8' },
    );
    const { analysis } = JSON.parse(attw.stdout) as {
      analysis: { entrypoints: object; problems: { kind: string; entrypoint?: string }[] };
    };
    expect(Object.keys(analysis.entrypoints)).toEqual(expect.arrayContaining(modules));
    expect(analysis.problems.filter(({ kind }) => kind !== 'CJSResolvesToESM')).toEqual([]);
    expect(attw.status).toBe(0);
  }, 120_000);

  it('names every entry for the old resolution, too', () => {
    const { exports, typesVersions } = library.manifest;
    const expected = modules
      .filter((entry) => entry !== '.')
      .map((entry) => [entry.slice(2), [(exports[entry] as { types: string }).types]]);
    expect(typesVersions).toEqual({ '*': Object.fromEntries(expected) });
  });

  it('holds no test, no path alias and nothing that refers outside of it', () => {
    const { installed, manifest } = library;
    const files = readdirSync(installed, { recursive: true, encoding: 'utf8' });
    expect(files.filter((file) => /\.spec\./.test(file))).toEqual([]);
    expect(files).toEqual(expect.arrayContaining(['LICENSE', 'README.md', 'package.json']));
    const specifiers = files
      .filter((file) => file.startsWith('dist') && file.endsWith('.js'))
      .flatMap((file) =>
        // Not by a pattern: what writes migrations holds imports as text.
        preProcessFile(readFileSync(join(installed, file), 'utf8')).importedFiles.map(
          ({ fileName }) => fileName,
        ),
      );
    expect(specifiers).toContain('typeorm');
    const declared = Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies });
    const undeclared = specifiers.filter(
      (specifier) =>
        !specifier.startsWith('.') &&
        !specifier.startsWith('node:') &&
        !declared.some((name) => specifier === name || specifier.startsWith(`${name}/`)),
    );
    expect([...new Set(undeclared)]).toEqual([]);
    for (const range of Object.values(manifest.peerDependencies!)) expect(range).toMatch(/^\^/);
  });

  it('has a bin that runs', () => {
    const bin = join(library.installed, library.manifest.bin['rls-tenants']!);
    const help = execFileSync(process.execPath, ['--no-warnings', bin, '--help'], { encoding: 'utf8' });
    expect(help).toContain('check-rls');
    expect(help).toContain('setup-roles');
  });
});
