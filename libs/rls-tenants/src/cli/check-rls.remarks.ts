import { describeProbe, TIERS, type Finding, type JudgedReport } from '../audit/index.js';

/** Something that is no finding, and without which a report would say more than it knows. */
export interface Remark {
  readonly text: string;
  /** Somebody has to do something about it. */
  readonly isWarning: boolean;
  /** The rule that it is about, if it is about one. */
  readonly ruleId?: string;
}

/** What was tried, which rules did not run, what was accepted, what is not shown, and which decisions are stale. */
export function remarksOf({ probe, skipped, accepted, belowMinimum, notes }: JudgedReport): Remark[] {
  const hidden = `${belowMinimum} finding(s) are below the minimum severity and not shown.`;
  return [
    ...(probe ? [{ text: describeProbe(probe), isWarning: false }] : []),
    ...skipped.map(({ id, title, reason }) => ({
      text: `${id} ${title} was skipped, which is no pass: ${reason}`,
      isWarning: false,
      ruleId: id,
    })),
    ...accepted.map((one) => ({
      text: `Accepted: ${one.finding.ruleId} ${one.finding.object}: ${acceptedBecause(one)}`,
      isWarning: false,
      ruleId: one.finding.ruleId,
    })),
    ...(belowMinimum === 0 ? [] : [{ text: hidden, isWarning: false }]),
    ...notes.map((text) => ({ text, isWarning: true })),
  ];
}

/** Who accepted a finding, why and until when. */
export function acceptedBecause({ by, reason, expires }: JudgedReport['accepted'][number]): string {
  if (by === 'baseline') return 'It is in the baseline.';
  return `${reason}${expires === undefined ? '' : ` (until ${expires})`}`;
}

/** `2 critical, 1 error, 0 warning, 3 info`. */
export function countsText({ findings }: Pick<JudgedReport, 'findings'>): string {
  const count = (severity: string) => findings.filter((finding) => finding.severity === severity).length;
  return ['critical', 'error', 'warning', 'info']
    .map((severity) => `${count(severity)} ${severity}`)
    .join(', ');
}

/** The findings that count, by tier, worst first. None is lost, whatever rule it is of. */
export function findingsByTier({
  findings,
  rules,
}: JudgedReport): { title: string; findings: readonly Finding[] }[] {
  const tiers = new Map(rules.map(({ id, tier }) => [id, tier]));
  return [...TIERS, 'Other findings']
    .map((title, tier) => ({
      title,
      findings: findings.filter(({ ruleId }) => (tiers.get(ruleId) ?? TIERS.length) === tier),
    }))
    .filter((one) => one.findings.length > 0);
}
