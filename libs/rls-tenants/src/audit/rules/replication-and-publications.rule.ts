import type { DatabaseAudit } from '../database-audit.js';
import type { CatalogPublication } from '../database-catalog.js';
import { dropPublication, dropReplicationSlot } from '../hygiene-fixes.js';
import { defineDatabaseRule } from '../rule.js';

/** RLS027: what leaves the database as changes has passed no policy. */
export const replicationAndPublications = defineDatabaseRule({
  id: 'RLS027',
  title: 'replication-and-publications',
  severity: 'warning',
  reason:
    'Decoded changes pass no policy: whoever reads the publication or the slot reads the rows of every tenant.',
  *find(audit) {
    for (const publication of audit.database.publications) {
      const tables = publishedWhole(audit, publication);
      if (tables.length === 0) continue;
      yield {
        object: `publication "${publication.name}"`,
        message: `${publication.allTables ? 'FOR ALL TABLES: it' : 'It'} sends the rows of every tenant, of ${tables.length} table(s): ${tables.slice(0, 5).join(', ')}${tables.length > 5 ? ', …' : ''}.`,
        fix: adviceFor(audit, publication),
      };
    }
    for (const { name, plugin } of audit.database.replicationSlots) {
      // The consumers of pgoutput name publications.
      if (plugin === null || plugin === 'pgoutput') continue;
      yield {
        object: `replication slot "${name}"`,
        message: `Its plugin "${plugin}" decodes the changes of every table, whatever is published.`,
        fix: `-- Unless its consumer is meant to read every tenant’s rows.\n${dropReplicationSlot(name)}`,
      };
    }
  },
});

/** Protected tables without a row filter that holds them to one tenant. */
function publishedWhole(audit: DatabaseAudit, { tables }: CatalogPublication): string[] {
  return tables.flatMap(({ table, filter }) => {
    const relation = audit.relation(table);
    if (!relation || !audit.tenantTable(relation)) return [];
    const tenantColumn = audit.tenantColumnOf(relation);
    const comparisons = filter === null ? [] : audit.expression(filter, relation).comparisons;
    const oneTenant = comparisons.some(
      ({ column, operator, constant, conjunct }) =>
        column === tenantColumn && operator === '=' && constant && conjunct,
    );
    return oneTenant ? [] : [audit.nameOf(relation)];
  });
}

function adviceFor({ catalog }: DatabaseAudit, { name }: CatalogPublication): string {
  const filter =
    catalog.server.versionNumber >= 150000
      ? '\n-- For a consumer of one tenant: CREATE PUBLICATION … FOR TABLE … WHERE (<tenant column> = <tenant>), one for each.'
      : '';
  return `-- Unless its consumers are meant to read every tenant’s rows.${filter}\n${dropPublication(name)}`;
}
