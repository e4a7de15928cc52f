import { Module } from '@nestjs/common';
import { CheckRlsCommand, DEFAULT_DATA_SOURCE, type DataSourceLoader } from 'nestjs-rls-tenants/cli';

// Loading the module prepares the demo's database and starts its server: not for --help, nor for another data source.
const loadDemoDataSource: DataSourceLoader = async () =>
  (await import('../../demo/src/database/data-source.js')).dataSource;

/** `check-rls` on the demo's database, unless `--data-source` names another one. */
@Module({
  providers: [CheckRlsCommand, { provide: DEFAULT_DATA_SOURCE, useValue: loadDemoDataSource }],
})
export class CheckRlsModule {}
