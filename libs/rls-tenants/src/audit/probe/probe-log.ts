import type { Finding } from '../finding.js';
import type { Outcome } from './probe-session.js';
import type { ProbeRule } from './probe-rules.js';

/** What one statement says about isolation. */
export type Verdict =
  | { readonly kind: 'held' }
  | { readonly kind: 'leaked' }
  | { readonly kind: 'inconclusive'; readonly reason: string };

/** Something that was tried. */
export interface Probed {
  /** In the words of findings: `table "public.note"`. */
  readonly object: string;
  /** How often something was tried on it, what was inconclusive included. */
  readonly probes: number;
}

/** Something that was tried and proves nothing. */
export interface Inconclusive {
  readonly object: string;
  /** Id of the kind of probe. */
  readonly ruleId: string;
  readonly reason: string;
}

/** A probe that got through. */
export interface Leak {
  readonly rule: ProbeRule;
  readonly object: string;
  /** How, one for each probe that got through. */
  readonly ways: readonly string[];
}

export const HELD: Verdict = { kind: 'held' };
export const LEAKED: Verdict = { kind: 'leaked' };

export function inconclusiveBecause(reason: string): Verdict {
  return { kind: 'inconclusive', reason };
}

/** The verdict on a statement that must see nothing: an error is as good as no row. */
export function mustSeeNothing(outcome: Outcome<{ seen: boolean }>): Verdict {
  if (outcome.kind === 'inconclusive') return outcome;
  return outcome.kind === 'done' && outcome.rows[0]?.seen === true ? LEAKED : HELD;
}

/** Keeps what was tried and what came of it. */
export class ProbeLog {
  private readonly counts = new Map<string, number>();
  private readonly leaksByKey = new Map<string, { rule: ProbeRule; object: string; ways: string[] }>();
  private readonly inconclusiveByKey = new Map<string, Inconclusive>();

  /** @param way completes "The app role …", for example `reads rows without a tenant context`. */
  record(rule: ProbeRule, object: string, way: string, verdict: Verdict): void {
    this.counts.set(object, (this.counts.get(object) ?? 0) + 1);
    const key = `${rule.id}\0${object}`;
    if (verdict.kind === 'inconclusive') {
      const { reason } = verdict;
      this.inconclusiveByKey.set(`${key}\0${reason}`, { object, ruleId: rule.id, reason });
    }
    if (verdict.kind !== 'leaked') return;
    const known = this.leaksByKey.get(key) ?? { rule, object, ways: [] };
    if (!known.ways.includes(way)) known.ways.push(way);
    this.leaksByKey.set(key, known);
  }

  get leaks(): readonly Leak[] {
    return [...this.leaksByKey.values()];
  }

  get inconclusive(): readonly Inconclusive[] {
    return [...this.inconclusiveByKey.values()];
  }

  get probed(): readonly Probed[] {
    return [...this.counts].map(([object, probes]) => ({ object, probes }));
  }

  leaked(rule: ProbeRule, object: string): boolean {
    return this.leaksByKey.has(`${rule.id}\0${object}`);
  }
}

/** A finding of a probe rule. */
export function findingOf(
  { id, title, severity }: ProbeRule,
  rest: Pick<Finding, 'object' | 'message' | 'fix'> & Partial<Pick<Finding, 'severity'>>,
): Finding {
  return { ruleId: id, title, severity, ...rest };
}
