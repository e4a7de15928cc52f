import type { SealKey } from '../../connection/index.js';
import { Sealer } from '../../connection/sealer.js';
import { sealSettingOf } from '../../policies/index.js';
import type { DatabaseAudit } from '../database-audit.js';
import { hasSealedPolicy } from '../sealed-policies.js';
import { sealOf } from '../seal.js';
import { HELD, inconclusiveBecause, mustSeeNothing, type ProbeLog, type Verdict } from './probe-log.js';
import { takesUnsealedTenant } from './probe-rules.js';
import type { ProbeSession } from './probe-session.js';
import type { ProbeTarget } from './probe-target.js';
import { anyRowSql, rowOfSql } from './probe.sql.js';
import type { KnownTenants } from './tenants.js';

/**
 * What seals a tenant, for each tenant setting that has a seal. Seals are for any backend and last for minutes.
 *
 * @throws RlsConfigurationError if the keys cannot be used.
 */
export async function sealing(
  { catalog, tenantSettings }: DatabaseAudit,
  keys: readonly SealKey[],
): Promise<(tenant: string) => Record<string, string>> {
  const sealers = new Map<string, Sealer>();
  for (const setting of tenantSettings)
    if (catalog.seals.some((seal) => seal.setting === setting))
      sealers.set(setting, await Sealer.of({ keys }, setting));
  return (tenant) =>
    Object.fromEntries(
      [...sealers].map(([setting, sealer]) => {
        void sealer.generation; // has it made anew before it is too old
        return [sealSettingOf(setting), tenant === '' ? '' : sealer.seal(tenant, '', 0)];
      }),
    );
}

/** The tenant tables, partitions and children of which a policy asks for a seal, by oid. */
export function sealedRelations(audit: DatabaseAudit): Set<string> {
  const oids = audit.protectedRelations.flatMap((live) => {
    const table = audit.tenantTable(live)!;
    const seal = sealOf(table.declared, audit.catalog);
    return seal && hasSealedPolicy({ table, live, seal }) ? [live.oid] : [];
  });
  return new Set(oids);
}

interface UnsealedProbes {
  readonly session: ProbeSession;
  readonly audit: DatabaseAudit;
  readonly log: ProbeLog;
  readonly tenants: KnownTenants;
}

/** What any SQL on the connection can do: set the plain setting, with no seal, or with the one that another tenant has. */
export async function probeUnsealed(
  { session, audit, log, tenants }: UnsealedProbes,
  target: ProbeTarget,
  named: readonly string[],
): Promise<void> {
  const { object, owned, quoted, column } = target;
  const holder = tenants.holdersOf(target)[0];
  const tenant = holder ?? named[0] ?? tenants.all[0];
  if (tenant === undefined)
    return log.record(takesUnsealedTenant, object, '', inconclusiveBecause('no tenant is known'));
  const settings = Object.fromEntries(audit.catalog.seals.map(({ setting }) => [sealSettingOf(setting), '']));
  const sql = column === undefined ? anyRowSql(quoted) : rowOfSql(owned, column);
  const outcome = await session.attempt<{ seen: boolean }>(
    { tenant, settings },
    sql,
    column === undefined ? [] : [tenant],
  );
  // Where no row is found PostgreSQL need not have asked.
  const verdict: Verdict =
    outcome.kind === 'refused'
      ? HELD
      : outcome.kind === 'done' && outcome.rows[0]?.seen !== true && holder === undefined
        ? inconclusiveBecause('no row of a tenant is known to be there')
        : mustSeeNothing(outcome);
  log.record(takesUnsealedTenant, object, 'reads rows of a tenant that it set without a seal', verdict);
}
