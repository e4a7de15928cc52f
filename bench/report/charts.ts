import * as echarts from 'echarts';
import type { CustomSeriesOption, EChartsOption, LegendComponentOption } from 'echarts';
import { figure } from './tables.js';

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

type RenderItem = NonNullable<CustomSeriesOption['renderItem']>;
type Drawing = ReturnType<RenderItem>;
interface Rectangle {
  x: number;
  y: number;
  width: number;
  height: number;
}

// Paul Tol's bright scheme: distinct for readers with any colour blindness. Lines also differ by symbol.
const PALETTE = ['#4477aa', '#ee7733', '#228833', '#aa3377', '#66ccee', '#ccbb44', '#888888', '#882255'];
const SYMBOLS = [
  'circle',
  'rect',
  'triangle',
  'diamond',
  'emptyCircle',
  'emptyRect',
  'emptyTriangle',
  'emptyDiamond',
];
const INK = '#24292f';
const FAINT_INK = '#57606a';
const RULE = '#d8dee4';
const REFERENCE = '#b3261e';

const FONT_SIZE = 13;
const TEXT = { fontSize: FONT_SIZE - 1, fontFamily: 'sans-serif' };
const WIDTH = 860;
const MARGIN = 20;
const TITLE_HEIGHT = 44;
const LEGEND_LINE = 24;
const REFERENCE_HEIGHT = 22;
const AXIS_HEIGHT = 56;
const BAR = 15;
const BAR_GAP = 3;
const CATEGORY_GAP = 16;
const LINE_PLOT = 320;
const LOGARITHMIC_FLOOR = 1.5;

/** Horizontal bars, as SVG. */
export function barChart(chart: BarChart): string {
  const band = chart.series.length * (BAR + BAR_GAP) + CATEGORY_GAP;
  const values = chart.series.flatMap((series) => [...series.values, ...(series.quartiles ?? []).flat()]);
  const widest = Math.max(...values.map((value) => (value === undefined ? 0 : widthOf(figure(value)))));
  const legend = legendOf(chart.series.map(({ name }) => name));
  const top = TITLE_HEIGHT + legend.height + (chart.reference ? REFERENCE_HEIGHT : 0);
  const height = top + chart.categories.length * band + AXIS_HEIGHT;
  return draw(chart.title, height, {
    ...legend.option,
    grid: {
      top,
      left: MARGIN + Math.max(...chart.categories.map(widthOf)) + 10,
      right: MARGIN + widest + 10,
      bottom: AXIS_HEIGHT,
      outerBoundsMode: 'none',
    },
    xAxis: {
      ...valueAxis(chart.valueName, 'horizontal'),
      ...(chart.logarithmic && { type: 'log', min: logarithmicFloor(values) }),
    },
    yAxis: {
      type: 'category',
      data: [...chart.categories],
      inverse: true,
      axisTick: { show: false },
      axisLine: { lineStyle: { color: FAINT_INK } },
      axisLabel: { color: INK, fontSize: FONT_SIZE, interval: 0, margin: 10 },
    },
    series: [
      ...chart.series.map((series, index) => barsOf(series, index, chart.series.length)),
      ...referenceOf(chart.reference, 'vertical'),
    ],
  });
}

/** Lines through points, as SVG. */
export function lineChart(chart: LineChart): string {
  const legend = legendOf(chart.series.map(({ name }) => name));
  const lastValues = chart.series.flatMap(({ points }) => points.slice(-1).map(([, y]) => figure(y)));
  const top = TITLE_HEIGHT + legend.height + REFERENCE_HEIGHT;
  const values = chart.series.flatMap(({ points }) => points.map(([, y]) => y));
  return draw(chart.title, top + LINE_PLOT + AXIS_HEIGHT, {
    ...legend.option,
    grid: {
      top,
      left: MARGIN + 70,
      right: MARGIN + Math.max(...lastValues.map(widthOf)) + 12,
      bottom: AXIS_HEIGHT,
      outerBoundsMode: 'none',
    },
    xAxis: {
      ...valueAxis(chart.xName, 'horizontal'),
      type: chart.logarithmicX ? 'log' : 'value',
      min: 'dataMin',
      max: 'dataMax',
    },
    yAxis: {
      ...valueAxis(chart.yName, 'vertical'),
      ...(chart.logarithmicY ? { type: 'log', min: logarithmicFloor(values, 1) } : { min: 0 }),
    },
    series: [
      ...chart.series.map(({ name, points }, index) => ({
        type: 'line' as const,
        name,
        data: points.map(([x, y]) => [x, y]),
        color: PALETTE[index % PALETTE.length]!,
        lineStyle: { width: 2 },
        symbol: SYMBOLS[index % SYMBOLS.length]!,
        symbolSize: 8,
        silent: true,
        emphasis: { disabled: true },
        endLabel: {
          show: true,
          formatter: () => figure(points.at(-1)?.[1] ?? Number.NaN),
          color: INK,
          fontSize: FONT_SIZE - 1,
        },
        labelLayout: { moveOverlap: 'shiftY' as const },
      })),
      ...referenceOf(chart.reference, 'horizontal'),
    ],
  });
}

