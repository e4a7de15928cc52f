import { register, Registry } from 'prom-client';
import { DataSource } from 'typeorm';
import { adminContext, tenantContext } from '../../libs/rls-tenants/src/index.js';
import { registerStatementCounters } from '../../libs/rls-tenants/src/prometheus/index.js';
import { A, B, Note, NOTES } from '../support/notes.js';
import { createProtectedDatabase, type ProtectedDatabase } from '../support/protected-database.js';

describe('Prometheus counters', () => {
  let db: ProtectedDatabase;
  let dataSource: DataSource;
  let other: DataSource;
  const registry = new Registry();

  beforeAll(async () => {
    db = await createProtectedDatabase(NOTES);
    dataSource = await db.isolated();
    other = await db.isolated({}, { name: 'reporting' } as object);
    registerStatementCounters([dataSource, other], registry);
  });
  afterAll(() => db.drop());

  it('are there before anything happened, with their types and their help', async () => {
    const text = await registry.metrics();
    for (const name of [
      'rls_statements_carried_total',
      'rls_statements_refused_total',
      'rls_violations_total',
    ]) {
      expect(text).toMatch(new RegExp(`# HELP ${name} .+\n# TYPE ${name} counter\n`));
      for (const source of ['default', 'reporting'])
        for (const context of ['tenant', 'admin', 'nobody'])
          expect(text).toContain(`${name}{data_source="${source}",context="${context}"} 0`);
    }
  });

  it('count statements carried, refused and violations, by kind of context and by data source', async () => {
    await Promise.all(
      [A, B, A].map((tenantId) => tenantContext(tenantId, () => dataSource.getRepository(Note).find())),
    );
    await adminContext('counting', () => dataSource.query('SELECT 1'));
    await dataSource.query('SELECT * FROM note').catch(() => undefined);
    await tenantContext(A, () =>
      dataSource.query('INSERT INTO note (tenant_id, body) VALUES ($1, $2)', [B, 'stolen']),
    ).catch(() => undefined);
    await tenantContext(A, () => other.query('SELECT 1'));

    await registry.metrics(); // a scrape changes nothing
    const samples = (await registry.metrics()).split('\n').filter((line) => /^rls.* [1-9]\d*$/.test(line));
    expect(samples).toEqual([
      'rls_statements_carried_total{data_source="default",context="tenant"} 4',
      'rls_statements_carried_total{data_source="default",context="admin"} 1',
      'rls_statements_carried_total{data_source="reporting",context="tenant"} 1',
      'rls_statements_refused_total{data_source="default",context="nobody"} 1',
      'rls_violations_total{data_source="default",context="tenant"} 1',
    ]);
  });

  it('never name a tenant', async () => {
    expect(await registry.metrics()).not.toMatch(/0000-4000/);
  });

  it('are kept by a data source that is closed and opened again', async () => {
    await other.destroy();
    await other.initialize();
    await tenantContext(A, () => other.query('SELECT 1'));
    expect(await registry.metrics()).toContain(
      'rls_statements_carried_total{data_source="reporting",context="tenant"} 2',
    );
  });

  it('go to the global registry by default, and may be registered before the data source is isolated', async () => {
    const plain = new DataSource({ type: 'postgres', url: db.url('app') });
    registerStatementCounters(plain);
    const text = await register.metrics();
    register.clear();
    expect(text).toContain('# TYPE rls_violations_total counter');
    expect(text).not.toContain('data_source=');
  });

  it('are registered once', () => {
    expect(() => registerStatementCounters(dataSource, registry)).toThrow(/already been registered/);
  });
});
