import { DataSource } from 'typeorm';
import {
  examineDatabase,
  isFailure,
  type AuditOptions,
  type AuditReport,
} from '../../libs/rls-tenants/src/audit/index.js';
import { probeIsolation, type ProbeOptions } from '../../libs/rls-tenants/src/audit/probe/index.js';
import type { TestDatabase } from '../support/database.js';

export interface ProbeRun extends AuditOptions, ProbeOptions {
  /** Who connects. Default: the app role. */
  as?: 'app' | 'migrator' | 'superuser';
  /** Happens after the catalog was read and before anything is tried. */
  inBetween?: () => Promise<unknown>;
}

/** Audits and probes a test database as `check-rls --probe --url` does. */
export function probe(db: TestDatabase, { as = 'app', ...run }: ProbeRun = {}): Promise<AuditReport> {
  return probeAs(db.url(as), { adminRole: db.roles.admin, ...run });
}

/** The same over a connection string. */
export async function probeAs(
  url: string,
  { mode, tenants, inBetween, ...options }: Omit<ProbeRun, 'as'>,
): Promise<AuditReport> {
  const dataSource = await new DataSource({ type: 'postgres', url, poolSize: 1 }).initialize();
  try {
    const examination = await examineDatabase(dataSource, options);
    await inBetween?.();
    return await probeIsolation(dataSource, examination, { mode, tenants });
  } finally {
    await dataSource.destroy();
  }
}

/** What the probe found: ids and objects, without what the catalog found. */
export function probeFindings({ findings }: AuditReport): string[] {
  return findings
    .filter(({ ruleId }) => ruleId.startsWith('PRB'))
    .map(({ ruleId, object }) => `${ruleId} ${object}`)
    .sort();
}

/** What the probe got through, without remarks. */
export function probeLeaks(report: AuditReport): string[] {
  return probeFindings({ ...report, findings: report.findings.filter(isFailure) });
}

/** Every row of every table, and every sequence's value, as text. */
export async function dumpOf(db: TestDatabase): Promise<Record<string, unknown>> {
  const relations = await db.asSuperuser<{ name: string; kind: string }>(
    `SELECT format('%I.%I', n.nspname, c.relname) AS name, c.relkind AS kind
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = 'public' AND c.relkind IN ('r', 'm', 'S') ORDER BY 1`,
  );
  const dump: Record<string, unknown> = {};
  for (const { name, kind } of relations) {
    dump[name] = await db.asSuperuser(
      kind === 'S'
        ? `SELECT last_value, is_called FROM ${name}`
        : `SELECT tableoid::regclass::text, ctid::text, entry::text FROM ${name} AS entry ORDER BY 2`,
    );
  }
  return dump;
}
