import type { PolicyCommand } from '../database-audit.js';
import { revokePrivilege } from '../fix-sql.js';
import { defineDatabaseRule } from '../rule.js';

const COMMANDS: readonly PolicyCommand[] = ['SELECT', 'INSERT', 'UPDATE', 'DELETE'];

/** RLS054: without a policy for a command that is granted, the command finds no rows and says nothing. */
export const commandGap = defineDatabaseRule({
  id: 'RLS054',
  title: 'command-gap',
  severity: 'warning',
  reason:
    'A command that is granted and that no policy admits finds no rows of the own tenant either, and reports success.',
  *find(audit) {
    const { appRole } = audit.catalog;
    if (appRole.superuser || appRole.bypassRls) return;
    for (const relation of audit.protectedRelations) {
      const admits = (command?: PolicyCommand) =>
        audit.policiesForApp(relation, command).some(({ permissive }) => permissive);
      // Where no command is admitted, that is RLS053's.
      if (!relation.rlsEnabled || !admits()) continue;
      const missing = COMMANDS.filter((command) => audit.appMay(relation, command) && !admits(command));
      if (missing.length === 0) continue;
      const grants = relation.grants.filter(({ privilege }) => missing.some((one) => one === privilege));
      yield {
        object: `table "${audit.nameOf(relation)}"`,
        message: `${missing.join(' and ')} ${missing.length === 1 ? 'is' : 'are'} granted to the app role "${appRole.name}", and no policy admits it to any row.`,
        fix: [
          `-- Or, where it is meant to: a policy FOR ${missing.join(', and one FOR ')}.`,
          ...grants.map((grant) => revokePrivilege(audit.nameOf(relation), grant)),
        ].join('\n'),
      };
    }
  },
});
