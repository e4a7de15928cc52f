import type { ApplicationOptions } from './application.js';
import type { Endpoint } from './load.js';
import { OLDER_NODE } from '../support/node.js';

export type Platform = ApplicationOptions['platform'];

/** Why something is measured: each group is a table of the report. */
export type Group = 'pools' | 'endpoints' | 'entities' | 'interceptor' | 'older';

/** One load that all applications of a block are compared under. */
export interface Comparison {
  group: Group;
  endpoint: Exclude<Endpoint, 'transaction'>;
  clients: number;
  /** Milliseconds between application and PostgreSQL. */
  latency: number;
}

/** Applications that run at the same time, with and without the library for each number of entities. */
export interface Block {
  platform: Platform;
  poolSize: number;
  entities: readonly number[];
  comparisons: readonly Comparison[];
  /** Numbers of clients under which nested transactions must not deadlock. */
  deadlocks: readonly number[];
  /** Gives the application without the library an interceptor that does nothing. */
  interceptor?: boolean;
  /** The Node.js that the applications run on. Default: that of the benchmark. */
  node?: string;
}

export interface Plan {
  tenants: number;
  /** Of each tenant. */
  tasks: number;
  /**
   * How often the applications of a block are started anew: what a process costs depends on what its compiler happened
   * to make of it, so that figures of one process say more about that process than about the library.
   */
  starts: number;
  /** Of each start. */
  rounds: number;
  turnMs: number;
  /** Until what matters is compiled, and all connections are open. */
  warmUpMs: number;
  blocks: readonly Block[];
}

const LATENCY_MS = 0.5;
const POOL_SIZES = [5, 10, 20];
const CLIENTS = [1, 10, 50, 200];
const ENTITIES = [5, 50, 200];
const USUAL = { endpoint: 'one', clients: 50 } as const;

const OTHER_ENDPOINTS: readonly Comparison[] = [
  { ...USUAL, group: 'endpoints', latency: 0 },
  { ...USUAL, group: 'endpoints', endpoint: 'page', latency: 0 },
  { ...USUAL, group: 'endpoints', endpoint: 'page', latency: LATENCY_MS },
];

function poolBlock(platform: Platform, poolSize: number): Block {
  return {
    platform,
    poolSize,
    entities: [5],
    comparisons: [
      ...CLIENTS.map((clients) => ({ ...USUAL, group: 'pools' as const, clients, latency: LATENCY_MS })),
      ...(poolSize === 10 ? OTHER_ENDPOINTS : []),
    ],
    deadlocks: poolSize === 5 ? CLIENTS : [],
  };
}

const entitiesBlock: Block = {
  platform: 'express',
  poolSize: 10,
  entities: ENTITIES,
  comparisons: [0, LATENCY_MS].map((latency) => ({ ...USUAL, group: 'entities', latency })),
  deadlocks: [],
};

/** The usual load, under other circumstances. */
function usualBlocks(group: Group, circumstances: Pick<Block, 'interceptor' | 'node'>): Block[] {
  return (['express', 'fastify'] as const).map((platform) => ({
    platform,
    poolSize: 10,
    entities: [5],
    comparisons: [0, LATENCY_MS].map((latency) => ({ ...USUAL, group, latency })),
    deadlocks: [],
    ...circumstances,
  }));
}

export const FULL_PLAN: Plan = {
  tenants: 100,
  tasks: 200,
  starts: 3,
  rounds: 3,
  turnMs: 900,
  warmUpMs: 2_000,
  blocks: [
    ...POOL_SIZES.flatMap((size) => [poolBlock('express', size), poolBlock('fastify', size)]),
    entitiesBlock,
    ...usualBlocks('interceptor', { interceptor: true }),
    ...(OLDER_NODE ? usualBlocks('older', { node: OLDER_NODE.path }) : []),
  ],
};

const quickLoad = { ...USUAL, clients: 10, latency: LATENCY_MS } as const;

/** Shows that everything runs. */
export const QUICK_PLAN: Plan = {
  tenants: 10,
  tasks: 30,
  starts: 1,
  rounds: 1,
  turnMs: 100,
  warmUpMs: 100,
  blocks: [
    {
      ...poolBlock('fastify', 10),
      comparisons: [
        { ...quickLoad, group: 'pools' },
        { ...quickLoad, group: 'endpoints', endpoint: 'page' },
      ],
      deadlocks: [20],
    },
    { ...entitiesBlock, entities: [5, 20], comparisons: [{ ...quickLoad, group: 'entities' }] },
    {
      ...poolBlock('express', 10),
      comparisons: [{ ...quickLoad, group: 'interceptor' }],
      deadlocks: [],
      interceptor: true,
    },
  ],
};
