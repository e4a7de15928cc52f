import type { Migration } from '../migration.js';
import { defineRule, gathered } from '../rule.js';

/** MIG081: TypeORM sorts migrations by timestamp and knows them by name: with two of one timestamp the order is left to chance, and of two of one name only one runs. */
export const duplicateMigration = defineRule({
  id: 'MIG081',
  title: 'duplicate-migration',
  severity: 'warning',
  reason:
    'TypeORM sorts migrations by timestamp and knows them by name: with two of one timestamp the order is left to chance, and of two of one name only one runs.',
  *find(migration, context) {
    const { named, stamped } = twins(context);
    const candidates = [
      ...(named.get(migration.className) ?? []),
      ...(migration.timestamp === undefined ? [] : (stamped.get(migration.timestamp) ?? [])),
    ];
    const same = candidates.find(
      (other) =>
        other !== migration &&
        (other.className === migration.className ||
          (other.timestamp !== undefined && other.timestamp === migration.timestamp)) &&
        // Once for each pair, at the later file.
        (other.file < migration.file || (other.file === migration.file && other.line < migration.line)),
    );
    if (!same) return;
    yield {
      at: migration,
      message: `${migration.className} has the ${same.className === migration.className ? 'name' : 'timestamp'} of ${same.className} in ${same.file}.`,
      fix: 'Give it a timestamp of its own, in its class name and its file name.',
    };
  },
});

const twins = gathered(({ migrations }) => ({
  named: grouped(migrations, ({ className }) => className),
  stamped: grouped(migrations, ({ timestamp }) => timestamp),
}));

function grouped<Key>(
  migrations: readonly Migration[],
  keyOf: (migration: Migration) => Key,
): Map<Key, Migration[]> {
  const groups = new Map<Key, Migration[]>();
  for (const migration of migrations) {
    const group = groups.get(keyOf(migration));
    if (group) group.push(migration);
    else groups.set(keyOf(migration), [migration]);
  }
  return groups;
}
