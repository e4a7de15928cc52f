import type { DataSource } from 'typeorm';
import { tenantContext } from '../../libs/rls-tenants/src/context/index.js';
import {
  alterPolicySql,
  sealedTenantSql,
  tenantPolicyName,
  tenantTablePredicate,
} from '../../libs/rls-tenants/src/policies/index.js';
import { A, B, Note, NOTES } from '../support/notes.js';
import { createSealedDatabase, type SealedDatabase } from '../support/sealed-database.js';

// PostgreSQL makes classes of expressions that equal each other, and compares a column with one member only. A statement
// may add a member of its own: a setting, which it then changes while it runs.

let db: SealedDatabase;
let dataSource: DataSource;

beforeAll(async () => {
  db = await createSealedDatabase(NOTES);
  dataSource = await db.isolated();
  for (const tenantId of [A, B])
    await tenantContext(tenantId, () =>
      dataSource.getRepository(Note).save(Array.from({ length: 3 }, () => ({ body: `of ${tenantId}` }))),
    );
});
afterAll(() => db.drop());

const alter = (predicate: string) =>
  db.as('migrator', alterPolicySql('note', tenantPolicyName('note'), predicate));

const STATEMENT = `SELECT tenant_id, set_config('my.tenant', '${B}', true) FROM note
                    WHERE tenant_id = current_setting('my.tenant', true)::uuid`;

/** Tenant A's statement, which begins as A and goes on as B. */
const seenByA = (sql = STATEMENT) =>
  tenantContext(A, () =>
    dataSource.transaction(async (manager) => {
      await manager.query(`SELECT set_config('my.tenant', '${A}', true)`);
      for (const path of ['indexscan', 'bitmapscan', 'indexonlyscan'])
        await manager.query(`SET LOCAL enable_${path} = off`);
      return manager.query<Record<string, string>[]>(sql);
    }),
  );

it('a sealed policy is asked for each row, whatever a statement compares the tenant with', async () => {
  const rows = await seenByA();
  expect(rows.map(({ tenant_id }) => tenant_id)).toEqual([A]);
});

it('control: compared by plain equality the seal is checked once, and the rows are looked for by the setting', async () => {
  await alter(`tenant_id = ${sealedTenantSql('uuid')}`);
  const rows = await seenByA();
  expect(rows.map(({ tenant_id }) => tenant_id)).toEqual([A, B, B, B]);
  await alter(tenantTablePredicate({ table: 'note', tenantIdType: 'uuid', sealed: true }));
});

it('the policy is an index condition nevertheless', async () => {
  await db.asSuperuser('ANALYZE note');
  const plan = await tenantContext(A, () =>
    dataSource.transaction(async (manager) => {
      await manager.query('SET LOCAL enable_seqscan = off');
      return manager.query<Record<string, string>[]>('EXPLAIN SELECT body FROM note');
    }),
  );
  expect(plan.map((row) => row['QUERY PLAN']).join('\n')).toMatch(
    /Index Cond: \(tenant_id = .*current_setting/,
  );
});
