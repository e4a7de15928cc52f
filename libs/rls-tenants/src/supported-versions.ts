import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { RlsConfigurationError } from './errors.js';

interface Manifest {
  version: string;
  peerDependencies: Record<string, string>;
}

/** The lowest major version of PostgreSQL that the policies and migrations are written for. */
const LOWEST_POSTGRES = 14;

/** Where this file is; undefined in a bundle that has no such thing. */
const HERE = import.meta.dirname as string | undefined;

/**
 * Refuses an installed package that is outside of this library's peer range: npm lets it through where it is told to
 * (`--legacy-peer-deps`, `overrides`). A package that is not found as a file, in a bundle for example, is not refused.
 *
 * @throws RlsConfigurationError with the package, the version that was found, and the range.
 */
export function assertSupportedVersions(names: readonly string[], from = HERE): void {
  const own = HERE === undefined ? undefined : manifestIn(join(HERE, '..'));
  if (own?.peerDependencies === undefined || from === undefined) return;
  for (const name of names) {
    const range = own.peerDependencies[name];
    const version = installedVersion(name, from);
    if (range === undefined || version === undefined || isInRange(version, range)) continue;
    throw new RlsConfigurationError(
      `${name} ${version} is not supported: nestjs-rls-tenants ${own.version} needs ${range}.`,
      `Install a version of that range: npm install "${name}@${range}".`,
    );
  }
}

/**
 * Refuses a PostgreSQL that is too old.
 *
 * @param version as the server tells it: `13.14`; undefined is not refused.
 * @throws RlsConfigurationError with the version.
 */
export function assertSupportedPostgres(version: string | undefined): void {
  if (version === undefined || Number.parseInt(version, 10) >= LOWEST_POSTGRES) return;
  throw new RlsConfigurationError(
    `PostgreSQL ${version} is not supported: nestjs-rls-tenants needs ${LOWEST_POSTGRES} or later.`,
    'Upgrade the server.',
  );
}

/** True if the version is in a range of the form `^1.2.3 || ^2.0.0`, the only one that package.json has. */
export function isInRange(version: string, range: string): boolean {
  return range.split('||').some((part) => {
    const lowest = numbersOf(part.trim().slice(1));
    const found = numbersOf(version);
    // A caret holds the first number that is not zero.
    const held = lowest.findIndex((number) => number > 0);
    if (lowest.slice(0, held + 1).some((number, index) => found[index] !== number)) return false;
    const different = found.findIndex((number, index) => number !== lowest[index]);
    return different === -1 || found[different]! > lowest[different]!;
  });
}

function numbersOf(version: string): number[] {
  return version.split(/[-+]/, 1)[0]!.split('.').map(Number);
}

/** By files, not by `require.resolve`: not every package exports its package.json. */
function installedVersion(name: string, from: string): string | undefined {
  for (let at = from; ; at = dirname(at)) {
    const manifest = manifestIn(join(at, 'node_modules', name));
    if (manifest !== undefined) return manifest.version;
    if (at === dirname(at)) return undefined;
  }
}

function manifestIn(directory: string): Manifest | undefined {
  const file = join(directory, 'package.json');
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Manifest) : undefined;
}
