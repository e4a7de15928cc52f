import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Job, Sample } from './work.process.js';

const PROCESS = fileURLToPath(new URL('work.process.js', import.meta.url));
const PACKAGE = dirname(createRequire(import.meta.url).resolve('nestjs-rls-tenants/package.json'));

/** In MiB. V8 enlarges its young generation while there is work, to several times this: a peak would tell of that alone. */
export const YOUNG_GENERATION = 16;

/**
 * Does a job in a process of its own.
 *
 * @param watched makes every collection of garbage a full one, which shows what is in use. It takes time of its own.
 */
export async function runJob(job: Job, watched: boolean): Promise<Sample> {
  const child = fork(PROCESS, [JSON.stringify(job)], {
    execArgv: [
      '--expose-gc',
      `--max-semi-space-size=${YOUNG_GENERATION}`,
      ...(watched ? ['--gc-global'] : []),
    ],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const samples: Sample[] = [];
  child.on('message', (sample: Sample) => samples.push(sample));
  const [code] = (await once(child, 'exit')) as [number];
  if (code !== 0 || !samples[0]) throw new Error(`A process that works ended with exit code ${code}.`);
  return samples[0];
}

/** Milliseconds that `rls-tenants` takes from its start to its end. */
export async function runCommand(command: readonly string[]): Promise<number> {
  const started = performance.now();
  const child = spawn(process.execPath, [join(PACKAGE, 'dist/cli/main.js'), ...command], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const [code] = (await once(child, 'exit')) as [number];
  if (code > 1) throw new Error(`rls-tenants ${command.join(' ')} ended with exit code ${code}.`);
  return performance.now() - started;
}
