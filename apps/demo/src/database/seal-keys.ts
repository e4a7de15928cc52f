import { randomBytes } from 'node:crypto';
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { DEMO_DIRECTORY } from './server.js';

/**
 * Sees to it that RLS_SEAL_KEYS, the environment variable with the keys that seal tenants, is set: by whoever starts the
 * demo, or else to a key that the first start makes, at random, and keeps in a file of this user's.
 *
 * It is not derived from the server's credentials as the passwords are: those of the embedded server are public, and
 * whoever types into the console could do the same sum.
 */
export async function ensureSealKeys(directory = DEMO_DIRECTORY): Promise<void> {
  const path = join(directory, 'seal-keys');
  process.env.RLS_SEAL_KEYS ||= (await readIfThere(path)) ?? (await keep(path, newSealKey()));
}

/** A key as RLS_SEAL_KEYS has it. */
export function newSealKey(): string {
  return `demo-${randomBytes(4).toString('hex')}:${randomBytes(32).toString('base64')}`;
}

/** Whole or not at all, and the first of two processes that start at once wins. */
async function keep(path: string, text: string): Promise<string> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const draft = `${path}-${randomBytes(4).toString('hex')}`;
  await writeFile(draft, text, { mode: 0o600 });
  await link(draft, path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  await rm(draft);
  return readFile(path, 'utf8');
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
