export interface BarChart {
  title: string;
  /** What the length of a bar means, with its unit. */
  valueName: string;
  categories: readonly string[];
  /** Values in the order of the categories; undefined where there is none. Quartiles draw a whisker. */
  series: readonly {
    name: string;
    values: readonly (number | undefined)[];
    quartiles?: readonly ([number, number] | undefined)[];
  }[];
  logarithmic?: boolean;
  /** A line at a value that matters: a target, or 1 for the baseline. */
  reference?: { value: number; label: string };
}

export interface LineChart {
  title: string;
  xName: string;
  yName: string;
  series: readonly { name: string; points: readonly (readonly [number, number])[] }[];
  logarithmicX?: boolean;
  logarithmicY?: boolean;
  reference?: { value: number; label: string };
}

/** Horizontal bars, as SVG. */
export function barChart(_chart: BarChart): string {
  throw new Error('not yet');
}

/** Lines through points, as SVG. */
export function lineChart(_chart: LineChart): string {
  throw new Error('not yet');
}
