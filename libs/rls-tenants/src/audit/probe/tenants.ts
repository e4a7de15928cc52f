import { randomInt, randomUUID } from 'node:crypto';
import type { TenantIdType } from '../../context/tenant-id.js';
import type { DatabaseAudit } from '../database-audit.js';
import type { ProbeSession } from './probe-session.js';
import type { ProbeTarget } from './probe-target.js';
import { rowOfSql, someValuesSql, tenantsOfSql } from './probe.sql.js';

// Tenant ids stay in memory: no finding, count or message holds one.

/** Where the tenants come from. */
export interface TenantSource {
  readonly session: ProbeSession;
  readonly audit: DatabaseAudit;
  /** A role that sees every row, if the connection may become one. */
  readonly observer: string | undefined;
  /** Ids that the caller named; no others are used then. */
  readonly named: readonly string[];
}

/** The tenants that were found. */
export interface KnownTenants {
  /** Every one. */
  readonly all: readonly string[];
  /** Up to two with rows in a relation. For a view: in the tables it shows. */
  holdersOf(target: ProbeTarget): readonly string[];
}

/** How many tenants are tried on a table of which nobody knows whose rows it has. */
const MAX_CANDIDATES = 10;

/**
 * Finds up to two tenants with rows for each target: those named; else those that the observer sees; else those that
 * the table has which tenant columns refer to.
 */
export async function findTenants(
  source: TenantSource,
  targets: readonly ProbeTarget[],
): Promise<KnownTenants> {
  const holders = new Map<string, readonly string[]>();
  const tables = targets.filter(({ isTable }) => isTable);
  const { session, observer, named } = source;
  if (observer !== undefined && named.length === 0)
    for (const table of tables)
      holders.set(table.relation.oid, await observedTenants(session, observer, table));
  // The observer may lack a grant, on a partition for example.
  const seen = [...new Set([...holders.values()].flat())].slice(0, MAX_CANDIDATES);
  const candidates = named.length > 0 ? named : seen.length > 1 ? seen : await referencedTenants(source);
  for (const table of tables)
    if ((holders.get(table.relation.oid) ?? []).length === 0)
      holders.set(table.relation.oid, await tenantsWithRows(session, table, candidates));
  const all = [...new Set([...[...holders.values()].flat(), ...named])];
  return {
    all,
    holdersOf: ({ relation, sources, isTable, column }) => {
      // A join table without a tenant column belongs to the tenants of its sides, which are any.
      if (isTable) return column === undefined ? all.slice(0, 2) : (holders.get(relation.oid) ?? []);
      const shown = sources.flatMap(({ oid }) => holders.get(oid) ?? []);
      return [...new Set(sources.length === 0 ? all : shown)].slice(0, 2);
    },
  };
}

async function observedTenants(
  session: ProbeSession,
  observer: string,
  { owned, column }: ProbeTarget,
): Promise<string[]> {
  if (column === undefined) return [];
  const outcome = await session.attempt<{ least: string | null; greatest: string | null }>(
    { tenant: null, role: observer },
    tenantsOfSql(owned, column),
  );
  const ends = outcome.kind === 'done' ? [outcome.rows[0]?.least, outcome.rows[0]?.greatest] : [];
  return [...new Set(ends.filter((id): id is string => typeof id === 'string' && id !== ''))];
}

async function tenantsWithRows(
  session: ProbeSession,
  { owned, column }: ProbeTarget,
  candidates: readonly string[],
): Promise<string[]> {
  const found: string[] = [];
  for (const tenant of column === undefined ? [] : candidates) {
    const outcome = await session.attempt<{ seen: boolean }>({ tenant }, rowOfSql(owned, column!), [tenant]);
    if (outcome.kind === 'done' && outcome.rows[0]?.seen) found.push(tenant);
    if (found.length === 2) break;
  }
  return found;
}

/** Ids in the column that a tenant column is a foreign key to, where the audited role may read that table. */
async function referencedTenants({ session, audit }: TenantSource): Promise<string[]> {
  const references = new Map<string, { quoted: string; column: string }>();
  for (const { live, declared } of audit.tenantTables) {
    for (const { type, columns, referencedTable, referencedColumns } of audit.constraintsOf(live)) {
      const table = referencedTable === null ? undefined : audit.relation(referencedTable);
      if (type !== 'f' || columns.length !== 1 || columns[0] !== declared.tenantColumn || !table) continue;
      references.set(table.oid, { quoted: audit.quoted(table), column: referencedColumns[0]! });
    }
  }
  for (const { quoted, column } of references.values()) {
    const outcome = await session.attempt<{ value: string }>({ tenant: null }, someValuesSql(quoted, column));
    if (outcome.kind === 'done' && outcome.rowCount > 0) return outcome.rows.map(({ value }) => value);
  }
  return [];
}

/** An id that no tenant has: random, or for numbers far below zero. */
export function unknownTenant(type: TenantIdType): string {
  if (type === 'integer' || type === 'bigint') return String(-randomInt(1_000_000_000, 2_000_000_000));
  return randomUUID();
}
