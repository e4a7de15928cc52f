import { DataSource } from 'typeorm';

export const dataSource = new DataSource({
  type: 'postgres',
  url: process.env.SCHEMA_SPEC_URL!,
  entities: [`${__dirname}/*.entity.cts`],
});
