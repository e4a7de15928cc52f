import { DataSource } from 'typeorm';
import { isolateDataSource, tenantContext, type IsolationOptions } from 'nestjs-rls-tenants';
import type { Tenants } from '../support/contender.js';
import {
  recordBatch,
  replayInRounds,
  type Batch,
  type ReplayClient,
  type ReplaySamples,
} from '../support/replay.js';
import { SEAL_KEY, SEALED_SETTING } from '../support/seal.js';
import { APP_ROLE, SEALED_APP_ROLE, type BenchServer } from '../support/server.js';

/** What a sealed statement has more than a carried one, step by step: each has what the one before it has. */
export type SealStep = 'carried' | 'front' | 'form' | 'once' | 'sealed';
export const SEAL_STEPS: readonly SealStep[] = ['carried', 'front', 'form', 'once', 'sealed'];

export type SealSamples = ReplaySamples<SealStep>;

const FUNCTION = `sealing.current_tenant()`;
const UNVERIFIED = `current_setting('${SEALED_SETTING}'::text, true)`;

/** What each step of a seal costs the server, for a statement that reads one row by its key. */
export async function measureSteps(
  server: BenchServer,
  rows: Tenants,
  rounds: number,
  count: number,
): Promise<SealSamples> {
  await createForms(server);
  const carried = await connect(server.url(APP_ROLE), {});
  const sealed = await connect(server.url(SEALED_APP_ROLE), {
    tenantSetting: SEALED_SETTING,
    seal: { keys: [SEAL_KEY], lifetime: 3_600 },
  });
  const batch = (client: ReplayClient, table: string): Promise<Batch> => {
    const statement = () => client.query(`SELECT * FROM ${table} WHERE id = $1`, [rows.ids[0]![0]!]);
    return recordBatch(client, () => tenantContext(rows.tenants[0]!, statement));
  };
  try {
    const batches: Record<SealStep, Batch> = {
      carried: await batch(carried.client, 'rls.task'),
      front: await batch(sealed.client, 'forms.front'),
      form: await batch(sealed.client, 'forms.form'),
      once: await batch(sealed.client, 'forms.once'),
      sealed: await batch(sealed.client, 'sealed.task'),
    };
    return await replayInRounds(batches, rounds, count);
  } finally {
    await carried.close();
    await sealed.close();
  }
}

/** Copies of the sealed table, with policies that have only a part of the sealed one: made from that, as it is. */
async function createForms(server: BenchServer): Promise<void> {
  const [policy] = await server.sql<{ qual: string }>(
    "SELECT qual FROM pg_policies WHERE schemaname = 'sealed' AND tablename = 'task'",
  );
  const { qual } = policy!;
  if (qual.split(FUNCTION).length !== 3) throw new Error(`The sealed policy verifies otherwise: ${qual}`);
  const predicates = {
    front: `tenant_id = NULLIF(${UNVERIFIED}, '')::uuid`,
    form: qual.replaceAll(FUNCTION, UNVERIFIED),
    once: qual.replace(FUNCTION, UNVERIFIED),
  };
  const tables = Object.entries(predicates).map(
    ([name, predicate]) => `
      CREATE TABLE forms.${name} (LIKE sealed.task INCLUDING ALL);
      INSERT INTO forms.${name} SELECT * FROM sealed.task;
      ALTER TABLE forms.${name} ENABLE ROW LEVEL SECURITY;
      CREATE POLICY tenant ON forms.${name} USING (${predicate});
      GRANT SELECT ON forms.${name} TO ${SEALED_APP_ROLE};`,
  );
  await server.sql(
    `CREATE SCHEMA forms; GRANT USAGE ON SCHEMA forms TO ${SEALED_APP_ROLE}; ${tables.join('')}`,
  );
  await server.sql('VACUUM ANALYZE');
}

async function connect(
  url: string,
  options: Pick<IsolationOptions, 'tenantSetting' | 'seal'>,
): Promise<{ client: ReplayClient; close(): Promise<void> }> {
  // 'empty', or bytes without a text would be refused.
  const isolation: IsolationOptions = { tenantIdType: 'uuid', onMissingTenant: 'empty', ...options };
  const dataSource = new DataSource({ type: 'postgres', url, poolSize: 1 });
  await isolateDataSource(await dataSource.initialize(), isolation);
  const { master } = dataSource.driver as unknown as {
    master: { connect(): Promise<ReplayClient & { release(): void }> };
  };
  const client = await master.connect();
  return {
    client,
    close() {
      client.release();
      return dataSource.destroy();
    },
  };
}
