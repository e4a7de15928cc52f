import type { Spread } from '../support/statistics.js';

/** A Markdown table; numbers are right-aligned by `align`, one letter for each column: `l` or `r`. */
export function table(
  header: readonly string[],
  align: string,
  rows: readonly (readonly string[])[],
): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const rule = align.split('').map((side) => (side === 'r' ? '---:' : '---'));
  return [line(header), line(rule), ...rows.map(line)].join('\n');
}

/** Three significant digits: `0.00512`, `1.04`, `12.3`, `1,240`. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return 'n/a';
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value) || 1)));
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** `5.12 [4.90 to 5.33]`: a median and its quartiles. */
export function withQuartiles({ median, q1, q3 }: Spread): string {
  return `${figure(median)} [${figure(q1)} to ${figure(q3)}]`;
}
