import type { Part } from '../support/part.js';
import { measureGrowth, type GrowthData } from './measure.js';
import { reportGrowth } from './report.js';

export type { GrowthData } from './measure.js';

/** How time and memory grow when there is ten times as much to do. */
export const growth: Part<GrowthData> = {
  name: 'growth',
  title: 'Backfill, audit and lint as their work grows tenfold',
  run: measureGrowth,
  report: reportGrowth,
};
