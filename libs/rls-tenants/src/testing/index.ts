export { asAdmin, asTenant } from './contexts.js';
export * from './embedded-postgres.js';
export { expectBlockedWithoutContext } from './expect-blocked-without-context.js';
export { expectIsolated, tenantScopedEntities, type ExpectIsolatedOptions } from './expect-isolated.js';
export { IsolationAssertionError } from './isolation-assertion.error.js';
export { createTestDatabase, type TestDatabase, type TestDatabaseOptions } from './test-database.js';
export { startTestServer, stopTestServer } from './test-server.js';
