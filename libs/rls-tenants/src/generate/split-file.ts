import { RlsConfigurationError } from '../errors.js';
import { readSteps, type ReadSteps } from './read-steps.js';
import { renderFiles } from './render.js';
import { rewriteSteps, type RewriteOptions } from './rewrite.js';
import { splitSteps } from './split.js';
import { parseStatement } from './statement.js';
import type { Note, PlannedFile, RenderedFile, SchemaFacts, Step } from './step.js';

/** What is known of the database beside the file. */
export interface SplitOptions extends RewriteOptions {
  /** Partitioned tables that the file does not create. */
  isPartitioned?(table: string): boolean;
  /** Tenant tables that the file does not create. */
  isTenantTable?(table: string): boolean;
  /** Default `'tenant_id'`. */
  readonly tenantColumn?: string | undefined;
}

/** What became of a migration file. */
export interface SplitFile {
  readonly className: string;
  /** True if the file is as it should be: there is nothing to write. */
  readonly unchanged: boolean;
  readonly planned: readonly PlannedFile[];
  /** The files to write, in the order of `planned`. */
  readonly files: readonly RenderedFile[];
  readonly notes: readonly Note[];
}

/**
 * Splits a migration file. Nothing is run, and nothing is written. A table that the file does not create is taken for one
 * that is in use.
 *
 * @param file its name, for errors and for the timestamp.
 * @throws RlsConfigurationError if it cannot be read, or holds what has no safe form.
 */
export async function splitMigrationFile(
  file: string,
  text: string,
  options: SplitOptions = {},
): Promise<SplitFile> {
  const read = await readSteps(file, text);
  if (read.unreadable.length > 0) throw notSplit(read.unreadable);
  const facts = factsOf(read.steps, options);
  const rewritten = rewriteSteps(read.steps, facts, options);
  const planned = splitSteps(rewritten.steps, facts);
  const notes = [...rewritten.notes, ...read.notes];
  const { className } = read.migration;
  if (isUnchanged(read, planned, rewritten.notes)) {
    return { className, unchanged: true, planned, files: [], notes: [] };
  }
  if (read.problems.length > 0) throw notSplit(read.problems);
  return {
    className,
    unchanged: false,
    planned,
    files: renderFiles(planned, timestampOf(file, read)),
    notes,
  };
}

function notSplit(problems: readonly string[]): RlsConfigurationError {
  return new RlsConfigurationError(
    `The migration cannot be split:\n${problems.join('\n')}`,
    'Take these out into migrations of their own first.',
  );
}

/** One file, of the same steps, in or out of a transaction as it was. */
function isUnchanged(
  { steps, migration }: ReadSteps,
  planned: readonly PlannedFile[],
  notes: readonly Note[],
): boolean {
  const [file, second] = planned;
  if (second || notes.length > 0) return false;
  if (!file) return true;
  const own = new Set(steps);
  const inTransaction = migration.transaction !== false;
  return file.transaction === inTransaction && file.steps.every((step) => own.has(step));
}

function timestampOf(file: string, { migration }: ReadSteps): number {
  const timestamp = migration.timestamp ?? Number(/\d{13}/.exec(file)?.[0]);
  if (Number.isSafeInteger(timestamp)) return timestamp;
  throw new RlsConfigurationError(
    `Migration "${migration.className}" has no timestamp.`,
    'TypeORM reads it from the last 13 digits of the class name, or of a `name` property.',
  );
}

function factsOf(steps: readonly Step[], options: SplitOptions): SchemaFacts {
  const { tenantColumn = 'tenant_id' } = options;
  const created = new Set<string>();
  const tenant = new Set<string>();
  const partitioned = new Set<string>();
  for (const step of steps) {
    if (step.kind === 'operation') {
      if (/^protect(?:Join)?Table$|^addTenantColumn$/.test(step.imports[0] ?? '')) tenant.add(step.table);
      continue;
    }
    for (const change of parseStatement(step.up).changes) {
      if (change.kind === 'row-security' && change.action === 'enable') tenant.add(change.table);
      if (change.kind !== 'create-table') continue;
      created.add(change.table);
      if (change.partitioned) partitioned.add(change.table);
      if (change.columns.some(({ name }) => name === tenantColumn)) tenant.add(change.table);
    }
  }
  return {
    exists: (table) => !created.has(table),
    isPartitioned: (table) => partitioned.has(table) || (options.isPartitioned?.(table) ?? false),
    isTenantTable: (table) => tenant.has(table) || (options.isTenantTable?.(table) ?? false),
  };
}
