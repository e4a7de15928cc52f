import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';

export const ROOT = resolve(__dirname, '../../..');
export const LIBRARY = join(ROOT, 'libs/rls-tenants');

export interface Manifest {
  name: string;
  version: string;
  bin: Record<string, string>;
  typesVersions?: Record<string, Record<string, string[]>>;
  exports: Record<string, string | { types: string; default: string }>;
  dependencies?: Record<string, string>;
  peerDependencies?: Record<string, string>;
  peerDependenciesMeta?: Record<string, { optional?: boolean }>;
}

/** The library as `npm pack` makes it. */
export interface PackedLibrary {
  /** Where a consumer's files go; the library is in its `node_modules`. */
  readonly home: string;
  readonly tarball: string;
  readonly installed: string;
  readonly manifest: Manifest;
  remove(): void;
}

/** Packs the built library and unpacks it beside a consumer; peer dependencies are found in the workspace, further up. */
export function packLibrary(): PackedLibrary {
  mkdirSync(join(ROOT, '.data'), { recursive: true });
  const home = mkdtempSync(join(ROOT, '.data/consumer-'));
  const installed = join(home, 'node_modules/nestjs-rls-tenants');
  mkdirSync(installed, { recursive: true });
  const packed = execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', home], {
    cwd: LIBRARY,
    encoding: 'utf8',
  });
  const [{ filename }] = Object.values(JSON.parse(packed) as Record<string, { filename: string }>) as [
    { filename: string },
  ];
  const tarball = join(home, filename);
  execFileSync('tar', ['xzf', tarball, '-C', installed, '--strip-components=1']);
  return {
    home,
    tarball,
    installed,
    manifest: readManifest(installed),
    remove: () => rmSync(home, { recursive: true, force: true }),
  };
}

/** A consumer outside of the workspace that has the library, these packages, what they depend on, and nothing else. */
export function consumerOf(library: PackedLibrary, packages: readonly string[]): string {
  const home = mkdtempSync(join(tmpdir(), 'consumer-'));
  const modules = join(home, 'node_modules');
  cpSync(library.installed, join(modules, 'nestjs-rls-tenants'), { recursive: true });
  const pending = [...Object.keys(library.manifest.dependencies ?? {}), ...packages].map((name) => ({
    name,
    from: ROOT,
    optional: false,
  }));
  const copied = new Set<string>();
  for (let next = pending.pop(); next; next = pending.pop()) {
    const source = findPackage(next.name, next.from);
    if (source === undefined) {
      if (next.optional) continue;
      throw new Error(`${next.name} is not installed.`);
    }
    if (copied.has(source)) continue;
    copied.add(source);
    const target = join(home, source.slice(ROOT.length));
    // A nested package came with the one that holds it.
    if (!existsSync(target)) cpSync(source, target, { recursive: true });
    const { dependencies = {}, peerDependencies = {}, peerDependenciesMeta = {} } = readManifest(source);
    for (const name of Object.keys(dependencies)) pending.push({ name, from: source, optional: true });
    for (const name of Object.keys(peerDependencies)) {
      if (!peerDependenciesMeta[name]?.optional) pending.push({ name, from: source, optional: true });
    }
  }
  return home;
}

function findPackage(name: string, from: string): string | undefined {
  for (let at = from; at.startsWith(ROOT); at = dirname(at)) {
    const found = join(at, 'node_modules', name);
    if (existsSync(join(found, 'package.json'))) return found;
  }
  return undefined;
}

export function readManifest(directory: string): Manifest {
  return JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as Manifest;
}
