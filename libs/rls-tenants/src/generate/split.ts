import { orderGroups } from './order-groups.js';
import { OBJECTS, STAGES, StepSorter, type Item, type Stage } from './sort-steps.js';
import type { PlannedFile, SchemaFacts, Step } from './step.js';

/** Operations that commit in between, or that PostgreSQL refuses in a transaction. */
const OUTSIDE_TRANSACTION: ReadonlySet<string> = new Set([
  'concurrentIndex',
  'partitionedIndex',
  'partitionIndexes',
  'parentIndex',
  'uniqueConstraint',
  'checkConstraint',
  'notNull',
  'validatedForeignKey',
]);

/**
 * Puts steps into files by the rules of the seeds: structure, constraints and row-level security of each table; then data;
 * then the indexes of each table, concurrently, those of partitioned tables in two files; constraints of tables in use
 * NOT VALID, then validated; drops last. Each table has files of its own, named after it. libpg-query's `loadModule()` must
 * have finished.
 *
 * @param steps in an order in which they could run one after the other.
 * @throws RlsConfigurationError for statements that are not known to be safe anywhere.
 */
export function splitSteps(steps: readonly Step[], facts: SchemaFacts): PlannedFile[] {
  const items = new StepSorter(steps, facts).items();
  const files = STAGES.flatMap((stage) =>
    orderGroups(typesFirst(items.filter((one) => one.stage === stage))).flatMap(
      ({ subject, items: own, deferred }) => {
        items.push(...deferred);
        return [true, false].flatMap((concurrent) => plannedFiles(stage, subject, own, concurrent));
      },
    ),
  );
  return files.map((file, index) => ({ ...file, slug: distinctSlug(files, index) }));
}

/** Schemas, extensions and types come before the tables that use them. */
function typesFirst(items: readonly Item[]): Item[] {
  const isTable = ({ subject }: Item) => subject !== OBJECTS && !subject.startsWith('type ');
  return [...items.filter((one) => !isTable(one)), ...items.filter(isTable)];
}

/** The files of one subject in one stage: plain statements without a transaction, operations without one, the rest. */
function plannedFiles(
  stage: Stage,
  subject: string,
  items: readonly Item[],
  concurrent: boolean,
): PlannedFile[] {
  const steps = items.filter((item) => item.concurrent === concurrent).map(({ step }) => step);
  const outside = (step: Step) =>
    step.kind === 'operation' && step.imports.some((name) => OUTSIDE_TRANSACTION.has(name));
  const parts = concurrent
    ? [{ steps, transaction: false }]
    : [
        { steps: steps.filter((step) => !outside(step)), transaction: true },
        { steps: steps.filter(outside), transaction: false },
      ];
  return parts
    .filter((part) => part.steps.length > 0)
    .map((part) => ({
      phase: stage === 'relax' ? 'drop' : stage,
      slug: slugOf(stage, subject, part.steps, part.transaction),
      ...part,
      ...(stage === 'drop' && { comment: LATER }),
    }));
}

const LATER =
  'For a later deploy: run it when no running version uses any longer what it drops. Nothing brings the data back.';

function slugOf(stage: Stage, subject: string, steps: readonly Step[], transaction: boolean): string {
  const name = subject.replace(/^(?:type|view) /, '');
  switch (stage) {
    case 'structure': {
      if (subject === OBJECTS) return 'create-objects';
      if (subject.startsWith('type ')) return `alter-${name}`;
      const creates = steps.some(
        (step) => step.kind === 'sql' && /^\s*CREATE\s+(?:TABLE|VIEW|MATERIALIZED|OR)\b/i.test(step.up),
      );
      return `${creates ? 'create' : 'alter'}-${name}`;
    }
    case 'data':
      return `${name}-data`;
    case 'index':
      return steps.every((step) => step.kind === 'sql' && /^\s*DROP\b/i.test(step.up))
        ? `${name}-replaced-indexes`
        : `${name}-indexes`;
    case 'partitioned-index':
      return `${name}-index-partitions`;
    case 'attach-partitioned-index':
      return `${name}-index-parent`;
    case 'not-valid':
      return `${name}-constraints`;
    case 'validate':
      return transaction ? `${name}-validate` : `${name}-not-null`;
    case 'relax':
      return transaction ? `${name}-drop-constraints` : `${name}-drop-indexes`;
    case 'drop':
      return `drop-from-${name}`;
  }
}

function distinctSlug(files: readonly PlannedFile[], index: number): string {
  const { slug } = files[index]!;
  const before = files.slice(0, index).filter((file) => file.slug === slug).length;
  return before === 0 ? slug : `${slug}-${before + 1}`;
}
