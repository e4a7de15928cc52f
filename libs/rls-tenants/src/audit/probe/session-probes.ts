import type { CatalogRelation } from '../database-catalog.js';
import type { DatabaseAudit } from '../database-audit.js';
import {
  HELD,
  inconclusiveBecause,
  LEAKED,
  mustSeeNothing,
  type ProbeLog,
  type Verdict,
} from './probe-log.js';
import {
  contextOutlives,
  readsOtherTenant,
  readsWithoutContext,
  sequenceReadable,
  settingOpens,
} from './probe-rules.js';
import type { Outcome, ProbeSession } from './probe-session.js';
import type { ProbeTarget } from './probe-target.js';
import { anyRowSql, lastValueSql, rowOfOthersSql, SETTING_VALUES_SQL } from './probe.sql.js';
import type { KnownTenants } from './tenants.js';

interface SessionProbes {
  readonly session: ProbeSession;
  readonly audit: DatabaseAudit;
  readonly log: ProbeLog;
}

/** How findings name the audited role. */
export function roleObject({ catalog }: DatabaseAudit): string {
  return `role "${catalog.appRole.name}"`;
}

/** Whether a connection has a tenant for which nobody set one. To be asked first, on a fresh connection. */
export async function probeFreshContext({ session, audit, log }: SessionProbes): Promise<void> {
  // What ALTER ROLE … SET stores, PostgreSQL applies at login and not at SET ROLE.
  const verdict = audit.catalog.auditsOwnConnection
    ? await settingIsUnset(session, audit)
    : inconclusiveBecause('settings stored for the role apply when it logs in, and another role logged in');
  log.record(contextOutlives, roleObject(audit), 'has a tenant on a fresh connection', verdict);
}

/** Whether the tenant of a transaction is still there after it, rolled back or committed. */
export async function probeContextAfter(
  { session, audit, log }: SessionProbes,
  tenant: string,
): Promise<void> {
  if (log.leaked(contextOutlives, roleObject(audit))) return;
  const record = async (way: string) =>
    log.record(contextOutlives, roleObject(audit), way, await settingIsUnset(session, audit));
  await session.attempt({ tenant }, 'SELECT 1');
  await record('keeps the tenant of a transaction that was rolled back');
  await session.commitEmpty({ tenant });
  await record('keeps the tenant of a transaction that was committed');
}

async function settingIsUnset(session: ProbeSession, { tenantSettings }: DatabaseAudit): Promise<Verdict> {
  const outcome = await session.attempt({ tenant: null }, SETTING_VALUES_SQL, [tenantSettings]);
  if (outcome.kind !== 'done') return inconclusiveBecause('the setting could not be read');
  return outcome.rowCount > 0 ? LEAKED : HELD;
}

/** Sequences of tenant tables whose last value the role may read. */
export async function probeSequences({ session, audit, log }: SessionProbes): Promise<void> {
  const tables = new Set(audit.protectedRelations.map(({ oid }) => oid));
  for (const { oid, ownedByTable, appSelect } of audit.database.sequences) {
    const sequence = audit.relation(oid);
    if (!sequence || !appSelect || ownedByTable === null || !tables.has(ownedByTable)) continue;
    const outcome = await session.attempt({ tenant: null }, lastValueSql(audit.quoted(sequence)));
    const verdict = outcome.kind === 'done' ? LEAKED : outcome.kind === 'inconclusive' ? outcome : HELD;
    const object = `sequence "${audit.nameOf(sequence)}"`;
    log.record(sequenceReadable, object, 'reads the last value, which all tenants share', verdict);
  }
}

const MAX_SETTINGS = 5;
const MAX_VALUES = 16;
const USUAL_VALUES = ['on', 'true', '1', 'yes', 'admin'];

/**
 * Any session may set any custom setting. Each one that the policies of a table read, themselves or in the functions
 * they call, is given usual values and those that the same text mentions.
 */
export async function probeSettings(
  { session, audit, log }: SessionProbes,
  { relation, object, quoted, owned, column }: ProbeTarget,
  tenants: KnownTenants,
): Promise<void> {
  // What is open anyway tells nothing of settings.
  if (log.leaked(readsWithoutContext, object) || log.leaked(readsOtherTenant, object)) return;
  const texts = policyTexts(audit, relation);
  const names = [...new Set(texts.flatMap(settingNamesIn))].filter(
    (name) => !audit.isTenantSetting({ name }),
  );
  const values = [...new Set([...USUAL_VALUES, ...texts.flatMap(literalsIn)])].slice(0, MAX_VALUES);
  const [tenant] = tenants.all;
  for (const name of names.slice(0, MAX_SETTINGS)) {
    for (const value of values) {
      const settings = { [name]: value };
      const seen: Outcome<{ seen: boolean }>[] = [
        await session.attempt({ tenant: '', settings }, anyRowSql(quoted)),
      ];
      if (tenant !== undefined && column !== undefined)
        seen.push(await session.attempt({ tenant, settings }, rowOfOthersSql(owned, column), [tenant]));
      const verdicts = seen.map(mustSeeNothing);
      const verdict = verdicts.find(({ kind }) => kind === 'leaked') ?? verdicts[0]!;
      log.record(settingOpens, object, `reads rows of others once it sets "${name}"`, verdict);
    }
  }
}

/** The policies that hold for the role, and the bodies of the functions they call. */
function policyTexts(audit: DatabaseAudit, relation: CatalogRelation): string[] {
  return audit.policiesForApp(relation).flatMap((policy) => {
    const functions = audit.dependenciesOf(relation, policy)?.functions ?? [];
    const bodies = functions.map((oid) => audit.function(oid)?.body ?? '');
    return [policy.using ?? '', policy.withCheck ?? '', ...bodies];
  });
}

// What these find is only tried, never judged: a miss or a false hit costs a probe.
function settingNamesIn(text: string): string[] {
  const calls = text.matchAll(/current_setting\s*\(\s*'([a-z_]\w*(?:\.[a-z_]\w*)+)'/gi);
  return [...calls].map(([, name]) => name!);
}

function literalsIn(text: string): string[] {
  return [...text.matchAll(/'((?:[^']|''){0,63})'/g)].map(([, literal]) => literal!.replaceAll("''", "'"));
}
