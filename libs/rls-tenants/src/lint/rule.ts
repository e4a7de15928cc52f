import type { Change, ChangeOf } from './changes.js';
import type { LintContext } from './context.js';
import type { CorrectedFile, LintFinding, LintSeverity } from './finding.js';
import type { Direction, Migration, Place, Statement } from './migration.js';

/** What a rule's function yields; the rule adds what is the same for all its findings. */
export interface LintObservation {
  readonly at: Place;
  readonly message: string;
  readonly fix: string;
  readonly files?: readonly CorrectedFile[];
  /** Where it is not the rule's own. */
  readonly severity?: LintSeverity;
}

/** A finding, with the line that a suppression must stand above. */
export type AnchoredFinding = LintFinding & { readonly anchorLine: number };

/** One danger of migrations. One rule is one file, one page in docs/lint, and the page's examples are its test. */
export interface LintRule {
  readonly id: string;
  readonly title: string;
  readonly severity: LintSeverity;
  /** What goes wrong, in a sentence or two. */
  readonly reason: string;
  /** True for a rule that runs only where it is asked for. */
  readonly optIn?: boolean;
  /** Pure: everything it may know is in its arguments. */
  check(migration: Migration, context: LintContext): AnchoredFinding[];
}

/** Makes a rule of its description and a generator of what it finds. */
export function defineRule(
  rule: Omit<LintRule, 'check'> & {
    find(this: void, migration: Migration, context: LintContext): Iterable<LintObservation>;
  },
): LintRule {
  const { id: ruleId, title, severity, reason, optIn = false, find } = rule;
  return {
    id: ruleId,
    title,
    severity,
    reason,
    optIn,
    check: (migration, context) =>
      [...find(migration, context)].map(({ at, ...observation }) => ({
        ruleId,
        title,
        severity,
        file: migration.file,
        line: at.line,
        column: at.column,
        anchorLine: at.anchorLine,
        ...observation,
      })),
  };
}

/** The changes of one kind that a direction of a migration makes, in order. */
export function changes<K extends Change['kind']>(
  migration: Migration,
  direction: Direction,
  kind: K,
): { statement: Statement; change: ChangeOf<K> }[] {
  return migration.statements
    .filter((statement) => statement.direction === direction)
    .flatMap((statement) =>
      statement.changes
        .filter((change): change is ChangeOf<K> => change.kind === kind)
        .map((change) => ({ statement, change })),
    );
}

/** True if the migration runs in the runner's transaction. */
export function inTransaction(migration: Migration): boolean {
  return migration.transaction !== false;
}

/** Gathers from all migrations what a rule asks about, once for a whole lint instead of for each migration. */
export function gathered<T>(gather: (context: LintContext) => T): (context: LintContext) => T {
  const known = new WeakMap<LintContext, { readonly value: T }>();
  return (context) => {
    let entry = known.get(context);
    if (entry === undefined) known.set(context, (entry = { value: gather(context) }));
    return entry.value;
  };
}
