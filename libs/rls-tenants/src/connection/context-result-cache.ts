import type { DataSource, QueryRunner } from 'typeorm';
import { currentTenantContext, type TenantContextState } from '../context/tenant-context.js';
import type { Isolation } from './isolation.js';

type ResultCache = NonNullable<DataSource['queryResultCache']>;
type CacheOptions = Parameters<ResultCache['getFromCache']>[0];

/**
 * Makes the tenant context part of every key of TypeORM's query result cache. TypeORM keys results by SQL and
 * parameters only, and would hand one tenant's rows to another however strict the policies are.
 *
 * `remove(identifiers)` removes the current context's results; `clear()` removes everybody's.
 */
export function keyResultCacheByContext(dataSource: DataSource, isolation: Isolation): void {
  const cache = dataSource.queryResultCache;
  if (!cache) return;
  const { getFromCache, storeInCache, remove } = cache;
  const key = (text: string) => `${contextKey(currentTenantContext(), isolation)} ${text}`;
  const keyed = (options: CacheOptions): CacheOptions => ({
    ...options,
    ...(options.identifier !== undefined && { identifier: key(options.identifier) }),
    ...(options.query !== undefined && { query: key(options.query) }),
  });

  cache.getFromCache = (options: CacheOptions, queryRunner?: QueryRunner) =>
    getFromCache.call(cache, keyed(options), queryRunner);
  cache.storeInCache = (options: CacheOptions, saved: CacheOptions | undefined, queryRunner?: QueryRunner) =>
    storeInCache.call(cache, keyed(options), saved, queryRunner);
  cache.remove = (identifiers: string[], queryRunner?: QueryRunner) =>
    remove.call(cache, identifiers.map(key), queryRunner);
}

function contextKey(state: TenantContextState, isolation: Isolation): string {
  if (state.kind !== 'tenant') return `${state.kind}:`;
  const set = state.readableTenantIds ? ` reading ${JSON.stringify(state.readableTenantIds)}` : '';
  return `tenant ${JSON.stringify(isolation.frontOf(state).value)}${set}:`;
}
