import { createHash } from 'node:crypto';
import {
  AUDIT_RULES,
  fingerprint,
  PROBE_RULES,
  type Finding,
  type JudgedReport,
  type Severity,
} from '../audit/index.js';
import type { ReportView } from './check-rls.formats.js';
import { remarksOf } from './check-rls.remarks.js';
import { sarifPlace, sarifRule, sarifText } from './sarif.js';

const LEVELS = { critical: 'error', error: 'error', warning: 'warning', info: 'note' } as const;

/** GitHub's own severities of security alerts: above 9, 7, 4 and 0. */
const SECURITY_SEVERITIES: Readonly<Record<Severity, string>> = {
  critical: '9.5',
  error: '8.0',
  warning: '5.0',
  info: '2.0',
};

/**
 * SARIF 2.1.0 as GitHub's code scanning takes it. Objects of a database are logical locations; GitHub refuses results
 * without a file, so each also has the file that the audit was started from. It tells alerts of one rule and file apart by
 * `primaryLocationLineHash` only, so that is the fingerprint. What is accepted is a notification: GitHub would open an
 * alert for a result, suppressed or not.
 */
export function sarifReport(report: JudgedReport, { place }: Pick<ReportView, 'place'>): string {
  return sarifText({
    name: 'rls-tenants check-rls',
    rules: rulesOf(report),
    results: report.findings.map((finding) => result(finding, place)),
    notifications: remarksOf(report).map(({ text, isWarning, ruleId }) => ({
      level: isWarning ? 'warning' : 'note',
      text,
      ruleId,
    })),
  });
}

function rulesOf({ rules, skipped }: JudgedReport): object[] {
  return [...rules, ...skipped].map(({ id, title, severity }) => {
    const reason = [...AUDIT_RULES, ...PROBE_RULES].find((rule) => rule.id === id)?.reason ?? title;
    return {
      ...sarifRule(id, title, reason, `rls-tenants check-rls --explain ${id}`),
      defaultConfiguration: { level: LEVELS[severity] },
      properties: { 'security-severity': SECURITY_SEVERITIES[severity], tags: ['security'] },
    };
  });
}

function result(finding: Finding, place: string): object {
  const { ruleId, severity, object, message, fix } = finding;
  const hash = createHash('sha256').update(fingerprint(finding)).digest('hex');
  return {
    ruleId,
    level: LEVELS[severity],
    message: { text: `${object}: ${message}\nFix: ${fix}` },
    locations: [
      {
        physicalLocation: sarifPlace(place, 1, 1),
        logicalLocations: [{ fullyQualifiedName: object, kind: object.split(' ', 1)[0] }],
      },
    ],
    partialFingerprints: { primaryLocationLineHash: hash },
    properties: { severity },
  };
}
