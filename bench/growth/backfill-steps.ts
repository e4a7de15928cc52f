import { Backfill, isolateDataSource, type BackfillDefinition } from 'nestjs-rls-tenants';
import { DataSource } from 'typeorm';
import type { Steps } from './work.process.js';

export const BACKFILLED_TABLE = 'article';
/** A table of one tenant: what is loaded with the first rows is not measured with the others. */
export const WARM_UP_TABLE = 'draft';

export async function backfillSteps(url: string, adminRole: string): Promise<Steps> {
  const dataSource = await isolateDataSource(
    await new DataSource({ type: 'postgres', url, poolSize: 2 }).initialize(),
    { tenantIdType: 'uuid', adminRole },
  );
  const backfill = new Backfill(dataSource, [WARM_UP_TABLE, BACKFILLED_TABLE].map(definitionOf), {
    logger: { log() {}, warn: console.error },
  });
  return {
    warmUp: () => backfill.run(WARM_UP_TABLE),
    work: () => backfill.run(BACKFILLED_TABLE),
    close: () => dataSource.destroy(),
  };
}

function definitionOf(table: string): BackfillDefinition {
  return { name: table, table, set: { slug: `lower(replace(title, ' ', '-'))`, hits: 'hits + 1' } };
}
