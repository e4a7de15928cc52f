import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { InstanceChecker, type DataSource } from 'typeorm';
import { RlsConfigurationError } from '../errors.js';

/**
 * Loads the data source that a module exports, as default or under a name, itself or as a promise, as TypeORM's own
 * command line does.
 *
 * @param file path from the working directory: JavaScript, ESM or CommonJS.
 * @throws RlsConfigurationError if the module cannot be loaded or does not export exactly one data source.
 */
export async function loadDataSource(file: string): Promise<DataSource> {
  const path = resolve(file);
  const exported = await loadModule(path);
  const found = new Set<DataSource>();
  for (const value of exported) {
    const awaited: unknown = await value;
    if (InstanceChecker.isDataSource(awaited)) found.add(awaited);
  }
  const [dataSource] = found;
  if (dataSource && found.size === 1) return dataSource;
  throw new RlsConfigurationError(
    `${path} exports ${found.size === 0 ? 'no' : `${found.size}`} data source${found.size > 1 ? 's' : ''}.`,
    "Export exactly one instance of TypeORM's DataSource, for example `export default new DataSource({ … })`.",
  );
}

/**
 * Connects to look, and not to change: whatever the options say, connecting creates, migrates and drops nothing. And it
 * logs nothing, or TypeORM's log would be part of the report.
 */
export async function initializeUntouched(dataSource: DataSource): Promise<void> {
  const untouched = { synchronize: false, migrationsRun: false, dropSchema: false, installExtensions: false };
  await dataSource.setOptions({ ...untouched, logger: 'advanced-console', logging: [] }).initialize();
}

async function loadModule(path: string): Promise<unknown[]> {
  try {
    const exported = (await import(pathToFileURL(path).href)) as Record<string, unknown>;
    // A CommonJS module may hide its named exports from Node's static analysis: they are all in `default`.
    const { default: fallback } = exported;
    const named =
      typeof fallback === 'object' && fallback !== null && !InstanceChecker.isDataSource(fallback)
        ? Object.values(fallback)
        : [];
    return [...Object.values(exported), ...named];
  } catch (cause) {
    throw new RlsConfigurationError(
      `Cannot load the data source file ${path}: ${cause instanceof Error ? cause.message : String(cause)}`,
      'Name a JavaScript module that exports a DataSource; compile TypeScript first.',
      { cause },
    );
  }
}
