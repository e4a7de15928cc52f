import type { DataSourceOptions } from 'typeorm';
import { dataSourceOptions } from '../database/data-source-options.js';

export const CONSOLE_DATA_SOURCE = 'console';

/** Milliseconds after which PostgreSQL cancels a statement, unless the visitor has told it otherwise. */
const STATEMENT_TIMEOUT_MS = 3_000;

/** Milliseconds that a visitor waits for others to finish. */
const WAIT_MS = 2_000;

/**
 * A small pool for what visitors type: they can keep each other waiting, and nobody else. What is set here at the start of
 * a session goes before the defaults that a visitor can give the role.
 *
 * @param url the console role's connection string.
 */
export function consoleDataSourceOptions(url: string): DataSourceOptions {
  const options = dataSourceOptions(url);
  return {
    ...options,
    poolSize: 4,
    extra: {
      ...(options.extra as object),
      connectionTimeoutMillis: WAIT_MS,
      statement_timeout: STATEMENT_TIMEOUT_MS,
      options: '-c search_path=public',
    },
  } as DataSourceOptions;
}
