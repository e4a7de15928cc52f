import { insertJobs, jobKey, type BackfillJob } from './backfill-job.js';

it('the key of a job names one backfill and tenant, whatever they are called', () => {
  const keys = [
    { name: 'a', tenantId: 'b:c' },
    { name: 'a:b', tenantId: 'c' },
    { name: 'a', tenantId: 'b/c' },
    { name: 'a/b', tenantId: 'c' },
  ].map(jobKey);
  expect(new Set(keys).size).toBe(4);
  expect(keys.join('')).not.toContain(':');
});

it('jobs are inserted a thousand at a time', async () => {
  const sizes: number[] = [];
  const tenantIds = Array.from({ length: 2001 }, (_, n) => String(n));
  await insertJobs('some', tenantIds, (jobs: BackfillJob[]) => Promise.resolve(sizes.push(jobs.length)));
  expect(sizes).toEqual([1000, 1000, 1]);
});
