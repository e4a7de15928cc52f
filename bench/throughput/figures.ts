import { ratio, type Spread } from '../support/statistics.js';
import type { Measured } from './measure.js';
import type { Group } from './plan.js';
import type { ThroughputData } from './run.js';

export function groupOf({ measured }: ThroughputData, group: Group): Measured[] {
  return measured.filter((one) => one.group === group);
}

/** With the library, against without, round by round. */
export function ratioOf({ rls, plain }: Measured, what: 'requestsPerSecond' | 'processorTime'): Spread {
  return ratio(rls[what], plain[what]);
}

export function withQuartiles({ median, q1, q3 }: Spread): string {
  return `${median.toFixed(2)} [${q1.toFixed(2)}–${q3.toFixed(2)}]`;
}
