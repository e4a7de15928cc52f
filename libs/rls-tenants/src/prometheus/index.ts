export { registerStatementCounters } from './statement-counters.js';
