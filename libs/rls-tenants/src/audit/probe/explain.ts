import type { Catalog } from '../catalog.js';
import type { CatalogFunction } from '../database-catalog.js';
import type { DatabaseAudit } from '../database-audit.js';
import { isFailure, type Finding } from '../finding.js';
import type { RuleContext } from '../rule.js';
import { AUDIT_RULES } from '../rules/index.js';
import { functionObject } from './function-probes.js';
import { findingOf, type Leak, type ProbeLog } from './probe-log.js';
import { catalogMissedIt, notReproduced, PROBE_RULES, type ProbeRule } from './probe-rules.js';
import { roleObject } from './session-probes.js';
import type { ProbeTarget } from './probe-target.js';

/** What every rule of the catalog finds, whichever the caller asked for. */
export function catalogFindings(catalog: Catalog, context: RuleContext): Finding[] {
  return AUDIT_RULES.filter((rule) => rule.skips(catalog, context) === undefined).flatMap((rule) =>
    rule.check(catalog, context),
  );
}

/** Which catalog findings are about which probed objects. */
export class Explanations {
  private readonly names: ReadonlyMap<string, readonly string[]>;

  constructor(
    audit: DatabaseAudit,
    private readonly findings: readonly Finding[],
    targets: readonly ProbeTarget[],
  ) {
    this.names = new Map<string, readonly string[]>([
      ...targets.map((target) => [target.object, namesOf(audit, target)] as const),
      ...audit.database.functions.map(
        (one) => [functionObject(audit, one), namesInBody(audit, one)] as const,
      ),
      [roleObject(audit), ['']],
    ]);
  }

  /** The catalog findings that explain a leak. */
  of({ rule, object }: Leak): Finding[] {
    return this.findings.filter(
      (finding) => rule.explainedBy.includes(finding.ruleId) && this.concerns(finding, object),
    );
  }

  /** The catalog findings that fail an audit and that a probe could have shown, with the probes that could. */
  testable(): { finding: Finding; rules: readonly ProbeRule[] }[] {
    return this.findings.filter(isFailure).flatMap((finding) => {
      const rules = PROBE_RULES.filter(({ id }) => SHOWN_BY[finding.ruleId]?.includes(id));
      return rules.length === 0 ? [] : [{ finding, rules }];
    });
  }

  /** A finding about a role or a setting is about everything the role reaches. */
  concerns(finding: Finding, object: string): boolean {
    return (
      !/\b(?:table|view|function|sequence) "/.test(finding.object) ||
      (this.names.get(object) ?? [object]).some((name) => finding.object.includes(name))
    );
  }
}

/** A relation, what a view shows, and the functions that their policies call. */
function namesOf(audit: DatabaseAudit, { relation, sources }: ProbeTarget): string[] {
  const relations = [relation, ...sources];
  const functions = relations
    .flatMap((one) => one.policies.flatMap((policy) => audit.dependenciesOf(one, policy)?.functions ?? []))
    .flatMap((oid) => audit.function(oid) ?? []);
  return [
    ...relations.map((one) => `"${audit.nameOf(one)}"`),
    ...functions.map((one) => functionObject(audit, one)),
  ];
}

/** A function, and the tables whose names are somewhere in its body: a hole of theirs may be what it shows. */
function namesInBody(audit: DatabaseAudit, one: CatalogFunction): string[] {
  const tables = audit.protectedRelations.filter(({ name }) => one.body?.includes(name));
  return [functionObject(audit, one), ...tables.map((table) => `"${audit.nameOf(table)}"`)];
}

/** Catalog rules whose hole shows in the behaviour at once, and where. */
const SHOWN_BY: Readonly<Record<string, readonly string[]>> = {
  RLS004: ['PRB001', 'PRB002', 'PRB003', 'PRB004'],
  RLS005: ['PRB001', 'PRB003', 'PRB004'],
  RLS007: ['PRB001', 'PRB002', 'PRB003', 'PRB005', 'PRB010'],
  RLS008: ['PRB001', 'PRB003', 'PRB010'],
  RLS009: ['PRB001', 'PRB002', 'PRB003', 'PRB005', 'PRB010'],
  RLS010: ['PRB005'],
  RLS011: ['PRB007'],
  RLS012: ['PRB001', 'PRB003', 'PRB004'],
  RLS020: ['PRB001', 'PRB003'],
  RLS021: ['PRB001', 'PRB003'],
  RLS022: ['PRB008'],
  RLS028: ['PRB010'],
  RLS034: ['PRB009'],
};

/** Where catalog and behaviour disagree, in both directions. */
export function disagreements(log: ProbeLog, explanations: Explanations, writes: boolean): Finding[] {
  const unexplained = log.leaks.filter(
    (leak) => explanations.of(leak).length === 0 && leak.rule.severity !== 'info',
  );
  const byObject = new Map<string, Leak[]>();
  for (const leak of unexplained) byObject.set(leak.object, [...(byObject.get(leak.object) ?? []), leak]);
  return [
    ...[...byObject].map(([object, leaks]) => missed(object, leaks)),
    ...explanations.testable().flatMap(({ finding, rules }) => {
      const shown = log.leaks.some(
        (leak) => rules.includes(leak.rule) && explanations.concerns(finding, leak.object),
      );
      return shown ? [] : [unseen(finding, whyUnseen(finding, rules, log, explanations, writes))];
    }),
  ];
}

function missed(object: string, leaks: readonly Leak[]): Finding {
  const ids = leaks.map(({ rule }) => rule.id).join(', ');
  return findingOf(catalogMissedIt, {
    object,
    message: `No rule of the catalog explains what the probe did (${ids}): the catalog says isolated, the behaviour leaks.`,
    fix: '-- Read what the policies, functions and triggers around it really do; their bodies decide, and no catalog tells.',
  });
}

function unseen(finding: Finding, reason: string): Finding {
  return findingOf(notReproduced, {
    object: finding.object,
    message: `${finding.ruleId} ${finding.title} was not reproduced here: ${reason}.`,
    fix: `-- The hole is open all the same. Fix ${finding.ruleId}.`,
  });
}

function whyUnseen(
  finding: Finding,
  rules: readonly ProbeRule[],
  log: ProbeLog,
  explanations: Explanations,
  writes: boolean,
): string {
  const about = (object: string) => explanations.concerns(finding, object);
  const open = log.inconclusive.find(
    ({ object, ruleId }) => about(object) && rules.some(({ id }) => id === ruleId),
  );
  if (open) return open.reason;
  if (!writes && rules.some((rule) => rule.writes)) return 'writes were not tried';
  return log.probed.some(({ object }) => about(object))
    ? 'it opens under conditions that the probe did not meet, such as another role, setting or row'
    : 'the role could not try it, for want of a privilege or because it takes arguments';
}
