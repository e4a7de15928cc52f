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
export type { ReportedRole, ReportedRoles } from './reported-roles.js';
export { TIERS, type Rule } from './rule.js';
export { AUDIT_RULES } from './rules/index.js';
export { verifyIsolation, type VerifyIsolationOptions } from './verify-isolation.js';
