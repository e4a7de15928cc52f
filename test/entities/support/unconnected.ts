import { DataSource, type DataSourceOptions } from 'typeorm';

/** A data source that has built the metadata of the entities and never connects. */
export async function unconnected(
  entities: NonNullable<DataSourceOptions['entities']>,
  prepare: (dataSource: DataSource) => void = () => {},
): Promise<DataSource> {
  const dataSource = new DataSource({ type: 'postgres', entities });
  prepare(dataSource);
  await (dataSource as unknown as { buildMetadatas(): Promise<void> }).buildMetadatas();
  return dataSource;
}
