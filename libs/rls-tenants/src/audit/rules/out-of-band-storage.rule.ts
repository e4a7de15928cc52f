import { scanSync } from 'libpg-query';
import type { DatabaseAudit } from '../database-audit.js';
import type { CatalogFunction } from '../database-catalog.js';
import { defineDatabaseRule, isTable, type Observation } from '../rule.js';
import { addTenant, moveLargeObjects } from '../table-fixes.js';

/** RLS035: what PostgreSQL keeps or sends outside of tables, or between them, has no policies. */
export const outOfBandStorage = defineDatabaseRule({
  id: 'RLS035',
  title: 'out-of-band-storage',
  severity: 'info',
  reason:
    "Large objects and notifications have no policies: the app role reads every tenant's, and what waits in an unlogged table without a tenant.",
  *find(audit) {
    yield* largeObjects(audit);
    yield* notifications(audit);
    yield* stagingTables(audit);
  },
});

function* largeObjects(audit: DatabaseAudit): Iterable<Observation> {
  for (const relation of audit.protectedRelations) {
    if (relation.isPartition) continue;
    for (const { name, type } of relation.columns.values()) {
      if (!/^(oid|(.+\.)?lo)$/.test(type)) continue;
      yield {
        object: `column "${name}" of table "${audit.nameOf(relation)}"`,
        message: `It is of type ${type}: the policies of the table hide the row, and not the large object it refers to.`,
        fix: moveLargeObjects(audit, relation, name),
      };
    }
  }
  if (!audit.database.largeObjects) return;
  yield {
    object: `database "${audit.catalog.server.database}"`,
    message: 'There are large objects. Their owner reads them all, whatever tenant it acts for.',
    fix: '-- Move each into a bytea column of a tenant table, and lo_unlink() it. Whose they are:\nSELECT oid, pg_get_userbyid(lomowner) FROM pg_largeobject_metadata;',
  };
}

function* notifications(audit: DatabaseAudit): Iterable<Observation> {
  for (const one of audit.database.functions) {
    if (one.extension !== null || !sendsPayload(one)) continue;
    yield {
      object: `function "${one.schema}.${one.name}(${one.arguments})"`,
      message: 'It sends a payload with pg_notify(), and whoever knows the channel listens, for any tenant.',
      fix: "-- Send no data: pg_notify('channel', ''), and let the listener read the rows as their tenant.",
    };
  }
}

/** Calls pg_notify with more than a literal, as PostgreSQL's lexer sees the body: not in comments and strings. */
function sendsPayload({ body, language }: CatalogFunction): boolean {
  if (body === null || !['sql', 'plpgsql'].includes(language)) return false;
  const tokens = scanSync(body).tokens.map(({ text }) => text.toLowerCase());
  return tokens.some((text, at) => {
    if (text !== 'pg_notify' || tokens[at + 1] !== '(') return false;
    const [comma, payload, close] = tokens.slice(at + 3);
    return !(comma === ',' && /^(e?'|null$)/.test(payload ?? '') && close === ')');
  });
}

function* stagingTables(audit: DatabaseAudit): Iterable<Observation> {
  const [like] = audit.tenantTables;
  for (const relation of audit.database.relations) {
    if (!like || relation.persistence !== 'u' || !isTable(relation) || audit.tenantTable(relation)) continue;
    if (!audit.appMay(relation, 'SELECT') || !audit.appMay(relation, 'INSERT', 'UPDATE')) continue;
    yield {
      object: `table "${audit.nameOf(relation)}"`,
      message: 'It is unlogged and has no tenant: what one tenant leaves there, every other reads.',
      fix: addTenant(audit, relation, like, []),
    };
  }
}
