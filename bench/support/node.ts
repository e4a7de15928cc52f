import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { installPackages } from './install.js';
import { BENCH } from './results.js';

/** Since this version AsyncLocalStorage costs nothing where nobody asks for it; before, Node.js tracks every promise. */
const MEASURED = 24;
const FOLDER = join(BENCH, 'node');
const STARTED_WITH = 'BENCH_STARTED_WITH';

/** The older Node.js that the command was started with, which some figures are measured on as well. */
export const OLDER_NODE = process.env[STARTED_WITH]
  ? (JSON.parse(process.env[STARTED_WITH]) as { path: string; version: string })
  : undefined;

/**
 * Runs the command again on the Node.js that is measured, if this one is older.
 *
 * @returns the exit code of that run; undefined if this Node.js is the one.
 * @throws Error if there is none for this platform.
 */
export async function runOnMeasuredNode(log: (message: string) => void): Promise<number | undefined> {
  if (Number.parseInt(process.versions.node, 10) >= MEASURED) return undefined;
  await installPackages(FOLDER, log);
  const node = join(FOLDER, 'node_modules', `node-${process.platform}-${process.arch}`, 'bin/node');
  if (!existsSync(node)) {
    throw new Error(
      `The benchmarks run on Node.js ${MEASURED}, and there is no package of it for ${process.platform}-${process.arch}: start them with it.`,
    );
  }
  const child = spawn(node, [...process.execArgv, ...process.argv.slice(1)], {
    stdio: 'inherit',
    env: {
      ...process.env,
      [STARTED_WITH]: JSON.stringify({ path: process.execPath, version: process.version }),
    },
  });
  const [code] = (await once(child, 'exit')) as [number | null];
  return code ?? 1;
}
