import { changeOwner } from '../fix-sql.js';
import { defineRule, existingTables } from '../rule.js';

/** RLS002: an owner may DISABLE ROW LEVEL SECURITY or drop a policy, whatever FORCE says. */
export const runtimeRoleOwns = defineRule({
  id: 'RLS002',
  title: 'runtime-role-owns',
  severity: 'critical',
  reason: 'The owner of a table, its schema or its database can switch isolation off with one statement.',
  *find({ server, appRole }, context) {
    const owned = (object: string, kind: 'TABLE' | 'SCHEMA' | 'DATABASE', name: string, power: string) => ({
      object,
      message: `The role "${appRole.name}" owns it and may ${power}.`,
      fix: changeOwner(kind, name),
    });
    const tables = existingTables(context);
    for (const { live, path } of tables) {
      if (live.owner === appRole.name)
        yield owned(`table "${path}"`, 'TABLE', path, 'disable row-level security or drop its policies');
    }
    const schemas = new Set(
      tables.filter(({ live }) => live.schemaOwner === appRole.name).map(({ live }) => live.schema),
    );
    for (const schema of schemas)
      yield owned(`schema "${schema}"`, 'SCHEMA', schema, 'drop or replace every table in it');
    if (server.databaseOwner === appRole.name)
      yield owned(
        `database "${server.database}"`,
        'DATABASE',
        server.database,
        'drop it or change its settings',
      );
  },
});
