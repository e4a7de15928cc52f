import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { preProcessFile } from 'typescript';

const ROOT = resolve(__dirname, '../..');
const LIBRARY = join(ROOT, 'libs/rls-tenants');

/** The library as `npm pack` makes it, installed beside a consumer; peer dependencies are found further up. */
describe('the packed library', () => {
  let home: string;
  let installed: string;

  beforeAll(() => {
    mkdirSync(join(ROOT, '.data'), { recursive: true });
    home = mkdtempSync(join(ROOT, '.data/consumer-'));
    installed = join(home, 'node_modules/nestjs-rls-tenants');
    mkdirSync(installed, { recursive: true });
    const packed = execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', home], {
      cwd: LIBRARY,
      encoding: 'utf8',
    });
    const [{ filename }] = Object.values(JSON.parse(packed) as Record<string, { filename: string }>) as [
      { filename: string },
    ];
    execFileSync('tar', ['xzf', join(home, filename), '-C', installed, '--strip-components=1']);
  });
  afterAll(() => rmSync(home, { recursive: true, force: true }));

  const entries = [
    'nestjs-rls-tenants',
    'nestjs-rls-tenants/migrations',
    'nestjs-rls-tenants/cli',
    'nestjs-rls-tenants/health',
    'nestjs-rls-tenants/testing',
  ];

  function node(file: string, source: string): string {
    writeFileSync(join(home, file), source);
    return execFileSync(process.execPath, ['--no-warnings', join(home, file)], { encoding: 'utf8' }).trim();
  }

  it('is loaded by an ES module', () => {
    const imports = entries.map((entry) => `console.log(Object.keys(await import('${entry}')).length > 0)`);
    expect(node('consumer.mjs', imports.join('\n'))).toBe(entries.map(() => 'true').join('\n'));
  });

  it('is loaded by a CommonJS module', () => {
    const requires = entries.map((entry) => `console.log(Object.keys(require('${entry}')).length > 0)`);
    expect(node('consumer.cjs', requires.join('\n'))).toBe(entries.map(() => 'true').join('\n'));
  });

  it('has types for every entry', () => {
    writeFileSync(
      join(home, 'consumer.mts'),
      `import { RlsTenantsModule, fromUser, TenantScoped, TenantColumn, tenantContext } from 'nestjs-rls-tenants';
import { RlsMigration, protectTable } from 'nestjs-rls-tenants/migrations';
import { startEmbeddedPostgres } from 'nestjs-rls-tenants/testing';
import { RlsHealthIndicator } from 'nestjs-rls-tenants/health';
import * as cli from 'nestjs-rls-tenants/cli';
export const module = RlsTenantsModule.forRoot({ tenantIdType: 'uuid', resolveTenant: fromUser((user: { tenant: string }) => user.tenant) });
export class Protect1700000000000 extends RlsMigration {
  readonly operations = [protectTable({ table: 'note', tenantIdType: 'uuid', appRole: 'app' })];
}
export const value: Promise<number> = tenantContext('t', async () => 1);
export const used = [TenantScoped, TenantColumn, startEmbeddedPostgres, RlsHealthIndicator, cli];
// @ts-expect-error an unknown tenantIdType does not compile
RlsTenantsModule.forRoot({ tenantIdType: 'guid', resolveTenant: () => 1 });
`,
    );
    const options =
      '--ignoreConfig --noEmit --strict --skipLibCheck --module nodenext --target es2022 --types node'.split(
        ' ',
      );
    const tsc = spawnSync(join(ROOT, 'node_modules/.bin/tsc'), [...options, 'consumer.mts'], {
      cwd: home,
      encoding: 'utf8',
    });
    expect(tsc.stdout).toBe('');
    expect(tsc.status).toBe(0);
  });

  it('holds no test, no path alias and nothing that refers outside of it', () => {
    const files = readdirSync(installed, { recursive: true, encoding: 'utf8' });
    expect(files.filter((file) => /\.spec\./.test(file))).toEqual([]);
    const specifiers = files
      .filter((file) => file.startsWith('dist') && file.endsWith('.js'))
      .flatMap((file) =>
        // Not by a pattern: what writes migrations holds imports as text.
        preProcessFile(readFileSync(join(installed, file), 'utf8')).importedFiles.map(
          ({ fileName }) => fileName,
        ),
      );
    expect(specifiers).toContain('typeorm');
    const manifest = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as Record<
      'dependencies' | 'peerDependencies',
      Record<string, string>
    >;
    const declared = Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies });
    const undeclared = specifiers.filter(
      (specifier) =>
        !specifier.startsWith('.') &&
        !specifier.startsWith('node:') &&
        !declared.some((name) => specifier === name || specifier.startsWith(`${name}/`)),
    );
    expect([...new Set(undeclared)]).toEqual([]);
    for (const range of Object.values(manifest.peerDependencies)) expect(range).toMatch(/^\^/);
  });

  it('has a bin that runs', () => {
    const bin = join(
      installed,
      (
        JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as {
          bin: { 'rls-tenants': string };
        }
      ).bin['rls-tenants'],
    );
    const help = execFileSync(process.execPath, ['--no-warnings', bin, '--help'], { encoding: 'utf8' });
    expect(help).toContain('check-rls');
    expect(help).toContain('setup-roles');
  });
});
