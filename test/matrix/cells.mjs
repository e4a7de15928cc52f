// What the matrix runs: package sets, suites, and the cells that combine them with Node.js and PostgreSQL.

/** NestJS 11 and what an application has beside it. */
const NEST_11 = {
  '@nestjs/common': '^11.0.0',
  '@nestjs/core': '^11.0.0',
  '@nestjs/platform-express': '^11.0.0',
  '@nestjs/platform-fastify': '^11.0.0',
  '@nestjs/testing': '^11.0.0',
  '@nestjs/typeorm': '^11.0.0',
};

/** The packages that a set installs in the place of the workspace's; what it does not name stays the workspace's. */
export const PACKAGE_SETS = {
  workspace: {},
  'nest-11': {
    ...NEST_11,
    '@nestjs/apollo': '^13.0.0',
    '@nestjs/bull-shared': '^11.0.0',
    '@nestjs/bullmq': '^11.0.0',
    '@nestjs/cqrs': '^11.0.0',
    '@nestjs/event-emitter': '^3.0.0',
    '@nestjs/graphql': '^13.0.0',
    '@nestjs/mercurius': '^13.0.0',
    '@nestjs/microservices': '^11.0.0',
    '@nestjs/platform-socket.io': '^11.0.0',
    '@nestjs/platform-ws': '^11.0.0',
    '@nestjs/schedule': '^6.0.0',
    '@nestjs/terminus': '^11.0.0',
    '@nestjs/websockets': '^11.0.0',
  },
  'typeorm-0.3': { typeorm: '^0.3.31' },
  /** The lowest version of each peer range. */
  lowest: {
    '@nestjs/common': '11.0.0',
    '@nestjs/core': '11.0.0',
    '@nestjs/platform-express': '11.0.0',
    // Its 11.0.0 asks for NestJS 10.
    '@nestjs/platform-fastify': '11.0.3',
    '@nestjs/testing': '11.0.0',
    '@nestjs/typeorm': '11.0.0',
    '@nestjs/terminus': '11.0.0',
    'nestjs-cls': '6.3.0',
    pg: '8.12.0',
    'reflect-metadata': '0.2.0',
    rxjs: '7.8.0',
    typeorm: '0.3.20',
  },
  /** What needs a newer Node.js than the lowest. */
  newest: { 'nestjs-cls': '^7.0.0' },
  'bullmq-5': { bullmq: '^5.0.0' },
};

/** Named lists of suites: a folder or file each. */
export const SUITES = {
  smoke: ['test/connection/carrying', 'test/module.spec.ts', 'test/http/tenant-context'],
  application: ['test/module.spec.ts', 'test/http', 'test/connection', 'test/auto-scope', 'test/health'],
  entities: ['test/entities', 'test/policies'],
  transactions: ['test/transactions'],
  database: [
    'test/roles/setup-roles.spec.ts',
    'test/migrations',
    'test/runner/migration-runner',
    'test/operations/protection',
    'test/operations/concurrent-index',
  ],
  generate: ['test/generate/generate.spec.ts', 'test/generate/generate-changes'],
  transports: ['test/transports'],
  microservices: ['test/microservices'],
  bullmq: ['test/bullmq'],
  'pg-boss': ['test/pg-boss'],
};

/** Tests that a set leaves out, by patterns of names: what they hold the library against is different there in the package itself. */
export const DIFFERENT = {
  // It has begun the response by then: the refusal is an error event, as a slow refusal always is.
  'nest-11.0': ['/sse(?:-generator)? without a tenant is refused by its status'],
  // Its query builder does not escape such an alias, without the library either; it makes an enum anew where 1.x adds
  // a value, which generate-migration refuses.
  'typeorm-0.3': ['an alias with a quote', 'made and taken back of an enum'],
  // Asking it what was executed makes the table of migrations.
  'typeorm-0.3.20': ['status makes nothing'],
  // Before 8.22 a connection hangs after a value that cannot be sent, and a cursor that times out throws in pg itself.
  'pg-8.12': ['a value that cannot be sent', 'a cursor leaves the connection in step'],
};

/**
 * The cells. Not the full product: each version of each axis at least once, and the extremes together. `quick` marks
 * those of `--quick`. A cell with `consumer` installs the packed library in an empty directory, as an application of
 * that module system, with the packages of `install`.
 */
export const CELLS = [
  {
    name: 'lowest',
    node: 20,
    postgres: 14,
    packages: 'lowest',
    suites: ['application', 'database'],
    different: ['nest-11.0', 'typeorm-0.3', 'typeorm-0.3.20', 'pg-8.12'],
  },
  // Foreign keys of entities with ON DELETE SET NULL need PostgreSQL 15.
  { name: 'lowest-entities', node: 20, postgres: 15, packages: 'lowest', suites: ['entities'] },
  {
    name: 'highest',
    node: 24,
    postgres: 18,
    packages: 'newest',
    suites: ['application', 'entities', 'database', 'bullmq', 'microservices'],
  },
  {
    name: 'nest-11',
    node: 22,
    postgres: 16,
    packages: 'nest-11',
    suites: ['application', 'transports', 'bullmq'],
  },
  {
    name: 'typeorm-0.3',
    node: 20,
    postgres: 17,
    packages: 'typeorm-0.3',
    suites: ['application', 'entities', 'transactions', 'database', 'generate'],
    different: ['typeorm-0.3'],
  },
  {
    name: 'node-22',
    node: 22,
    postgres: 15,
    packages: 'workspace',
    suites: ['application', 'entities', 'transactions', 'pg-boss', 'microservices'],
  },
  { name: 'bullmq-5', node: 20, postgres: 18, packages: 'bullmq-5', suites: ['bullmq'] },
  { name: 'quick-lowest', quick: true, node: 20, postgres: 14, packages: 'lowest', suites: ['smoke'] },
  { name: 'quick-highest', quick: true, node: 24, postgres: 18, packages: 'newest', suites: ['smoke'] },
  {
    name: 'consumer-esm-newest',
    quick: true,
    consumer: 'module',
    node: 24,
    postgres: 18,
    install: consumerOf('^12.0.0', '^1.0.0', '^7.0.0'),
  },
  {
    name: 'consumer-cjs-newest',
    consumer: 'commonjs',
    node: 20,
    postgres: 18,
    install: consumerOf('^12.0.0', '^1.0.0', '^6.3.0'),
  },
  {
    name: 'consumer-esm-nest-11',
    consumer: 'module',
    node: 22,
    postgres: 16,
    install: consumerOf('^11.0.0', '^0.3.20', '^6.3.0'),
  },
  {
    name: 'consumer-cjs-nest-11',
    quick: true,
    consumer: 'commonjs',
    node: 20,
    postgres: 15,
    install: consumerOf('^11.0.0', '^0.3.20', '^6.3.0'),
  },
];

/** What such an application has in its package.json beside the library; no optional peer of the library. */
function consumerOf(nest, typeorm, cls) {
  return {
    '@nestjs/common': nest,
    '@nestjs/core': nest,
    '@nestjs/platform-express': nest,
    '@nestjs/typeorm': nest,
    'nestjs-cls': cls,
    pg: '^8.12.0',
    'reflect-metadata': '^0.2.0',
    rxjs: '^7.8.0',
    typeorm,
    '@types/node': '^20.19.0',
    '@types/pg': '^8.15.0',
    typescript: '~6.0.3',
  };
}
