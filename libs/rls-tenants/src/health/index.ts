export { RlsHealthIndicator, type IsolatedOptions, type IsolationHealth } from './rls.health.js';
