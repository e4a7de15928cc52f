import { Command, CommandRunner, Help, Option } from 'nest-commander';
import { DataSource } from 'typeorm';
import { RlsConfigurationError } from '../errors.js';
import { processOutput } from './cli-output.js';
import { loadDataSource } from './data-source-file.js';
import { splitMigration, type SplitMigrationOptions } from './split-migration.js';

interface SplitMigrationCommandOptions extends Omit<SplitMigrationOptions, 'load'> {
  dataSource?: string;
  url?: string;
}

/**
 * `rls-tenants split-migration FILE`: one generated migration as several that are safe while the table is in use. Dry run
 * by default.
 */
@Command({
  name: 'split-migration',
  arguments: '<file>',
  description: 'Split a migration by table and concern, and make it safe for tables in use',
  argsDescription: { file: 'a migration in TypeScript that has not run yet' },
})
export class SplitMigrationCommand extends CommandRunner {
  async run(
    [file = '']: string[],
    { dataSource, url, ...options }: SplitMigrationCommandOptions = {},
  ): Promise<void> {
    const load = loaderOf(dataSource, url);
    process.exitCode = await splitMigration(file, { ...options, load }, processOutput());
  }

  @Option({
    flags: '--out <directory>',
    description: 'where the files go (default: beside the file that is split)',
  })
  parseOut(directory: string): string {
    return directory;
  }

  @Option({ flags: '--write', description: 'write the files and delete the one that is split' })
  parseWrite(): boolean {
    return true;
  }

  @Option({ flags: '--keep', description: 'with --write: do not delete the file that is split' })
  parseKeep(): boolean {
    return true;
  }

  @Option({
    flags: '--partitioned <tables>',
    description: 'partitioned tables that neither the file nor a database shows, separated by commas',
  })
  parsePartitioned(tables: string): string[] {
    return tables.split(',').map((table) => table.trim());
  }

  @Option({
    flags: '--data-source <file>',
    description: 'JavaScript module that exports a DataSource: its entities and its database are read',
  })
  parseDataSource(file: string): string {
    return file;
  }

  @Option({ flags: '--url <url>', description: 'connection string of a database to read, without entities' })
  parseUrl(url: string): string {
    return url;
  }

  @Help('after')
  help(): string {
    return `
It runs nothing. It prints the files that it would write, with what it changed and why:
  structure, constraints and row-level security of each table; its indexes, built concurrently, in a file of their own;
  two files for the indexes of a partitioned table; constraints of tables in use NOT VALID, then validated; drops last.
A column that TypeORM drops and adds again is altered in place where PostgreSQL can do that, and refused where it cannot.
With a database it knows which tables are partitioned and hold tenants' rows, and refuses to split what is applied.

Examples:
  $ rls-tenants split-migration src/migrations/1760000000000-next.ts
  $ rls-tenants split-migration src/migrations/1760000000000-next.ts --data-source dist/migration-data-source.js
  $ rls-tenants split-migration src/migrations/1760000000000-next.ts --url postgres://migrator@localhost/app --write
  $ rls-tenants split-migration next.ts --partitioned findings,audit.event --out src/migrations --write --keep

Exit codes: 0 written, or nothing to split; 1 it has to be split; 2 refused, or could not split.`;
  }
}

function loaderOf(dataSource: string | undefined, url: string | undefined): SplitMigrationOptions['load'] {
  if (dataSource !== undefined && url !== undefined) {
    throw new RlsConfigurationError('Both --data-source and --url are given.', 'Give one of them.');
  }
  if (dataSource !== undefined) return () => loadDataSource(dataSource);
  if (url !== undefined) return () => Promise.resolve(new DataSource({ type: 'postgres', url }));
  return undefined;
}
