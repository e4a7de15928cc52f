import { enableRlsSql, quoteIdentifier, quoteTable } from '../../policies/index.js';
import { changes, defineRule, inTransaction } from '../rule.js';

/** MIG051: From the commit of this migration on, nothing keeps tenants apart in the table, or its owner sees every row. */
export const rlsWeakened = defineRule({
  id: 'MIG051',
  title: 'rls-weakened',
  severity: 'error',
  reason:
    'From the commit of this migration on, nothing keeps tenants apart in the table, or its owner sees every row.',
  *find(migration) {
    const undone = (table: string, action: string): boolean =>
      inTransaction(migration) &&
      changes(migration, 'up', 'row-security').some(
        ({ change }) =>
          change.table === table && change.action === (action === 'disable' ? 'enable' : 'force'),
      );
    for (const { statement, change } of changes(migration, 'up', 'row-security')) {
      const { table, action } = change;
      if (action === 'enable' || action === 'force' || undone(table, action)) continue;
      yield {
        at: statement,
        message:
          action === 'disable'
            ? `Row-level security of "${table}" is off: every tenant sees all its rows.`
            : `Row-level security of "${table}" no longer applies to its owner, its views and its SECURITY DEFINER functions.`,
        fix: `${enableRlsSql(table).join(';\n')}; -- in the same migration, in its transaction`,
      };
    }
    for (const { statement, change } of changes(migration, 'up', 'drop-policy')) {
      const { table, name } = change;
      const replaced = changes(migration, 'up', 'create-policy').some(
        (created) => created.change.table === table,
      );
      if (replaced && inTransaction(migration)) continue;
      yield {
        at: statement,
        message: `Policy "${name}" of "${table}" is dropped, and none takes its place in the same transaction.`,
        fix: `ALTER POLICY ${quoteIdentifier(name)} ON ${quoteTable(table)} USING (…) WITH CHECK (…); -- there is never a moment without it`,
      };
    }
    for (const operation of migration.operations) {
      if (operation.name !== 'unprotectTable') continue;
      yield {
        at: operation,
        message: `Row-level security of "${operation.table ?? 'the table'}" is off: every tenant sees all its rows.`,
        fix: 'Leave it out; to change a policy use alterTenantPolicy().',
      };
    }
  },
});
