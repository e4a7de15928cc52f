import type { Part } from '../support/part.js';
import { report } from './report.js';
import { run, type ThroughputData } from './run.js';

/** Requests per second of a NestJS application, with the library and without. */
export const throughput: Part<ThroughputData> = {
  name: 'throughput',
  title: 'Throughput of an HTTP endpoint',
  run,
  report,
};
