import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Machine } from './machine.js';

/** Folders are the workspace's, from where `npm run` starts every script. */
export const BENCH = resolve('bench');

/** What one run of one part left behind. */
export interface Result<Data> {
  part: string;
  measuredAt: string;
  /** Minutes the part took. */
  minutes: number;
  machine: Machine;
  data: Data;
}

export async function writeResult(result: Result<unknown>): Promise<void> {
  await mkdir(join(BENCH, 'results'), { recursive: true });
  await writeFile(fileOf(result.part), `${JSON.stringify(result, undefined, 2)}\n`);
}

/** The result of a part's last run; undefined if it was never run. */
export async function readResult<Data>(part: string): Promise<Result<Data> | undefined> {
  const text = await readFile(fileOf(part), 'utf8').catch(() => undefined);
  return text === undefined ? undefined : (JSON.parse(text) as Result<Data>);
}

function fileOf(part: string): string {
  return join(BENCH, 'results', `${part}.json`);
}
