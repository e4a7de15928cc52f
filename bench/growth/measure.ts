import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BenchContext } from '../support/part.js';
import { interleave } from '../support/rounds.js';
import { startServer } from '../support/server.js';
import { auditWork, POLICIES_PER_TABLE } from './audited-database.js';
import { backfillWork } from './backfilled-database.js';
import { lintWork, NO_SQUAWK } from './linted-migrations.js';
import { runCommand, runJob } from './processes.js';
import type { Task, Work, WorkName } from './work.js';
import type { Sample } from './work.process.js';

/** One size of one work; a sample for each round. */
export interface SizeData {
  size: number;
  samples: Pick<Sample, 'loadMs' | 'workMs' | 'loadedRss' | 'peakRss'>[];
  /** The whole command; none for what is no command. */
  commandMs: number[];
  /** Of processes that only show what memory is in use. */
  heaps: Pick<Sample, 'loadedHeap' | 'peakHeap'>[];
}

export interface WorkData {
  name: WorkName;
  unit: string;
  sizes: SizeData[];
}

/** Whole commands on the same files. */
export interface SquawkData {
  files: number;
  withMs: number;
  withoutMs: number;
}

export interface GrowthData {
  server: string;
  rounds: number;
  policiesPerTable: number;
  rowsPerTenant: number;
  works: WorkData[];
  squawk: SquawkData;
}

const FULL = {
  rounds: 3,
  tables: [30, 300, 3000],
  files: [20, 200, 2000],
  rows: [10_000, 100_000, 1_000_000],
  rowsPerTenant: 1000,
  squawkFiles: 200,
};
const QUICK: typeof FULL = {
  rounds: 1,
  tables: [1, 10],
  files: [2, 20],
  rows: [100, 1000],
  rowsPerTenant: 10,
  squawkFiles: 2,
};

export async function measureGrowth({ quick, log }: BenchContext): Promise<GrowthData> {
  const { rounds, tables, files, rows, rowsPerTenant, squawkFiles } = quick ? QUICK : FULL;
  const folder = await mkdtemp(join(tmpdir(), 'rls-bench-growth-'));
  const server = await startServer();
  try {
    const lint = lintWork(folder, files);
    const works = [auditWork(server, folder, tables), lint, backfillWork(server, rows, rowsPerTenant)];
    const measured: WorkData[] = [];
    for (const work of works) {
      log(
        `${work.name} of ${work.sizes.map((size) => size.toLocaleString('en-US')).join(', ')} ${work.unit}`,
      );
      measured.push(await measure(work, rounds, quick));
    }
    log(`lint of ${squawkFiles} files with squawk`);
    const squawk = await measureSquawk(await lint.prepare(squawkFiles), squawkFiles);
    const policiesPerTable = POLICIES_PER_TABLE;
    return { server: server.version, rounds, policiesPerTable, rowsPerTenant, works: measured, squawk };
  } finally {
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

async function measure(work: Work, rounds: number, quick: boolean): Promise<WorkData> {
  const sizes = work.sizes.map((size): SizeData => ({ size, samples: [], commandMs: [], heaps: [] }));
  const turns = (turn: (task: Task, data: SizeData) => Promise<number>) =>
    Object.fromEntries(
      sizes.map((data) => [
        data.size,
        async () => {
          const task = await work.prepare(data.size);
          const figure = await turn(task, data);
          await task.check();
          return figure;
        },
      ]),
    );
  await interleave(turns(quick ? glance : time), rounds);
  // What is in use hardly differs from run to run.
  if (!quick) await interleave(turns(watch), 1);
  return { name: work.name, unit: work.unit, sizes };
}

async function time({ job, command }: Task, data: SizeData): Promise<number> {
  const { loadMs, workMs, loadedRss, peakRss } = await runJob(job, false);
  data.samples.push({ loadMs, workMs, loadedRss, peakRss });
  if (command) data.commandMs.push(await runCommand(command));
  return workMs;
}

async function watch({ job }: Task, data: SizeData): Promise<number> {
  const { loadedHeap, peakHeap } = await runJob(job, true);
  data.heaps.push({ loadedHeap, peakHeap });
  return peakHeap;
}

/** One process for everything: its time is not that of an undisturbed run. */
async function glance({ job }: Task, data: SizeData): Promise<number> {
  const { loadMs, workMs, loadedRss, peakRss, loadedHeap, peakHeap } = await runJob(job, true);
  data.samples.push({ loadMs, workMs, loadedRss, peakRss });
  data.heaps.push({ loadedHeap, peakHeap });
  return workMs;
}

async function measureSquawk({ command = [] }: Task, files: number): Promise<SquawkData> {
  const withoutMs = await runCommand(command);
  const withMs = await runCommand(command.filter((argument) => argument !== NO_SQUAWK));
  return { files, withMs, withoutMs };
}
