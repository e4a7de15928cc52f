import type { DataSource } from 'typeorm';
import { withoutTenant } from '../context/tenant-context.js';
import { RlsConfigurationError } from '../errors.js';
import { MigrationRunner } from '../migrations/runner/migration-runner.js';
import { schemaDifference } from './generate.js';
import type { ProtectionRoles } from './policy-difference.js';
import { renderFiles } from './render.js';
import { rewriteSteps } from './rewrite.js';
import { splitSteps } from './split.js';
import type { Note, RenderedFile } from './step.js';

/** What to generate. */
export interface GenerateOptions extends ProtectionRoles {
  /** What the migrations are for, in words: the beginning of each file's name: `AddNotes`, `add-notes`. */
  readonly name: string;
}

/** Migrations to write, and what their author must know. */
export interface GeneratedMigrations {
  /** In the order in which they run; empty if there is no difference. */
  readonly files: readonly RenderedFile[];
  readonly notes: readonly Note[];
}

/**
 * Migrations that take the database of an initialized data source to what its entities declare: policies, grants, composite
 * keys and tenant columns included, split and made safe for tables in use. Once they have run, there is no difference. It
 * reads the database and changes nothing. Counterpart of TypeORM's `migration:generate` and Django's `makemigrations`.
 *
 * @throws RlsConfigurationError if migrations are pending, which may hold the difference already, for what has no safe
 * form, and as {@link schemaDifference} does.
 */
export async function generateMigrations(
  dataSource: DataSource,
  { name, ...roles }: GenerateOptions,
): Promise<GeneratedMigrations> {
  const { steps, facts, notes } = await schemaDifference(dataSource, roles);
  const timestamp = await nextTimestamp(dataSource);
  // What people made by hand is left out already, by the naming strategy of the data source.
  const rewritten = rewriteSteps(steps, facts, { isGeneratedIndex: () => true });
  const planned = splitSteps(rewritten.steps, facts).map((file) => ({
    ...file,
    slug: `${inFileNames(name)}-${file.slug}`,
  }));
  return { files: renderFiles(planned, timestamp), notes: [...notes, ...rewritten.notes] };
}

/** `AddNotes` is `add-notes` in a file's name. */
function inFileNames(name: string): string {
  return name.replaceAll(/(?<=[a-z0-9])(?=[A-Z])/g, '-').toLowerCase();
}

/** After every migration there is. @throws RlsConfigurationError if one of them is pending. */
async function nextTimestamp(dataSource: DataSource): Promise<number> {
  const status = await withoutTenant(() => new MigrationRunner(dataSource).status());
  const pending = status.filter(({ state }) => state === 'pending').map(({ name }) => name);
  if (pending.length > 0) {
    throw new RlsConfigurationError(
      `What migrations that have not run yet do would be generated again: ${pending.join(', ')} ${pending.length === 1 ? 'is' : 'are'} pending.`,
      'Run what is pending first: rls-tenants migrate run.',
    );
  }
  return Math.max(Date.now(), ...status.map(({ timestamp }) => timestamp.getTime() + 1));
}
