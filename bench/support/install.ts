import { execFile } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';

/**
 * Installs what the package.json of a folder asks for, into that folder, unless it is there.
 *
 * @throws what npm says if that fails.
 */
export async function installPackages(folder: string, log: (message: string) => void): Promise<void> {
  if (await isInstalled(folder)) return;
  log(`installing ${basename(folder)}`);
  try {
    await promisify(execFile)('npm', ['install', '--no-audit', '--no-fund'], { cwd: folder });
  } catch (error) {
    const { stderr, message } = error as Error & { stderr?: string };
    throw new Error(`npm install failed in ${folder}:\n${stderr || message}`, { cause: error });
  }
}

async function isInstalled(folder: string): Promise<boolean> {
  const wanted = await modifiedAt(join(folder, 'package.json'));
  // npm writes this file last
  const installed = await modifiedAt(join(folder, 'node_modules/.package-lock.json'));
  return installed !== undefined && wanted !== undefined && installed >= wanted;
}

async function modifiedAt(file: string): Promise<number | undefined> {
  return (await stat(file).catch(() => undefined))?.mtimeMs;
}
