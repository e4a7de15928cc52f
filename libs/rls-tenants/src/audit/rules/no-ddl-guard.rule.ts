import type { DatabaseAudit } from '../database-audit.js';
import type { CatalogEventTrigger, CatalogFunction } from '../database-catalog.js';
import { createGuard, enableEventTrigger, remakeGuard, TABLE_TAGS } from '../hygiene-fixes.js';
import { defineDatabaseRule } from '../rule.js';

/** RLS083: an event trigger that protects new tables must be on, and see every way in which tables are made. */
export const noDdlGuard = defineDatabaseRule({
  id: 'RLS083',
  title: 'no-ddl-guard',
  severity: 'info',
  reason:
    'A new table has no row-level security. An event trigger that enables it must be on, and fire for every command that makes a table.',
  skip: (audit, { requested }) =>
    guardsOf(audit).length === 0 && !requested.has('RLS083')
      ? 'No event trigger guards new tables; ask for the rule to have that as a finding.'
      : undefined,
  *find(audit) {
    const guards = guardsOf(audit);
    if (guards.length === 0) {
      yield {
        object: `database "${audit.catalog.server.database}"`,
        message: 'No event trigger enables row-level security on new tables.',
        fix: createGuard(),
      };
      return;
    }
    const on = guards.filter(({ trigger }) => trigger.enabled === 'O' || trigger.enabled === 'A');
    for (const { trigger } of guards.filter((guard) => !on.includes(guard))) {
      yield {
        object: `event trigger "${trigger.name}"`,
        message: 'It is disabled, or fires on replicas only.',
        fix: enableEventTrigger(trigger),
      };
    }
    const missing = TABLE_TAGS.filter((tag) => !on.some(({ trigger }) => firesFor(trigger, tag)));
    const [first] = on;
    if (first === undefined || missing.length === 0) return;
    yield {
      object: `event trigger "${first.trigger.name}"`,
      message: `It does not fire for ${missing.join(', ')}, which make tables too.`,
      fix: remakeGuard(first.trigger, first.calls, [...new Set([...first.trigger.tags, ...TABLE_TAGS])]),
    };
  },
});

interface Guard {
  readonly trigger: CatalogEventTrigger;
  readonly calls: CatalogFunction;
}

/** Event triggers after commands whose function has to do with row-level security. */
function guardsOf(audit: DatabaseAudit): Guard[] {
  return audit.database.eventTriggers.flatMap((trigger) => {
    const calls = audit.function(trigger.function);
    const guards = /row\s+level\s+security|relrowsecurity|relforcerowsecurity/i.test(calls?.body ?? '');
    return trigger.event === 'ddl_command_end' && calls && guards ? [{ trigger, calls }] : [];
  });
}

function firesFor({ tags }: CatalogEventTrigger, tag: string): boolean {
  return tags.length === 0 || tags.includes(tag);
}
