import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { promisify } from 'node:util';

interface Soak {
  rowsDone: number;
  batches: number;
  changedOnce: number;
  longestBatchMs: number;
  longestWriteMs: number;
  rssMegabytes: { early: number; peak: number };
}

// The script's defaults are a million rows of a thousand tenants. Times depend on the machine: the bounds are wide here.
it('fifty thousand rows change once each, in short transactions and flat memory, while others write', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--no-warnings',
    resolve(__dirname, 'soak.mjs'),
    '50000',
    '100',
  ]);
  const soak = JSON.parse(stdout) as Soak;
  // A hundred tenants with a full batch each, and the look that finds no more.
  expect(soak).toMatchObject({ rowsDone: 50_000, changedOnce: 50_000, batches: 200 });
  expect(soak.longestBatchMs).toBeLessThan(5000);
  expect(soak.longestWriteMs).toBeLessThan(5000);
  expect(soak.rssMegabytes.peak - soak.rssMegabytes.early).toBeLessThan(100);
});
