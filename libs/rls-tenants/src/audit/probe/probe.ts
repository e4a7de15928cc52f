import type { DataSource } from 'typeorm';
import { parseTenantId } from '../../context/tenant-id.js';
import { RlsConfigurationError } from '../../errors.js';
import type { SealKey } from '../../connection/index.js';
import type { AuditReport, Examination, ReportedRule, SkippedRule } from '../audit.js';
import type { DatabaseAudit } from '../database-audit.js';
import { sortFindings, type Finding } from '../finding.js';
import { catalogFindings, disagreements, Explanations } from './explain.js';
import { probeFunctions } from './function-probes.js';
import {
  findingOf,
  inconclusiveBecause,
  ProbeLog,
  type Inconclusive,
  type Leak,
  type Probed,
} from './probe-log.js';
import { inconclusive, PROBE_RULES, readsOtherTenant, type ProbeRule } from './probe-rules.js';
import { connectForProbe, ProbeSession } from './probe-session.js';
import { readableTargets, writableTargets, type ProbeTarget } from './probe-target.js';
import { IDENTITY_SQL } from './probe.sql.js';
import { probeReads, readAsNobody } from './read-probes.js';
import { probeUnsealed, sealedRelations, sealing } from './seal-probes.js';
import { probeContextAfter, probeFreshContext, probeSequences, probeSettings } from './session-probes.js';
import { findTenants, unknownTenant } from './tenants.js';
import { probeWrites } from './write-probes.js';

/** `read` tries to read what is not the tenant's, in read-only transactions; `write` tries to change it as well. */
export type ProbeMode = 'read' | 'write';

/** How to probe. */
export interface ProbeOptions {
  /** Default `'read'`. */
  mode?: ProbeMode | undefined;
  /** Two tenants that have rows. Default: found through the admin role or the tenants' own table. */
  tenants?: readonly string[] | undefined;
  /** Keys of the tenant seal, as the application has them. Without one, tables that ask for a seal are not probed. */
  sealKeys?: readonly SealKey[] | undefined;
}

/** What was tried. */
export interface ProbeReport {
  readonly mode: ProbeMode;
  /** How many probes there were. */
  readonly probes: number;
  /** How many tenants they knew: with fewer than two nobody can be shown to be kept from another. */
  readonly tenants: number;
  /** Each object with the number of its probes. */
  readonly probed: readonly Probed[];
  /** What proves nothing, and why. Never a pass. */
  readonly inconclusive: readonly Inconclusive[];
}

/** What was tried, on one line. */
export function describeProbe({ mode, probes, probed, tenants, inconclusive: open }: ProbeReport): string {
  const tried = mode === 'write' ? 'reads and writes' : 'reads';
  return `Probed ${tried}: ${probes} probe(s) on ${probed.length} object(s) with ${tenants} tenant(s), ${open.length} inconclusive.`;
}

/**
 * Tries what the catalog promises: as the audited role, over a connection of its own, in transactions that are always
 * rolled back and statements that are bounded in time. Adds what gets through, where catalog and behaviour disagree and
 * what could not be tried to the report. No row and no tenant id is in it.
 *
 * @throws RlsConfigurationError if it could not probe: the connection cannot become the audited role, that role is a
 * superuser, a tenant id is none, or there is nothing that the role can reach.
 */
export async function probeIsolation(
  dataSource: DataSource,
  examination: Examination,
  { mode = 'read', tenants = [], sealKeys }: ProbeOptions = {},
): Promise<AuditReport> {
  const audit = wholeScope(examination);
  const named = tenants.map((id) => parseTenantId(audit.tenantTables[0]!.declared.tenantIdType, id));
  if (named.length === 1 || new Set(named).size < named.length) {
    throw new RlsConfigurationError(
      'Could not probe: the tenants are not two different ones.',
      'Name two tenants that have rows, or none to let them be found.',
    );
  }
  const sealsOf = sealKeys && (await sealing(audit, sealKeys));
  const client = await connectForProbe(dataSource);
  try {
    const session = new ProbeSession(client, audit.tenantSettings, roleToBecome(audit), sealsOf);
    await assertAuditedRole(session, audit);
    const { log, known } = await runProbes(session, audit, mode, { named, hasKeys: sealsOf !== undefined });
    return withProbes(examination, audit, log, { mode, tenants: known });
  } finally {
    await client.end();
  }
}

function wholeScope({ context }: Examination): DatabaseAudit {
  const { database } = context;
  if (database && database.tenantTables.length > 0) return database;
  throw new RlsConfigurationError(
    'Could not probe: no tenant table exists.',
    'Create the tables first, by running the migrations.',
  );
}

/** `none` is SQL's word for the role that logged in. */
function roleToBecome({ catalog: { appRole, server } }: DatabaseAudit): string {
  return appRole.name === server.sessionUser ? 'none' : appRole.name;
}

async function assertAuditedRole(session: ProbeSession, { catalog }: DatabaseAudit): Promise<void> {
  const { name } = catalog.appRole;
  const outcome = await session.attempt<{ role: string; superuser: boolean }>({ tenant: null }, IDENTITY_SQL);
  const identity = outcome.kind === 'done' ? outcome.rows[0] : undefined;
  if (identity?.role === name && !identity.superuser) return;
  throw new RlsConfigurationError(
    identity?.role === name
      ? `Could not probe: role "${name}" is a superuser, for whom nothing holds.`
      : `Could not probe: the connection of role "${catalog.server.sessionUser}" cannot become role "${name}".`,
    'Connect as the app role, or as a role that may SET ROLE to it and name it with --role.',
  );
}

