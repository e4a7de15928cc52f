export {
  auditDatabase,
  auditDataSource,
  auditTables,
  examineDatabase,
  examineDataSource,
  type AuditOptions,
  type AuditReport,
  type Examination,
  type ReportedRule,
  type ReportedTable,
  type SkippedRule,
} from './audit.js';
export type { CatalogPolicy, CatalogQuery } from './catalog.js';
export {
  formatFinding,
  formatFindings,
  isFailure,
  SEVERITIES,
  type Finding,
  type Severity,
} from './finding.js';
export { htmlReport } from './html-report/html-report.js';
export type { ReportedRole, ReportedRoles } from './reported-roles.js';
export { baselineText, parseBaseline, fingerprint, type BaselineEntry } from './baseline.js';
export { NO_CONFIGURATION, parseConfiguration, type AuditConfiguration } from './configuration.js';
export {
  fails,
  isAtLeast,
  judgeReport,
  type AcceptedFinding,
  type JudgedReport,
  type Judgement,
} from './report.js';
export {
  describeProbe,
  PROBE_RULES,
  probeIsolation,
  type Inconclusive,
  type Probed,
  type ProbeMode,
  type ProbeOptions,
  type ProbeReport,
  type ProbeRule,
} from './probe/index.js';
export { TIERS, type Rule } from './rule.js';
export { AUDIT_RULES } from './rules/index.js';
export { verifyIsolation, type VerifyIsolationOptions } from './verify-isolation.js';
export { trySeal } from './seal-check.js';
