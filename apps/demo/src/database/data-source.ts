import { DataSource } from 'typeorm';
import { dataSourceOptions } from './data-source-options.js';
import { ensureDatabase } from './ensure-database.js';

const database = await ensureDatabase();

/** Gives the server back when the tool that uses it is done. */
class DemoDataSource extends DataSource {
  override async destroy(): Promise<void> {
    await super.destroy();
    await database.stop();
  }
}

/**
 * The demo's data source as the app role, for command-line tools:
 * `rls-tenants check-rls --data-source dist/apps/demo/database/data-source.js --config apps/demo/rls-tenants.config.json`.
 */
export const dataSource = new DemoDataSource(dataSourceOptions(database.appUrl));
