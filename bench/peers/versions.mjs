import { readFileSync } from 'node:fs';

/**
 * Versions of what a peer has installed: its package.json names exact ones.
 *
 * @param {string} peer URL of a module beside its package.json
 * @param {readonly string[]} names packages worth telling
 */
export function versionsOf(peer, names) {
  const { dependencies } = JSON.parse(readFileSync(new URL('package.json', peer), 'utf8'));
  return Object.fromEntries(names.map((name) => [name, dependencies[name]]));
}
