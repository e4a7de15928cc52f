import { dirname, join } from 'node:path';
import { installPackages } from '../support/install.js';
import { BENCH } from '../support/results.js';
import type { StatementContender } from './contenders.js';

const contenderOf = (peer: string) => join(BENCH, 'peers', peer, 'contender.mjs');

const avallone = { file: contenderOf('avallone-rls'), baseline: 'avallone-plain', pooled: true };
const mikroOrm = {
  file: contenderOf('mikro-orm'),
  baseline: 'mikro-orm-plain',
  pooled: true,
};

/** Other ways of keeping tenants apart, and their ORMs without any. */
export const PEERS: readonly StatementContender[] = [
  { ...avallone, name: 'avallone-plain', variant: 'plain', label: 'TypeORM 0.3, explicit WHERE, no RLS' },
  {
    ...avallone,
    name: 'avallone-per-request',
    variant: 'per-request',
    label: '@avallone-io/rls, connection per request',
  },
  {
    ...avallone,
    name: 'avallone-per-tenant',
    variant: 'per-tenant',
    label: '@avallone-io/rls, connection per tenant',
  },
  {
    name: 'typeorm-transactional',
    label: 'typeorm-transactional, set_config first',
    file: contenderOf('typeorm-transactional'),
    baseline: 'plain',
    pooled: true,
  },
  {
    name: 'nestjs-cls-transactional',
    label: '@nestjs-cls/transactional, set_config first',
    file: contenderOf('nestjs-cls-transactional'),
    baseline: 'plain',
    pooled: true,
  },
  { ...mikroOrm, name: 'mikro-orm-plain', variant: 'plain', label: 'MikroORM, explicit WHERE, no RLS' },
  { ...mikroOrm, name: 'mikro-orm-rls', variant: 'rls', label: 'MikroORM, its own RLS' },
];

/**
 * Installs what each peer needs into its own directory, unless it is there.
 *
 * @throws what npm says if that fails.
 */
export async function installPeers(log: (message: string) => void): Promise<void> {
  for (const folder of new Set(PEERS.map(({ file }) => dirname(file)))) await installPackages(folder, log);
}
