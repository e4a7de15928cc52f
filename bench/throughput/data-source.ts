import type { DataSourceOptions } from 'typeorm';
import { entitiesOf, type EntityKind } from './entities.js';

type PostgresOptions = Extract<DataSourceOptions, { type: 'postgres' }>;

export function dataSourceOptions(options: {
  kind: EntityKind;
  entities: number;
  url: string;
}): PostgresOptions {
  return {
    type: 'postgres',
    url: options.url,
    entities: entitiesOf(options.kind, options.entities),
    uuidExtension: 'pgcrypto',
    installExtensions: false,
  };
}
