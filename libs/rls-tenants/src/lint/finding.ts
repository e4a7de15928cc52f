/** `error` findings fail a lint; `warning` findings never do. */
export type LintSeverity = 'error' | 'warning';

/** A migration file as it should be. */
export interface CorrectedFile {
  /** File name without its folder, for example `1760000000001-note-indexes.ts`. */
  readonly name: string;
  readonly text: string;
}

/** One thing that is dangerous in one migration. */
export interface LintFinding {
  /** The rule that found it: `MIG020`, or `squawk/<rule>`. The page of the former is `docs/lint/MIG020.md`. */
  readonly ruleId: string;
  readonly title: string;
  readonly severity: LintSeverity;
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** From 1, in UTF-16 code units, as editors count. */
  readonly column: number;
  /** What is wrong, with the lock that is taken and for how long where that is the point. */
  readonly message: string;
  /** The corrected SQL, or what to do. */
  readonly fix: string;
  /** The corrected migrations, where the correction is mechanical. */
  readonly files?: readonly CorrectedFile[];
}

/** By file, line, column and rule. */
export function sortLintFindings(findings: readonly LintFinding[]): LintFinding[] {
  return [...findings].sort(
    (a, b) =>
      compare(a.file, b.file) || a.line - b.line || a.column - b.column || compare(a.ruleId, b.ruleId),
  );
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
