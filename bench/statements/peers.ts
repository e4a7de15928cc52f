import { execFile } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { BENCH } from '../support/results.js';
import type { StatementContender } from './contenders.js';

const contenderOf = (peer: string) => join(BENCH, 'peers', peer, 'contender.mjs');

/** MikroORM asks for Node.js 22.17, and the benchmarks run on older ones: it brings its own, as a package. */
const NODE_OF_MIKRO_ORM = join(
  BENCH,
  'peers/mikro-orm/node_modules',
  `node-${process.platform}-${process.arch}`,
  'bin/node',
);

const avallone = { file: contenderOf('avallone-rls'), baseline: 'avallone-plain', pooled: true };
const mikroOrm = {
  file: contenderOf('mikro-orm'),
  node: NODE_OF_MIKRO_ORM,
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
  for (const folder of new Set(PEERS.map(({ file }) => dirname(file)))) {
    if (await isInstalled(folder)) continue;
    log(`installing ${basename(folder)}`);
    try {
      await promisify(execFile)('npm', ['install', '--no-audit', '--no-fund'], { cwd: folder });
    } catch (error) {
      const { stderr, message } = error as Error & { stderr?: string };
      throw new Error(`npm install failed in ${folder}:\n${stderr || message}`, { cause: error });
    }
  }
  if ((await modifiedAt(NODE_OF_MIKRO_ORM)) === undefined) {
    throw new Error(
      `There is no Node.js for MikroORM on ${process.platform}-${process.arch}: ${NODE_OF_MIKRO_ORM} is missing.`,
    );
  }
}

async function isInstalled(folder: string): Promise<boolean> {
  const wanted = await modifiedAt(join(folder, 'package.json'));
  // npm writes this file last
  const installed = await modifiedAt(join(folder, 'node_modules/.package-lock.json'));
  return installed !== undefined && wanted !== undefined && installed >= wanted;
}

async function modifiedAt(file: string): Promise<number | undefined> {
  return (await stat(file).catch(() => undefined))?.mtimeMs;
}
