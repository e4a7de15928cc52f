import { defineDatabaseRule } from '../rule.js';

/** RLS087: after the test suite, PostgreSQL's statistics tell which tables nothing has read. */
export const untestedPolicy = defineDatabaseRule({
  id: 'RLS087',
  title: 'untested-policy',
  severity: 'info',
  optIn: 'it means something on a database on which the tests have just run.',
  reason: 'A policy on a table of which no statement has read a row has been tried by no test.',
  *find(audit) {
    for (const { live, path } of audit.tenantTables) {
      const stored = [live, ...audit.partitionsOf(live)];
      const wasRead = stored.some(
        (relation) => relation.seqRows > 0 || audit.indexesOf(relation).some(({ scans }) => scans > 0),
      );
      if (wasRead || live.policies.length === 0) continue;
      yield {
        object: `table "${path}"`,
        message:
          'No statement has read a row of it since its statistics began, so that no test has tried its policies.',
        fix: '-- Test as the app role that a tenant sees its rows and not another’s. nestjs-rls-tenants/testing has the assertions.',
      };
    }
  },
});