/** A role that sees all rows, to prove that there are any: an admin role, or the login if it is exempt. */
function observerOf({ catalog: { server }, roles, adminRoles }: DatabaseAudit): string | undefined {
  const { sessionUser } = server;
  if (roles.isExempt(sessionUser)) return 'none';
  return adminRoles.find((role) => role !== sessionUser && roles.maySetRole(sessionUser, role));
}

const NO_KEY =
  'its policies ask for a tenant seal, and there is no key to make one with (RLS_SEAL_KEYS, as the application has it)';

async function runProbes(
  session: ProbeSession,
  audit: DatabaseAudit,
  mode: ProbeMode,
  { named, hasKeys }: { named: readonly string[]; hasKeys: boolean },
): Promise<{ log: ProbeLog; known: number }> {
  const log = new ProbeLog();
  const observer = observerOf(audit);
  const sealed = sealedRelations(audit);
  const asksForSeal = ({ sources }: ProbeTarget) => sources.some(({ oid }) => sealed.has(oid));
  const all = readableTargets(audit);
  const readable = hasKeys ? all : all.filter((target) => !asksForSeal(target));
  // What is seen before any setting is made comes first: afterwards the setting is '' and never again unset.
  await probeFreshContext({ session, audit, log });
  const asNobody = new Map<string, Awaited<ReturnType<typeof readAsNobody>>>();
  for (const target of readable) asNobody.set(target.object, await readAsNobody(session, target));

  const tenants = await findTenants({ session, audit, observer, named }, readable);
  const shared = { session, audit, log, tenants };
  for (const target of readable) {
    await probeReads(shared, target, asNobody.get(target.object)!);
    if (target.isTable) await probeSettings(shared, target, tenants);
  }
  for (const target of all.filter(asksForSeal)) {
    if (!hasKeys) log.record(readsOtherTenant, target.object, '', inconclusiveBecause(NO_KEY));
    if (target.isTable) await probeUnsealed(shared, target, named);
  }
  await probeFunctions(shared);
  await probeSequences(shared);
  const { tenantIdType } = audit.tenantTables[0]!.declared;
  await probeContextAfter(shared, tenants.all[0] ?? unknownTenant(tenantIdType));
  if (mode === 'write')
    for (const target of writableTargets(audit))
      if (hasKeys || !asksForSeal(target)) await probeWrites(shared, target);
  return { log, known: tenants.all.length };
}

function withProbes(
  { report, catalog, context }: Examination,
  audit: DatabaseAudit,
  log: ProbeLog,
  { mode, tenants }: { mode: ProbeMode; tenants: number },
): AuditReport {
  if (log.probed.every(({ object }) => object.startsWith('role '))) {
    throw new RlsConfigurationError(
      `Could not probe: role "${report.role}" can reach no tenant table.`,
      'Grant the app role what the application needs (setup-roles does), or name the right role.',
    );
  }
  const explanations = new Explanations(audit, catalogFindings(catalog, context), [
    ...readableTargets(audit),
    ...writableTargets(audit),
  ]);
  const writes = mode === 'write';
  const ran = PROBE_RULES.filter((rule) => writes || !rule.writes);
  const skipped = PROBE_RULES.filter((rule) => !ran.includes(rule)).map((rule): SkippedRule => ({
    ...described(rule),
    reason: 'Writes were not asked for: --probe write.',
  }));
  const byId = (a: ReportedRule, b: ReportedRule) => (a.id < b.id ? -1 : 1);
  return {
    ...report,
    findings: sortFindings([
      ...report.findings,
      ...log.leaks.map((leak) => leakFinding(leak, explanations.of(leak))),
      ...disagreements(log, explanations, writes),
      ...inconclusiveFindings(log),
    ]),
    rules: [...report.rules, ...ran.map(described)].sort(byId),
    skipped: [...report.skipped, ...skipped].sort(byId),
    probe: {
      mode,
      tenants,
      probes: log.probed.reduce((sum, { probes }) => sum + probes, 0),
      probed: log.probed,
      inconclusive: log.inconclusive,
    },
  };
}

function described({ id, title, severity, tier }: ProbeRule): ReportedRule {
  return { id, title, severity, tier };
}

function leakFinding({ rule, object, ways }: Leak, explanations: readonly Finding[]): Finding {
  const ids = [...new Set(explanations.map(({ ruleId }) => ruleId))];
  const because = ids.length > 0 ? ` In the catalog: ${ids.join(', ')}.` : '';
  return findingOf(rule, {
    object,
    message: `The app role ${ways.join('; ')}.${because}`,
    // The SQL is the catalog finding's: a second copy would be a second step of a migration.
    fix:
      ids.length > 0
        ? `-- Fix ${ids.join(', ')}: see the findings there.`
        : '-- See docs/probing.md for what was tried.',
  });
}

/** One for each object: what could not be tried there, and why. */
function inconclusiveFindings({ inconclusive: open }: ProbeLog): Finding[] {
  return [...new Set(open.map(({ object }) => object))].map((object) => {
    const ones = open.filter((one) => one.object === object);
    const reasons = [...new Set(ones.map(({ reason }) => reason))].map((reason) => {
      const ids = ones.filter((one) => one.reason === reason).map(({ ruleId }) => ruleId);
      return `${reason} (${ids.join(', ')})`;
    });
    return findingOf(inconclusive, {
      object,
      message: `Could not be tried: ${reasons.join('; ')}.`,
      fix: '-- Probe a database in which two tenants have rows in every table, with --probe-tenants or an admin role that the login may become.',
    });
  });
}
