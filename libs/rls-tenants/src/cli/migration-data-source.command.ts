import { Inject, Optional } from '@nestjs/common';
import { CommandRunner, Option } from 'nest-commander';
import type { DataSource } from 'typeorm';
import { RlsConfigurationError } from '../errors.js';
import { loadDataSource } from './data-source-file.js';

/** Injection token: gives the migration role's data source where `--data-source` is not given. */
export const MIGRATION_DATA_SOURCE = Symbol('nestjs-rls-tenants: migration data source');

/** A command that works on a database as the migration role: it knows `--data-source`. */
export abstract class MigrationDataSourceCommand extends CommandRunner {
  constructor(
    @Optional()
    @Inject(MIGRATION_DATA_SOURCE)
    private readonly defaultDataSource?: () => Promise<DataSource>,
  ) {
    super();
  }

  /** @throws RlsConfigurationError if there is no data source, or the file does not export one. */
  protected async load(file: string | undefined): Promise<DataSource> {
    if (file !== undefined) return loadDataSource(file);
    if (this.defaultDataSource) return this.defaultDataSource();
    throw new RlsConfigurationError(
      'No --data-source is given.',
      "Name a module that exports a TypeORM DataSource with the migration role's login: --data-source dist/migration-data-source.js",
    );
  }

  @Option({
    flags: '--data-source <file>',
    description: "JavaScript module that exports a TypeORM DataSource with the migration role's login",
  })
  parseDataSource(file: string): string {
    return file;
  }
}
