import { Presets, SingleBar } from 'cli-progress';

/** Shows how far a backfill is: on a terminal as a bar, elsewhere not at all. */
export interface ProgressBar {
  tenantDone(): void;
  rows(count: number): void;
  stop(): void;
}

const NO_BAR: ProgressBar = { tenantDone: () => {}, rows: () => {}, stop: () => {} };

/** @param tenants how many there are; undefined where nobody knows before the end. */
export function progressBar(
  name: string,
  tenants: number | undefined,
  output: NodeJS.WriteStream,
): ProgressBar {
  if (!output.isTTY || tenants === undefined) return NO_BAR;
  const format = `${name} {bar} {value}/{total} tenants, {rows} rows`;
  const bar = new SingleBar({ stream: output, format, hideCursor: true }, Presets.shades_classic);
  let rows = 0;
  bar.start(tenants, 0, { rows });
  return {
    tenantDone: () => bar.increment({ rows }),
    rows(count) {
      rows += count;
      bar.update({ rows });
    },
    stop: () => bar.stop(),
  };
}
