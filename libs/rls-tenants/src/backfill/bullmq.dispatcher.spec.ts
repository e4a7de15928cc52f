import type { Backfill } from './backfill.js';
import { workBullMqBackfills } from './bullmq.dispatcher.js';

jest.mock('bullmq', () => {
  throw new Error("Cannot find module 'bullmq'");
});

it('a worker says that BullMQ is not installed', async () => {
  const queue = { name: 'rls-backfill', opts: { connection: {} }, addBulk: () => Promise.resolve() };
  await expect(workBullMqBackfills(queue, {} as Backfill)).rejects.toThrow('"bullmq" is not installed');
});
