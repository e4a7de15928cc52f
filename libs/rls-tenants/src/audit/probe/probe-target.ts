import type { CatalogRelation } from '../database-catalog.js';
import type { DatabaseAudit } from '../database-audit.js';
import { withoutTenantsSql } from './probe.sql.js';

/** A relation through which the audited role could reach rows of tenants. */
export interface ProbeTarget {
  readonly relation: CatalogRelation;
  /** In the words of findings. */
  readonly object: string;
  /** For SQL. */
  readonly quoted: string;
  /** For FROM: without shared rows, which every tenant may read. */
  readonly owned: string;
  /** Undefined if the relation does not show the tenant. */
  readonly column: string | undefined;
  /** The tenant tables whose rows it holds or shows, itself included. */
  readonly sources: readonly CatalogRelation[];
  /** A table under policies, and not a view. */
  readonly isTable: boolean;
}

/** Every tenant table, partition and child, and every view of one, that the audited role may read. */
export function readableTargets(audit: DatabaseAudit): ProbeTarget[] {
  return [...tableTargets(audit), ...viewTargets(audit)].filter(({ relation }) =>
    audit.appMay(relation, 'SELECT'),
  );
}

/** Every tenant table, partition and child that the audited role may write. */
export function writableTargets(audit: DatabaseAudit): ProbeTarget[] {
  return tableTargets(audit).filter(({ relation }) =>
    audit.appMay(relation, 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE'),
  );
}

function tableTargets(audit: DatabaseAudit): ProbeTarget[] {
  return audit.protectedRelations
    .filter(({ kind }) => kind === 'r' || kind === 'p')
    .map((relation) => ({
      relation,
      object: `table "${audit.nameOf(relation)}"`,
      quoted: audit.quoted(relation),
      owned: ownedSql(audit, relation, audit.tenantColumnOf(relation), [relation]),
      column: audit.tenantColumnOf(relation),
      sources: [relation],
      isTable: true,
    }));
}

function viewTargets(audit: DatabaseAudit): ProbeTarget[] {
  const protectedOids = new Set(audit.protectedRelations.map(({ oid }) => oid));
  const columns = tenantColumns(audit);
  return audit.database.relations.flatMap((relation) => {
    if (!/^[vm]$/.test(relation.kind) || relation.extension !== null) return [];
    const sources = audit
      .readsOf(relation)
      .map((read) => read.relation)
      .filter(({ oid }) => protectedOids.has(oid));
    // A view may reach a table through a function, which the catalog does not follow.
    const column = columns.find((name) => relation.columns.has(name));
    if (sources.length === 0 && column === undefined) return [];
    return [
      {
        relation,
        object: `${relation.kind === 'm' ? 'materialized view' : 'view'} "${audit.nameOf(relation)}"`,
        quoted: audit.quoted(relation),
        owned: ownedSql(audit, relation, column, sources),
        column,
        sources,
        isTable: false,
      },
    ];
  });
}

function ownedSql(
  audit: DatabaseAudit,
  relation: CatalogRelation,
  column: string | undefined,
  sources: readonly CatalogRelation[],
): string {
  if (column === undefined) return audit.quoted(relation);
  const shared = sources.flatMap((source) => audit.tenantTable(source)?.declared.sharedTenant ?? []);
  return withoutTenantsSql(audit.quoted(relation), column, [...new Set(shared.map(String))]);
}

/** The names that tenant columns have. */
export function tenantColumns(audit: DatabaseAudit): string[] {
  return [
    ...new Set(audit.tenantTables.flatMap(({ declared }) => (declared.sides ? [] : [declared.tenantColumn]))),
  ];
}
