import { parseTableName } from '../../policies/index.js';
import { changes, defineRule, gathered } from '../rule.js';

/** MIG080: `migration:generate` drops every index that no entity declares, also the one that somebody made by hand because production needs it. */
export const dropsUnmanagedIndex = defineRule({
  id: 'MIG080',
  title: 'drops-unmanaged-index',
  severity: 'error',
  reason:
    '`migration:generate` drops every index that no entity declares, also the one that somebody made by hand because production needs it.',
  *find(migration, context) {
    const managed = managedIndexes(context);
    for (const { statement, change } of changes(migration, 'up', 'drop-index')) {
      const name = parseTableName(change.name).name;
      if (!GENERATED_DROP.test(statement.sql) || GENERATED_NAME.test(name) || managed.has(name)) continue;
      yield {
        at: statement,
        message: `Index "${name}" has no name of TypeORM's, and no migration that TypeORM generated creates it.`,
        fix: `Remove this statement, and declare the index so that TypeORM leaves it alone: @Index('${name}', { synchronize: false }). Suppress this if it is to go.`,
      };
    }
  },
});

/** As TypeORM writes it: with its schema, and all quoted. */
const GENERATED_DROP = /^DROP INDEX (?:CONCURRENTLY )?"(?:[^"]|"")+"\."(?:[^"]|"")+"$/;
const GENERATED_CREATE = /^CREATE (?:UNIQUE )?INDEX (?:CONCURRENTLY )?"(?:[^"]|"")+" ON "(?:[^"]|"")+"/;
const GENERATED_NAME = /^(?:IDX|UQ|REL)_[0-9a-f]{26,27}$/;

const managedIndexes = gathered(
  ({ migrations }) =>
    new Set(
      migrations.flatMap((one) =>
        changes(one, 'up', 'create-index')
          .filter(({ statement }) => GENERATED_CREATE.test(statement.sql))
          .map(({ change }) => change.name),
      ),
    ),
);
