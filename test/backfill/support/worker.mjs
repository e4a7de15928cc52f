// A process of its own, which tests kill. It runs the built library, as a deployment does.
//   node worker.mjs run      the backfill, to its end
//   node worker.mjs pg-boss  pg-boss's jobs, until SIGTERM
//   node worker.mjs bullmq   BullMQ's jobs, until SIGTERM
import { Queue } from 'bullmq';
import PgBoss from 'pg-boss';
import { DataSource } from 'typeorm';
import {
  Backfill,
  workBullMqBackfills,
  workPgBossBackfills,
} from '../../../libs/rls-tenants/dist/backfill/index.js';
import { isolateDataSource } from '../../../libs/rls-tenants/dist/connection/index.js';

const { APP_URL, BOSS_URL, REDIS_PORT, ADMIN_ROLE, DEFINITION } = process.env;
const dataSource = await new DataSource({ type: 'postgres', url: APP_URL, poolSize: 3 }).initialize();
await isolateDataSource(dataSource, { tenantIdType: 'uuid', adminRole: ADMIN_ROLE });
const definition = JSON.parse(DEFINITION);
definition.parameters = [`worker ${process.pid}`];
const backfill = new Backfill(dataSource, [definition]);

const terminated = () => new Promise((signalled) => process.once('SIGTERM', signalled));

if (process.argv[2] === 'run') {
  await backfill.run(definition.name, { workers: 2 });
} else if (process.argv[2] === 'bullmq') {
  const queue = new Queue('rls-backfill', { connection: { host: '127.0.0.1', port: Number(REDIS_PORT) } });
  const worker = await workBullMqBackfills(queue, backfill, { takeOverSeconds: 2 });
  await terminated();
  await worker.close();
  await queue.close();
} else {
  const boss = new PgBoss({ connectionString: BOSS_URL, max: 2, supervise: false, schedule: false });
  boss.on('error', (error) => console.error(error.message));
  await boss.start();
  const worker = await workPgBossBackfills(boss, backfill, { pollingIntervalSeconds: 0.5 });
  await terminated();
  await worker.close();
  await boss.stop({ timeout: 5000 });
}
await dataSource.destroy();
process.exit(0);
