import type { DataSource, EntityMetadata } from 'typeorm';

/** The data source of a metadata, under the name that TypeORM 1.x or 0.3 gives it. */
export function dataSourceOf(metadata: EntityMetadata): DataSource {
  return metadata.dataSource ?? metadata.connection;
}
