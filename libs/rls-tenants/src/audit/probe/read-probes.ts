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
  plansOutlive,
  readsAsUnknownTenant,
  readsOtherTenant,
  readsWithoutContext,
  rowSecurityInactive,
} from './probe-rules.js';
import type { Actor, Outcome, ProbeSession } from './probe-session.js';
import type { ProbeTarget } from './probe-target.js';
import {
  anyRowSql,
  anyTenantsRowSql,
  deallocateSql,
  DIGEST_ROWS,
  digestSql,
  executeSql,
  noRowSql,
  prepareSql,
  rowAmongSql,
  rowDigestsSql,
  rowOfOthersSql,
  rowOfSql,
} from './probe.sql.js';
import { unknownTenant, type KnownTenants } from './tenants.js';

/** What the read probes share. */
export interface ReadProbes {
  readonly session: ProbeSession;
  readonly audit: DatabaseAudit;
  readonly log: ProbeLog;
  readonly tenants: KnownTenants;
}

type Seen = { seen: boolean };

const NO_ROWS = 'no row of a tenant is known to be there';
const ONE_TENANT = 'only one tenant is known';

/** What a session saw that never had a tenant setting: to be taken before any other probe sets it. */
export function readAsNobody(session: ProbeSession, target: ProbeTarget): Promise<Outcome<Seen>> {
  return session.attempt<Seen>({ tenant: null }, hiddenRowSql(target));
}

/** A row that nobody may see. A view may show rows of no tenant beside the tenants': those of a global table, joined. */
function hiddenRowSql({ isTable, column, quoted }: ProbeTarget): string {
  return isTable || column === undefined ? anyRowSql(quoted) : anyTenantsRowSql(quoted, column);
}

/** Reads one relation in every name that must not see its rows. */
export async function probeReads(
  probes: ReadProbes,
  target: ProbeTarget,
  asNobody: Outcome<Seen>,
): Promise<void> {
  // Where nothing is seen in time or for a lock, every further statement would wait as long.
  if (asNobody.kind === 'inconclusive')
    return probes.log.record(readsWithoutContext, target.object, '', asNobody);
  await probeWithoutTenant(probes, target, asNobody);
  if (target.isTable) await probeRowSecurity(probes, target);
  if (target.column !== undefined) await probeOthers(probes, target, target.column);
  else if (target.isTable) await probeOthersByContent(probes, target);
}

async function probeWithoutTenant(
  probes: ReadProbes,
  target: ProbeTarget,
  asNobody: Outcome<Seen>,
): Promise<void> {
  const { session, audit, log, tenants } = probes;
  const type = audit.tenantTable(target.sources[0] ?? target.relation)?.declared.tenantIdType;
  const unknown: Actor = { tenant: unknownTenant(type ?? audit.tenantTables[0]!.declared.tenantIdType) };
  const empty: Actor = { tenant: '' };
  const sql = hiddenRowSql(target);
  const verdictOf = async (actor: Actor, outcome: Outcome<Seen>): Promise<Verdict> => {
    const verdict = mustSeeNothing(outcome);
    if (verdict.kind === 'leaked' && !showsTenant(target)) return verdictOnContent(probes, actor, target);
    return verdict.kind === 'held' && tenants.holdersOf(target).length === 0
      ? inconclusiveBecause(NO_ROWS)
      : verdict;
  };
  const record = async (rule: typeof readsWithoutContext, way: string, actor: Actor, seen: Outcome<Seen>) =>
    log.record(rule, target.object, way, await verdictOf(actor, seen));
  await record(readsWithoutContext, 'reads rows without a tenant context', { tenant: null }, asNobody);
  await record(
    readsWithoutContext,
    'reads rows with an empty tenant setting',
    empty,
    await session.attempt<Seen>(empty, sql),
  );
  await record(
    readsAsUnknownTenant,
    'reads rows as a tenant that does not exist',
    unknown,
    await session.attempt<Seen>(unknown, hiddenRowSql({ ...target, quoted: target.owned })),
  );
}

function showsTenant({ isTable, column }: ProbeTarget): boolean {
  return isTable || column !== undefined;
}

/**
 * A view without the tenant may show a row for no rows, as a count does. It leaks if it shows nobody what it shows a
 * tenant that has rows.
 */
async function verdictOnContent(
  { session, tenants }: ReadProbes,
  actor: Actor,
  target: ProbeTarget,
): Promise<Verdict> {
  const [holder] = tenants.holdersOf(target);
  if (holder === undefined) return inconclusiveBecause(NO_ROWS);
  type Digest = { rows: number; digest: string };
  const sql = digestSql(target.quoted);
  const outcomes = [
    await session.attempt<Digest>(actor, sql),
    await session.attempt<Digest>({ tenant: holder }, sql),
  ];
  const [own, holders] = outcomes.map((outcome) => (outcome.kind === 'done' ? outcome.rows[0] : undefined));
  if (!own || !holders) return inconclusiveBecause('its rows, which name no tenant, could not be compared');
  if (own.rows > DIGEST_ROWS)
    return inconclusiveBecause('its rows, which name no tenant, are too many to compare');
  return own.digest === holders.digest ? LEAKED : HELD;
}

