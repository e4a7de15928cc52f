import { tenantContext } from '../../libs/rls-tenants/src/context/index.js';
import {
  alterPolicySql,
  tenantPolicyName,
  tenantTablePredicate,
} from '../../libs/rls-tenants/src/policies/index.js';
import { A, B, Note, NOTES } from '../support/notes.js';
import { createSealedDatabase, type SealedDatabase } from '../support/sealed-database.js';

// What neither form of policy keeps, because PostgreSQL does not: an error that comes only with a row tells that there is
// one. A condition counts as leakproof, and goes first if it is cheap, by the functions that are given the row's columns;
// what raises may be a sub-select beside them. docs/guides/security-model.md says so.

let db: SealedDatabase;

beforeAll(async () => {
  db = await createSealedDatabase(NOTES);
  const dataSource = await db.isolated();
  await db.as('migrator', 'ALTER TABLE note ADD COLUMN amount int; CREATE INDEX ON note (amount)');
  for (const tenantId of [A, B])
    await tenantContext(tenantId, () =>
      dataSource.getRepository(Note).save(Array.from({ length: 200 }, () => ({ body: 'x' }))),
    );
  await db.asSuperuser(
    `UPDATE note SET amount = CASE tenant_id WHEN '${B}' THEN 4711 ELSE 1 END; ANALYZE note`,
  );
});
afterAll(() => db.drop());

const RAISES = '(SELECT 1 / (random() * 0)::int = 1)';

/** What tenant A, whose seal is genuine, is told when it asks for an amount; a row it never sees. */
const answer = async (amount: string) => {
  const dataSource = await db.isolated();
  const rows = tenantContext(A, () =>
    dataSource.query<unknown[]>(
      `SELECT 1 FROM note WHERE amount ${amount} AND CASE WHEN body IS NULL THEN ${RAISES} ELSE ${RAISES} END`,
    ),
  );
  return rows.then(
    (found) => `${found.length} rows`,
    (error: Error) => error.message,
  );
};

it('control: the amount is of B’s rows alone, and A does not see them', async () => {
  const dataSource = await db.isolated();
  expect(await tenantContext(A, () => dataSource.query('SELECT 1 FROM note WHERE amount > 4700'))).toEqual(
    [],
  );
  const [row] = await db.asSuperuser('SELECT count(*)::int AS n FROM note WHERE amount > 4700');
  expect(row).toEqual({ n: 200 });
});

it('a seal that is refused is refused before any row is looked for: the error tells nothing', async () => {
  const forged = async (condition: string) => {
    const text = `SET rls.current_tenant = '${B}'; SELECT 1 FROM note WHERE ${condition}`;
    return db.as('app', text).then(
      () => 'no row',
      (error: Error) => error.message,
    );
  };
  const conditions = ['amount = 4711', 'amount = 4712', 'amount > 4700', 'amount > 4800'];
  const answers = await Promise.all([...conditions, `amount = 4711 AND tenant_id = '${B}'`].map(forged));
  expect(new Set(answers)).toEqual(new Set(['Seal refused: the tenant was set without a seal.']));
});

it.each([true, false])('PostgreSQL raises where there is a row, whoever’s: sealed %s', async (sealed) => {
  const predicate = tenantTablePredicate({ table: 'note', tenantIdType: 'uuid', sealed });
  await db.as('migrator', alterPolicySql('note', tenantPolicyName('note'), predicate));

  expect(await answer('= 4711')).toBe('division by zero');
  expect(await answer('= 4712')).toBe('0 rows');
  expect(await answer('> 4700')).toBe('division by zero');
  expect(await answer('> 4800')).toBe('0 rows');
});

it('an index that begins with the tenant keeps it, as long as PostgreSQL looks there', async () => {
  await db.as('migrator', 'DROP INDEX note_amount_idx; CREATE INDEX ON note (tenant_id, amount)');
  await db.asSuperuser('ANALYZE note');

  expect(await answer('= 4711')).toBe('0 rows');
});
