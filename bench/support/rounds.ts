/**
 * Measures contenders in interleaved rounds: each takes its turn in each round, and the one who begins changes, so
 * that whatever disturbs the machine for longer than a turn disturbs all of them alike.
 *
 * @param turns what one turn does; it returns the figure that was measured.
 * @returns for each contender the figures of its turns, in the order of the rounds.
 */
export async function interleave<Name extends string>(
  turns: Record<Name, () => Promise<number>>,
  rounds: number,
): Promise<Record<Name, number[]>> {
  const names = Object.keys(turns) as Name[];
  const samples = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<Name, number[]>;
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < names.length; turn++) {
      const name = names[(round + turn) % names.length]!;
      samples[name].push(await turns[name]());
    }
  }
  return samples;
}

/** Microseconds since the process started, with nanoseconds behind the point. */
export function microseconds(): number {
  return performance.now() * 1000;
}
