/** How a part is run. */
export interface BenchContext {
  /** Sizes and rounds so small that the numbers mean nothing: shows that everything runs. */
  readonly quick: boolean;
  /** Tells whoever waits what is being done. */
  log(message: string): void;
}

/** A figure the project has promised, and what was measured. */
export interface Target {
  what: string;
  target: string;
  measured: string;
  met: boolean;
  /** Where it is not met: what the limit is. */
  note?: string;
}

export interface Chart {
  /** Name of the file, without folder and ending. */
  name: string;
  /** Says what the picture shows to those who cannot see it. */
  alt: string;
  svg: string;
}

/** What a part contributes to docs/benchmarks.md. */
export interface Section {
  /** Markdown below the part's heading. `![](chart:NAME)` stands for a chart. */
  markdown: string;
  charts: Chart[];
  targets: Target[];
}

/**
 * One part of the benchmarks. `run` measures and returns plain data, which is kept as JSON; `report` makes text and
 * pictures of that data and of nothing else, so that a report can be made again without measuring.
 */
export interface Part<Data> {
  readonly name: string;
  readonly title: string;
  run(context: BenchContext): Promise<Data>;
  report(data: Data): Section;
}