function draw(title: string, height: number, option: EChartsOption): string {
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height });
  try {
    chart.setOption({
      animation: false,
      backgroundColor: '#ffffff',
      color: PALETTE,
      textStyle: { fontFamily: 'sans-serif', color: INK },
      title: {
        text: title,
        left: MARGIN - 5,
        top: 12,
        textStyle: { fontSize: 16, fontWeight: 'bold', color: INK },
      },
      ...option,
    });
    return `${normalise(chart.renderToSVGString(), title)}\n`;
  } finally {
    chart.dispose();
  }
}

/**
 * Without what serves only a browser that hydrates the picture, and without running numbers: they differ with what was
 * drawn before in the same process.
 */
function normalise(svg: string, title: string): string {
  const names = new Map<string, string>();
  const text = escape(title);
  return svg
    .replace(/<style >.*?<\/style>\n?/s, '')
    .replaceAll(/ (?:class|pointer-events|ecmeta_\w+)="[^"]*"/g, '')
    .replaceAll(/zr\d+-[a-z]+-?\d+/g, (name) => {
      if (!names.has(name)) names.set(name, `n${names.size}`);
      return names.get(name)!;
    })
    .replace(
      /^<svg [^>]*>/,
      (tag) => `${tag.slice(0, -1)} role="img" aria-label="${text}"><title>${text}</title>`,
    );
}

