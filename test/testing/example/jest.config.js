const swc = {
  jsc: {
    parser: { syntax: 'typescript', decorators: true },
    transform: { legacyDecorator: true, decoratorMetadata: true },
    target: 'es2022',
    keepClassNames: true,
  },
  module: { type: 'commonjs' },
};

/** @type {import('jest').Config} */
export default {
  testEnvironment: 'node',
  testRegex: '\\.test\\.ts$',
  globalSetup: 'nestjs-rls-tenants/testing/global-setup',
  globalTeardown: 'nestjs-rls-tenants/testing/global-teardown',
  transform: { '^.+\\.[jt]s$': ['@swc/jest', { ...swc, swcrc: false }] },
  // NestJS 12 and this library are ES modules, which Jest does not load as they are.
  transformIgnorePatterns: ['/node_modules/(?!@nestjs/|nestjs-rls-tenants/)'],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': ['$1.ts', '$1.js'] },
};
