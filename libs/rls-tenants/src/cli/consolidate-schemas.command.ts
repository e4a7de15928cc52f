import { Command, Help, Option } from 'nest-commander';
import { processOutput } from './cli-output.js';
import { consolidateSchemas, type ConsolidateSchemasOptions } from './consolidate-schemas.js';
import { MigrationDataSourceCommand } from './migration-data-source.command.js';

interface ConsolidateCommandOptions extends ConsolidateSchemasOptions {
  dataSource?: string;
}

/**
 * `rls-tenants consolidate-schemas`: the way from one schema per tenant to one protected schema. What the migration
 * guide of django-rls-tenants leaves to each project.
 */
@Command({
  name: 'consolidate-schemas',
  description: 'Copy the rows of one schema per tenant into the protected tables',
})
export class ConsolidateSchemasCommand extends MigrationDataSourceCommand {
  async run(_: string[], { dataSource, ...options }: ConsolidateCommandOptions = {}): Promise<void> {
    process.exitCode = await consolidateSchemas(() => this.load(dataSource), options, processOutput());
  }

  @Option({ flags: '--mapping <file>', description: 'JSON file: {"schema": "tenant id"}' })
  parseMapping(file: string): string {
    return file;
  }

  @Option({
    flags: '--pattern <pattern>',
    description: "the tenant id is part of the schema's name: 'tenant_{id}'",
  })
  parsePattern(pattern: string): string {
    return pattern;
  }

  @Option({ flags: '--apply', description: 'copy; without it nothing is written' })
  parseApply(): boolean {
    return true;
  }

  @Option({ flags: '--verify', description: 'only compare the old schemas with the protected tables' })
  parseVerify(): boolean {
    return true;
  }

  @Option({
    flags: '--renumber',
    description: 'give rows new keys where integer keys do not include the tenant',
  })
  parseRenumber(): boolean {
    return true;
  }

  @Option({
    flags: '--table <name...>',
    description: 'only these tables (default: those of all tenant-scoped entities)',
  })
  parseTable(name: string, names: string[] = []): string[] {
    return [...names, name];
  }

  @Option({ flags: '--batch-size <rows>', description: 'rows per transaction (default: 500)' })
  parseBatchSize(rows: string): number {
    return /^\d+$/.test(rows) ? Number(rows) : Number.NaN;
  }

  @Help('after')
  help(): string {
    return `
Without --apply it says what it would do: schemas and their tenants, tables in the order of their foreign keys, rows, what
differs, keys that collide, sequences, and what is refused. With --apply it copies in batches, each a transaction; killed
at any point, it goes on where it stopped. Then it compares rows and contents. The old schemas are never changed.

Rows that are written to an old schema while it is copied may be missing: the comparison says so. Stop the application,
and compare again with --verify.

Examples:
  $ rls-tenants consolidate-schemas --data-source dist/migration-data-source.js --pattern 'tenant_{id}'
  $ rls-tenants consolidate-schemas --data-source dist/migration-data-source.js --mapping tenants.json --renumber --apply
  $ rls-tenants consolidate-schemas --data-source dist/migration-data-source.js --mapping tenants.json --renumber --verify

Exit codes: 0 done, 1 something is refused or differs, 2 could not run.`;
  }
}