function escape(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

/** One contender's bar in each category, with its whisker and its value. */
function barsOf(series: BarChart['series'][number], index: number, count: number): CustomSeriesOption {
  const color = PALETTE[index % PALETTE.length]!;
  const renderItem: RenderItem = (params, api) => {
    const category = params.dataIndex;
    const value = series.values[category];
    const area = params.coordSys as unknown as Rectangle;
    const middle = api.coord([0, category])[1]! + (index - (count - 1) / 2) * (BAR + BAR_GAP);
    if (value === undefined) return label(area.x + 6, middle, 'n/a', FAINT_INK);
    const at = (position: number) => api.coord([position, category])[0]!;
    const quartiles = series.quartiles?.[category];
    const end = at(value);
    const bar = { x: area.x, y: middle - BAR / 2, width: Math.max(end - area.x, 1), height: BAR };
    return {
      type: 'group',
      children: [
        { type: 'rect', shape: bar, style: { fill: color } },
        ...(quartiles ? whisker(at(quartiles[0]), at(quartiles[1]), middle) : []),
        label(Math.max(end, quartiles ? at(quartiles[1]) : 0) + 6, middle, figure(value), INK),
      ],
    } as Drawing;
  };
  return {
    type: 'custom',
    name: series.name,
    color,
    silent: true,
    encode: { x: [0, 2, 3], y: 1 },
    data: series.values.map((value, category) => {
      const [q1, q3] = series.quartiles?.[category] ?? [value, value];
      return [value ?? '-', category, q1 ?? '-', q3 ?? '-'];
    }),
    renderItem,
  };
}

function whisker(from: number, to: number, y: number) {
  const line = (x1: number, y1: number, x2: number, y2: number) => ({
    type: 'line',
    shape: { x1, y1, x2, y2 },
    style: { stroke: INK, lineWidth: 1.25 },
  });
  const cap = BAR / 4;
  return [line(from, y, to, y), line(from, y - cap, from, y + cap), line(to, y - cap, to, y + cap)];
}

/** Over the reference line, and legible where it crosses. */
function label(x: number, y: number, text: string, fill: string): Drawing {
  return {
    type: 'text',
    z2: 3,
    style: { ...TEXT, x, y, text, fill, verticalAlign: 'middle', stroke: '#ffffff', lineWidth: 3 },
  };
}

/** A series of its own, because a mark line would not widen the axis to a reference beyond the data. */
function referenceOf(
  reference: { value: number; label: string } | undefined,
  direction: 'vertical' | 'horizontal',
): CustomSeriesOption[] {
  if (!reference) return [];
  const vertical = direction === 'vertical';
  const renderItem: RenderItem = (params, api) => {
    const area = params.coordSys as unknown as Rectangle;
    const [right, bottom] = [area.x + area.width, area.y + area.height];
    const [x, y] = api.coord(vertical ? [reference.value, 0] : [api.value(0), reference.value]) as [
      number,
      number,
    ];
    const shape = vertical
      ? { x1: x, y1: area.y - 4, x2: x, y2: bottom }
      : { x1: area.x, y1: y, x2: right, y2: y };
    // Close to the right edge the text ends at the line instead of beginning there.
    const flip = vertical && x + widthOf(reference.label) > WIDTH - MARGIN;
    const text = {
      ...TEXT,
      x: vertical ? x : right - 4,
      y: vertical ? area.y - 8 : y - 4,
      text: reference.label,
      fill: REFERENCE,
      align: !vertical || flip ? 'right' : 'left',
      verticalAlign: 'bottom',
    };
    return {
      type: 'group',
      children: [
        { type: 'line', z2: 2, shape, style: { stroke: REFERENCE, lineWidth: 1.5, lineDash: [5, 4] } },
        { type: 'text', z2: 2, style: text },
      ],
    } as Drawing;
  };
  return [
    {
      type: 'custom',
      silent: true,
      clip: false,
      encode: vertical ? { x: 0, y: -1 } : { x: -1, y: 0 },
      data: [[reference.value]],
      renderItem,
    },
  ];
}

function valueAxis(name: string, direction: 'horizontal' | 'vertical') {
  return {
    type: 'value' as const,
    name,
    nameLocation: 'middle' as const,
    nameGap: direction === 'horizontal' ? 30 : 58,
    nameTextStyle: { color: FAINT_INK, fontSize: FONT_SIZE },
    axisLabel: { color: FAINT_INK, fontSize: FONT_SIZE - 1, formatter: tick, hideOverlap: true },
    axisLine: { show: direction === 'horizontal', lineStyle: { color: FAINT_INK } },
    splitLine: { lineStyle: { color: RULE } },
  };
}

function tick(value: number): string {
  return value.toLocaleString('en-US', {
    maximumSignificantDigits: 6,
    ...(Math.abs(value) >= 10_000 && { notation: 'compact' }),
  });
}

/** A power of ten below all values, far enough that the shortest bar is seen. */
function logarithmicFloor(values: readonly (number | undefined)[], distance = LOGARITHMIC_FLOOR): number {
  const least = Math.min(...values.filter((value) => value !== undefined && value > 0).map(Number));
  return 10 ** Math.floor(Math.log10(least / distance) + 1e-9);
}

/** Each name placed by hand: ECharts guesses its width too small. Nothing for a single series, which the title names. */
function legendOf(names: readonly string[]): { option: EChartsOption; height: number } {
  if (names.length < 2) return { option: {}, height: 0 };
  const legend: LegendComponentOption[] = [];
  let [left, lines] = [MARGIN, 0];
  for (const name of names) {
    const width = 18 + 5 + widthOf(name) + 14;
    if (left + width > WIDTH) [left, lines] = [MARGIN, lines + 1];
    legend.push({
      data: [name],
      left: left - 5,
      top: TITLE_HEIGHT - 6 + lines * LEGEND_LINE,
      itemWidth: 18,
      itemHeight: 11,
      textStyle: { color: INK, fontSize: FONT_SIZE },
    });
    left += width;
  }
  return { option: { legend }, height: (lines + 1) * LEGEND_LINE + 4 };
}

/** Generous, because the reader's sans-serif is not known. */
function widthOf(text: string): number {
  return Math.ceil(text.length * FONT_SIZE * 0.56);
}
