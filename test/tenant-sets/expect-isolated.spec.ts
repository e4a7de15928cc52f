import type { DataSource } from 'typeorm';
import { expectIsolated } from '../../libs/rls-tenants/src/testing/index.js';
import type { ProtectedDatabase } from '../support/protected-database.js';
import { createOrganisations, ORGANISATIONS } from './support/organisations.js';

describe('expectIsolated, of tables whose tenants read more than their own rows', () => {
  let db: ProtectedDatabase;
  let dataSource: DataSource;
  beforeAll(async () => {
    db = await createOrganisations();
    dataSource = await db.isolated();
  });
  afterAll(() => db.drop());

  it.each(ORGANISATIONS)('two tenants are isolated in %p', async (entity) => {
    expect((await expectIsolated(entity, { dataSource })).length).toBeGreaterThan(10);
  });
});
