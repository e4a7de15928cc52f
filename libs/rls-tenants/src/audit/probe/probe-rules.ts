import type { ReportedRule } from '../audit.js';

/** One kind of behaviour that is tried. Its page is docs/probing.md. */
export interface ProbeRule extends ReportedRule {
  /** What leaks, in a sentence. */
  readonly reason: string;
  /** The catalog rules whose findings explain it. */
  readonly explainedBy: readonly string[];
  /** It changes rows, in transactions that are rolled back: only tried where writes are asked for. */
  readonly writes?: true;
}

/** Whatever makes the rows of a table visible to the wrong tenant. */
const READ_RULES =
  'RLS001 RLS002 RLS003 RLS004 RLS005 RLS007 RLS008 RLS009 RLS012 RLS020 RLS021 RLS028 RLS029 RLS055 RLS056 RLS057 RLS080'.split(
    ' ',
  );

const define = (rule: Omit<ProbeRule, 'tier'> & { tier?: number }): ProbeRule => ({ tier: 0, ...rule });

export const readsWithoutContext = define({
  id: 'PRB001',
  title: 'probe-read-without-context',
  severity: 'critical',
  reason: 'A statement that forgot its tenant must see no row.',
  explainedBy: [...READ_RULES, 'RLS011', 'RLS050', 'RLS051'],
});
export const readsAsUnknownTenant = define({
  id: 'PRB002',
  title: 'probe-read-as-unknown-tenant',
  severity: 'critical',
  reason: 'A tenant that does not exist owns no row.',
  explainedBy: [...READ_RULES, 'RLS050'],
});
export const readsOtherTenant = define({
  id: 'PRB003',
  title: 'probe-read-other-tenant',
  severity: 'critical',
  reason: 'A tenant must see its own rows and nobody else’s.',
  explainedBy: [...READ_RULES, 'RLS011', 'RLS043', 'RLS050'],
});
export const rowSecurityInactive = define({
  id: 'PRB004',
  title: 'probe-row-security-inactive',
  severity: 'critical',
  reason:
    'With row_security = off PostgreSQL refuses to read a table whose policies hold; where it does not refuse, no policy holds.',
  explainedBy: ['RLS001', 'RLS002', 'RLS003', 'RLS004', 'RLS005', 'RLS012'],
});
export const writesOtherTenant = define({
  id: 'PRB005',
  title: 'probe-write-other-tenant',
  severity: 'critical',
  reason: 'A tenant must not add, change, take or delete a row of another.',
  explainedBy: [...READ_RULES, 'RLS010'],
  writes: true,
});
export const truncates = define({
  id: 'PRB006',
  title: 'probe-truncate',
  severity: 'critical',
  reason: 'TRUNCATE asks no policy and deletes the rows of all tenants.',
  explainedBy: ['RLS001', 'RLS002', 'RLS003', 'RLS026'],
  writes: true,
});
export const contextOutlives = define({
  id: 'PRB007',
  title: 'probe-context-from-nowhere',
  severity: 'critical',
  reason: 'A connection for which nobody set a tenant must not act for one.',
  explainedBy: ['RLS011'],
  tier: 3,
});
export const functionLeaks = define({
  id: 'PRB008',
  title: 'probe-function',
  severity: 'critical',
  reason: 'What a function returns must be the rows of the tenant that calls it.',
  explainedBy: [...READ_RULES, 'RLS011', 'RLS022', 'RLS024'],
  tier: 1,
});
export const plansOutlive = define({
  id: 'PRB009',
  title: 'probe-plan-of-another-tenant',
  severity: 'critical',
  reason: 'A prepared statement must not keep the tenant for which it was first planned.',
  explainedBy: ['RLS034'],
  tier: 1,
});
export const settingOpens = define({
  id: 'PRB010',
  title: 'probe-setting-opens',
  severity: 'critical',
  reason: 'Any session may set any custom setting, so none but the tenant’s may open a table.',
  explainedBy: [...READ_RULES],
  tier: 1,
});
export const sequenceReadable = define({
  id: 'PRB011',
  title: 'probe-sequence-readable',
  severity: 'info',
  reason: 'The last value of a shared sequence tells a tenant how much the others do.',
  explainedBy: ['RLS046'],
  tier: 2,
});
export const takesUnsealedTenant = define({
  id: 'PRB012',
  title: 'probe-unsealed-tenant',
  severity: 'critical',
  reason: 'Where policies ask for a tenant seal, a tenant that none vouches for must see no row.',
  explainedBy: [...READ_RULES, 'RLS061', 'RLS064', 'RLS065'],
});
export const catalogMissedIt = define({
  id: 'PRB020',
  title: 'probe-disagrees',
  severity: 'critical',
  reason: 'The catalog says isolated and the behaviour says otherwise: believe the behaviour.',
  explainedBy: [],
});
export const notReproduced = define({
  id: 'PRB021',
  title: 'probe-not-reproduced',
  severity: 'info',
  reason: 'The catalog shows a hole and the probe did not get through: that does not close it.',
  explainedBy: [],
});
export const inconclusive = define({
  id: 'PRB022',
  title: 'probe-inconclusive',
  severity: 'warning',
  reason: 'What could not be tried is not a pass.',
  explainedBy: [],
});

/** Every kind of probe finding, by id. */
export const PROBE_RULES: readonly ProbeRule[] = [
  readsWithoutContext,
  readsAsUnknownTenant,
  readsOtherTenant,
  rowSecurityInactive,
  writesOtherTenant,
  truncates,
  contextOutlives,
  functionLeaks,
  plansOutlive,
  settingOpens,
  sequenceReadable,
  takesUnsealedTenant,
  catalogMissedIt,
  notReproduced,
  inconclusive,
];