/** The cheapest test there is: it reads nothing, and PostgreSQL itself says whether policies hold for the role. */
async function probeRowSecurity({ session, log }: ReadProbes, { object, quoted }: ProbeTarget) {
  const outcome = await session.attempt({ tenant: '', settings: { row_security: 'off' } }, noRowSql(quoted));
  const verdict = outcome.kind === 'done' ? LEAKED : outcome.kind === 'inconclusive' ? outcome : HELD;
  log.record(rowSecurityInactive, object, 'is not subject to any policy', verdict);
}

/** Each tenant with rows in turn is the one whose rows another must not see. */
async function probeOthers(probes: ReadProbes, target: ProbeTarget, column: string): Promise<void> {
  const { log, tenants } = probes;
  const holders = tenants.holdersOf(target);
  const record = (verdict: Verdict, way = 'reads rows of another tenant') =>
    log.record(readsOtherTenant, target.object, way, verdict);
  if (holders.length === 0) return record(inconclusiveBecause(NO_ROWS));
  if (tenants.all.length < 2) return record(inconclusiveBecause(ONE_TENANT));
  for (const holder of holders) {
    const other = [...holders, ...tenants.all].find((tenant) => tenant !== holder)!;
    await probePair(probes, target, column, { holder, other });
  }
}

async function probePair(
  { session, log }: ReadProbes,
  target: ProbeTarget,
  column: string,
  { holder, other }: { holder: string; other: string },
): Promise<void> {
  const { object, owned } = target;
  const record = (way: string, verdict: Verdict) => log.record(readsOtherTenant, object, way, verdict);
  const control = await session.attempt<Seen>({ tenant: holder }, rowOfSql(owned, column), [holder]);
  // A table that shows nobody anything passes every test, and proves nothing.
  const seesOwn = control.kind === 'done' && control.rows[0]?.seen === true;
  if (!seesOwn && target.isTable)
    record('', inconclusiveBecause('a tenant does not see its own rows either'));

  const cross = await session.attempt<Seen>({ tenant: other }, rowOfSql(owned, column), [holder]);
  record('reads rows of another tenant', mustSeeNothing(cross));
  const rest = await session.attempt<Seen>({ tenant: other }, rowOfOthersSql(owned, column, target.isTable), [
    other,
  ]);
  record('reads rows that are not its own', mustSeeNothing(rest));
  // A row that every statement shows tells nothing of plans.
  if (target.isTable && !log.leaked(readsOtherTenant, object))
    await probePlan({ session, log }, target, column, { holder, other });
}

/**
 * A statement prepared and planned for one tenant is executed for another: it must not see the first one's rows, as it
 * would if a context function were folded into the plan.
 */
async function probePlan(
  { session, log }: Pick<ReadProbes, 'session' | 'log'>,
  { object, quoted, relation }: ProbeTarget,
  column: string,
  { holder, other }: { holder: string; other: string },
): Promise<void> {
  const name = `rls_probe_${relation.oid}`;
  const actor: Actor = { tenant: holder, settings: { plan_cache_mode: 'force_generic_plan' } };
  const verdict = await session.transaction(actor, async (run): Promise<Verdict> => {
    const prepared = await run(prepareSql(name, quoted, column, relation.columns.get(column)!.type));
    if (prepared.kind !== 'done') return inconclusiveBecause('the statement could not be prepared');
    const own = await run<Seen>(executeSql(name, holder));
    const became = await session.become({ ...actor, tenant: other });
    if (own.kind !== 'done' || became.kind !== 'done')
      return inconclusiveBecause('the prepared statement could not be run');
    return mustSeeNothing(await run<Seen>(executeSql(name, holder)));
  });
  // Prepared statements outlive the transaction, and not the connection.
  await session.attempt({ tenant: null }, deallocateSql(name));
  log.record(
    plansOutlive,
    object,
    'reads rows of the tenant for which a statement was first planned',
    verdict,
  );
}

/** For a join table without a tenant column: no row that one tenant sees may be seen by the other. */
async function probeOthersByContent({ session, log, tenants }: ReadProbes, target: ProbeTarget) {
  const { object, quoted } = target;
  const record = (verdict: Verdict) =>
    log.record(readsOtherTenant, object, 'reads rows of another tenant', verdict);
  const [holder, other] = tenants.holdersOf(target);
  if (holder === undefined || other === undefined) return record(inconclusiveBecause(ONE_TENANT));
  const own = await session.attempt<{ digest: string }>({ tenant: holder }, rowDigestsSql(quoted));
  if (own.kind !== 'done' || own.rowCount === 0) return record(inconclusiveBecause(NO_ROWS));
  const digests = own.rows.map(({ digest }) => digest);
  record(mustSeeNothing(await session.attempt<Seen>({ tenant: other }, rowAmongSql(quoted), [digests])));
}
