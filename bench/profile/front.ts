import { DataSource } from 'typeorm';
import { isolateDataSource, tenantContext } from 'nestjs-rls-tenants';
import type { Tenants } from '../support/contender.js';
import { recordBatch, replayInRounds, type ReplayClient, type ReplaySamples } from '../support/replay.js';
import { APP_ROLE, type BenchServer } from '../support/server.js';

/** A statement alone; with the front before it; with the front, on the table that has the policy. */
export type FrontBatch = 'alone' | 'front' | 'policy';
export const FRONT_BATCHES: readonly FrontBatch[] = ['alone', 'front', 'policy'];

export type FrontSamples = ReplaySamples<FrontBatch>;

/** What the front costs the server. */
export async function measureFront(
  server: BenchServer,
  rows: Tenants,
  rounds: number,
  count: number,
): Promise<FrontSamples> {
  // 'empty', or bytes without a text would be refused.
  const dataSource = new DataSource({ type: 'postgres', url: server.url(APP_ROLE), poolSize: 1 });
  await isolateDataSource(await dataSource.initialize(), { tenantIdType: 'uuid', onMissingTenant: 'empty' });
  const { master } = dataSource.driver as unknown as { master: Pool };
  const client = await master.connect();
  const [tenantId, id] = [rows.tenants[0]!, rows.ids[0]![0]!];
  const plain = () =>
    client.query('SELECT * FROM plain.task WHERE id = $1 AND tenant_id = $2', [id, tenantId]);
  const scoped = () => client.query('SELECT * FROM rls.task WHERE id = $1', [id]);
  try {
    const batches = {
      alone: await recordBatch(client, plain),
      front: await recordBatch(client, () => tenantContext(tenantId, plain)),
      policy: await recordBatch(client, () => tenantContext(tenantId, scoped)),
    };
    return await replayInRounds(batches, rounds, count);
  } finally {
    client.release();
    await dataSource.destroy();
  }
}

interface Pool {
  connect(): Promise<ReplayClient & { release(): void }>;
}
