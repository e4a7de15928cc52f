import type { CatalogPolicy } from '../catalog.js';
import type { PolicyCommand } from '../database-audit.js';
import { defineDatabaseRule } from '../rule.js';

const COMMANDS: readonly PolicyCommand[] = ['SELECT', 'INSERT', 'UPDATE', 'DELETE'];

/** RLS075: permissive policies for one command are joined by OR. */
export const manyPermissivePolicies = defineDatabaseRule({
  id: 'RLS075',
  title: 'many-permissive-policies',
  severity: 'info',
  reason:
    'Permissive policies for one command are joined by OR: each is evaluated for every row that the others refuse, and plans get worse.',
  *find(audit) {
    for (const relation of audit.protectedRelations) {
      const crowded = COMMANDS.map((command) => ({
        command,
        policies: audit.policiesForApp(relation, command).filter(({ permissive }) => permissive),
      })).filter(({ policies }) => policies.length > 1);
      if (crowded.length === 0) continue;
      const names = new Set(crowded.flatMap(({ policies }) => policies.map(({ name }) => name)));
      yield {
        object: `table "${audit.nameOf(relation)}"`,
        message: `For ${crowded.map(({ command }) => command).join(', ')} the app role has more than one permissive policy: ${quoted(names)}.`,
        fix: adviceFor(crowded.flatMap(({ policies }) => policies)),
      };
    }
  },
});

function adviceFor(policies: readonly CatalogPolicy[]): string {
  const commands = new Set(policies.map(({ command }) => command));
  return commands.has('ALL') && commands.size > 1
    ? '-- A policy FOR ALL counts for every command: drop the narrower one, or make it AS RESTRICTIVE if it is to narrow.'
    : '-- Write one policy with both conditions, or make the one that is to narrow AS RESTRICTIVE.';
}

function quoted(names: ReadonlySet<string>): string {
  return [...names].map((name) => `"${name}"`).join(', ');
}
