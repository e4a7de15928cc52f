/** Median and quartiles: what a few disturbed rounds on a shared machine do not move. */
export interface Spread {
  median: number;
  q1: number;
  q3: number;
}

export function spread(samples: readonly number[]): Spread {
  if (samples.length === 0) throw new Error('There is nothing to take a median of.');
  const sorted = samples.toSorted((a, b) => a - b);
  return { median: quantile(sorted, 0.5), q1: quantile(sorted, 0.25), q3: quantile(sorted, 0.75) };
}

/** The ratio of two contenders, taken round by round: what disturbed a round disturbed both of them. */
export function ratio(samples: readonly number[], baseline: readonly number[]): Spread {
  if (samples.length !== baseline.length) throw new Error('Ratios need as many rounds of both.');
  return spread(samples.map((sample, round) => sample / baseline[round]!));
}

/** Differences round by round, for the reason that ratios are. */
export function difference(samples: readonly number[], baseline: readonly number[]): Spread {
  return spread(samples.map((sample, round) => sample - baseline[round]!));
}

function quantile(sorted: readonly number[], q: number): number {
  const position = (sorted.length - 1) * q;
  const below = sorted[Math.floor(position)]!;
  return below + (sorted[Math.ceil(position)]! - below) * (position % 1);
}
