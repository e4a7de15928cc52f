import { quoteLiteral } from '../../policies/index.js';
import { changes, defineRule, inTransaction } from '../rule.js';

/** MIG041: Renaming an enum away and giving its columns a new one writes their tables anew under ACCESS EXCLUSIVE; and a value that ADD VALUE added cannot be used before the transaction ends. */
export const enumChange = defineRule({
  id: 'MIG041',
  title: 'enum-change',
  severity: 'error',
  reason:
    'Renaming an enum away and giving its columns a new one writes their tables anew under ACCESS EXCLUSIVE; and a value that ADD VALUE added cannot be used before the transaction ends.',
  *find(migration) {
    for (const { statement, change } of changes(migration, 'up', 'rename')) {
      if (change.object !== 'type') continue;
      yield {
        at: statement,
        message: `Type "${change.from}" makes room for another: each column that changes to it has its table written anew under ACCESS EXCLUSIVE.`,
        fix: 'ALTER TYPE … ADD VALUE adds a value without reading a table. Leave unused values in place, or use text with a CHECK constraint.',
      };
    }
    if (!inTransaction(migration)) return;
    for (const { statement, change } of changes(migration, 'up', 'enum-value')) {
      const later = migration.statements.slice(migration.statements.indexOf(statement) + 1);
      const literal = quoteLiteral(change.value).trim();
      const use = later.find(({ direction, sql }) => direction === 'up' && sql.includes(literal));
      if (!use) continue;
      yield {
        at: use,
        message: `${literal} was added to "${change.type}" in this transaction, in which it cannot be used (SQLSTATE 55P04).`,
        fix: 'Move this statement into the next migration.',
      };
    }
  },
});
