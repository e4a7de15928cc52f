import { DataSource } from 'typeorm';
import { join } from 'node:path';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

// This suite must not import the library: the entity files are the first to load it, while the data source initializes.
describe('entities named by a file pattern', () => {
  let db: TestDatabase;

  beforeAll(async () => {
    db = await createTestDatabase();
  });
  afterAll(() => db.drop());

  it('are completed although their files load the library only while the data source initializes', async () => {
    const entities = [join(import.meta.dirname, 'support/pattern/*.entity.cts')];
    const dataSource = await new DataSource({ type: 'postgres', url: db.url('app'), entities }).initialize();
    try {
      const [foreignKey] = dataSource.getMetadata('Page').foreignKeys;
      expect(foreignKey!.columnNames).toEqual(['tenant_id', 'bookId']);
      expect(foreignKey!.referencedColumnNames).toEqual(['tenant_id', 'id']);
    } finally {
      await dataSource.destroy();
    }
  });
});
