/** What a batch may take for its rows, in milliseconds. Half of the 100 ms that nobody should wait for a lock. */
const TARGET_MS = 50;

/** Rows of the first batch: enough to measure, and few enough where rows turn out to be slow. */
const FIRST_ROWS = 50;

/** How long a transaction took, in milliseconds, told apart by whether its size matters. */
export interface BatchTime {
  /** A statement that does next to nothing: what every statement costs, however many rows it changes. */
  roundTripMs: number;
  /** The work on the rows, round trip included. */
  rowsMs: number;
}

/**
 * How many rows the next batch takes. It looks for the size that keeps rows locked for 50 ms: from 50 rows it doubles
 * after every full batch that took less than half of that, up to the ceiling, and shrinks in proportion after one that
 * took longer, down to a single row.
 *
 * What a smaller batch would not shorten is left out, or a slow network would shrink batches for nothing: the round trip,
 * and the commit.
 */
export class BatchSize {
  private size: number;
  /** The shortest seen: whatever was longer was something else as well. */
  private roundTripMs = Infinity;

  /** @param ceiling the definition's `batchSize`. */
  constructor(private readonly ceiling: number) {
    this.size = Math.min(FIRST_ROWS, ceiling);
  }

  get rows(): number {
    return this.size;
  }

  /** Learns from a batch of `rows` rows that could have had `limit`. */
  learn(limit: number, rows: number, time: BatchTime): void {
    this.roundTripMs = Math.min(this.roundTripMs, time.roundTripMs);
    const milliseconds = time.rowsMs - this.roundTripMs;
    if (milliseconds > TARGET_MS) {
      this.size = Math.max(1, Math.min(limit, Math.floor((rows * TARGET_MS) / milliseconds)));
    } else if (rows === limit && milliseconds < TARGET_MS / 2) {
      this.size = Math.min(this.ceiling, limit * 2);
    }
  }
}
