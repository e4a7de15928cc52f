import { defineRule } from '../rule.js';

/** MIG059: An entity is the schema of today's code, not of the day of the migration: the query it makes fails once a later migration has not run yet, and it runs in nobody's tenant context. */
export const entityInMigration = defineRule({
  id: 'MIG059',
  title: 'entity-in-migration',
  severity: 'error',
  reason:
    "An entity is the schema of today's code, not of the day of the migration: the query it makes fails once a later migration has not run yet, and it runs in nobody's tenant context.",
  *find(migration) {
    for (const use of migration.entityUses) {
      yield {
        at: use,
        message: `${use.what} uses the application's entities as they are today.`,
        fix: 'Write the SQL out in `queryRunner.query()`.',
      };
    }
  },
});
