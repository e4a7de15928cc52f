import type { Rule } from '../rule.js';
import { commandGap } from './command-gap.rule.js';
import { constraintNotTrustworthy } from './constraint-not-trustworthy.rule.js';
import { contextFormMixed } from './context-form-mixed.rule.js';
import { contextPerRow } from './context-per-row.rule.js';
import { defaultPrivilegesTooWide } from './default-privileges-too-wide.rule.js';
import { defaultTenantContext } from './default-tenant-context.rule.js';
import { denyAll } from './deny-all.rule.js';
import { duplicatePolicy } from './duplicate-policy.rule.js';
import { emptyStringNotHandled } from './empty-string-not-handled.rule.js';
import { failOpenPredicate } from './fail-open-predicate.rule.js';
import { fkActionNullsTenant } from './fk-action-nulls-tenant.rule.js';
import { fkNotTenantScoped } from './fk-not-tenant-scoped.rule.js';
import { foreignOrLoopbackAccess } from './foreign-or-loopback-access.rule.js';
import { gucBypassFlag } from './guc-bypass-flag.rule.js';
import { gucNameMismatch } from './guc-name-mismatch.rule.js';
import { hardCodedTenant } from './hard-coded-tenant.rule.js';
import { helperFunctionCost } from './helper-function-cost.rule.js';
import { identityByRole } from './identity-by-role.rule.js';
import { immutableContextFunction } from './immutable-context-function.rule.js';
import { inertRestrictive } from './inert-restrictive.rule.js';
import { invalidIndex } from './invalid-index.rule.js';
import { manyPermissivePolicies } from './many-permissive-policies.rule.js';
import { materializedView } from './materialized-view.rule.js';
import { noDdlGuard } from './no-ddl-guard.rule.js';
import { noTenantLeadingIndex } from './no-tenant-leading-index.rule.js';
import { nonEqualityOnContext } from './non-equality-on-context.rule.js';
import { nonLeakproofIndexUse } from './non-leakproof-index-use.rule.js';
import { observedSeqScans } from './observed-seq-scans.rule.js';
import { outOfBandStorage } from './out-of-band-storage.rule.js';
import { partitionOrChildExposed } from './partition-or-child-exposed.rule.js';
import { perUserColumnUnscoped } from './per-user-column-unscoped.rule.js';
import { permissiveWidening } from './permissive-widening.rule.js';
import { policyDrift } from './policy-drift.rule.js';
import { policyNotSealed } from './policy-not-sealed.rule.js';
import { policyNotTenantScoped } from './policy-not-tenant-scoped.rule.js';
import { policyReadsUnprotectedTable } from './policy-reads-unprotected-table.rule.js';
import { policyTargetsWrongRole } from './policy-targets-wrong-role.rule.js';
import { predicateNotIndexable } from './predicate-not-indexable.rule.js';
import { privilegesOutsideRls } from './privileges-outside-rls.rule.js';
import { publicGrant } from './public-grant.rule.js';
import { registryDrift } from './registry-drift.rule.js';
import { replicationAndPublications } from './replication-and-publications.rule.js';
import { rewriteRule } from './rewrite-rule.rule.js';
import { rlsNotEnabled } from './rls-not-enabled.rule.js';
import { rlsNotForced } from './rls-not-forced.rule.js';
import { rowSecurityOffDefault } from './row-security-off-default.rule.js';
import { runtimeRoleCanEscalate } from './runtime-role-can-escalate.rule.js';
import { runtimeRoleExempt } from './runtime-role-exempt.rule.js';
import { runtimeRoleOwns } from './runtime-role-owns.rule.js';
import { sealAdminWithinReach } from './seal-admin-within-reach.rule.js';
import { sealCircumvented } from './seal-circumvented.rule.js';
import { sealFunctionAltered } from './seal-function-altered.rule.js';
import { sealInLog } from './seal-in-log.rule.js';
import { sealKeyExpires } from './seal-key-expires.rule.js';
import { sealKeyExposed } from './seal-key-exposed.rule.js';
import { sealOwnerWithinReach } from './seal-owner-within-reach.rule.js';
import { secdefSearchPath } from './secdef-search-path.rule.js';
import { secdefTrigger } from './secdef-trigger.rule.js';
import { securityDefinerFunction } from './security-definer-function.rule.js';
import { sessionResidue } from './session-residue.rule.js';
import { sharedSequence } from './shared-sequence.rule.js';
import { tenantColumnDefaultOrGenerated } from './tenant-column-default-or-generated.rule.js';
import { tenantColumnNullable } from './tenant-column-nullable.rule.js';
import { tenantHiddenFromPlanner } from './tenant-hidden-from-planner.rule.js';
import { tenantTypeMismatch } from './tenant-type-mismatch.rule.js';
import { unclassifiedTable } from './unclassified-table.rule.js';
import { uniqueWithoutTenant } from './unique-without-tenant.rule.js';
import { untestedPolicy } from './untested-policy.rule.js';
import { userLeakproofFunction } from './user-leakproof-function.rule.js';
import { viewRunsAsOwner } from './view-runs-as-owner.rule.js';
import { writeNotChecked } from './write-not-checked.rule.js';

/** Every rule of the audit, by id. A new rule is a file here, a line here, a page in docs/rules and a test. */
export const AUDIT_RULES: readonly Rule[] = [
  runtimeRoleExempt,
  runtimeRoleOwns,
  runtimeRoleCanEscalate,
  rlsNotEnabled,
  rlsNotForced,
  unclassifiedTable,
  policyNotTenantScoped,
  failOpenPredicate,
  permissiveWidening,
  writeNotChecked,
  defaultTenantContext,
  partitionOrChildExposed,
  viewRunsAsOwner,
  materializedView,
  securityDefinerFunction,
  secdefSearchPath,
  rewriteRule,
  foreignOrLoopbackAccess,
  privilegesOutsideRls,
  replicationAndPublications,
  gucBypassFlag,
  policyReadsUnprotectedTable,
  defaultPrivilegesTooWide,
  publicGrant,
  secdefTrigger,
  userLeakproofFunction,
  immutableContextFunction,
  outOfBandStorage,
  fkNotTenantScoped,
  uniqueWithoutTenant,
  fkActionNullsTenant,
  tenantColumnNullable,
  tenantTypeMismatch,
  tenantColumnDefaultOrGenerated,
  sharedSequence,
  constraintNotTrustworthy,
  gucNameMismatch,
  emptyStringNotHandled,
  policyTargetsWrongRole,
  denyAll,
  commandGap,
  identityByRole,
  hardCodedTenant,
  nonEqualityOnContext,
  contextFormMixed,
  inertRestrictive,
  sealKeyExposed,
  sealFunctionAltered,
  sealOwnerWithinReach,
  sealAdminWithinReach,
  policyNotSealed,
  sealCircumvented,
  sealInLog,
  sealKeyExpires,
  contextPerRow,
  predicateNotIndexable,
  noTenantLeadingIndex,
  nonLeakproofIndexUse,
  helperFunctionCost,
  manyPermissivePolicies,
  observedSeqScans,
  tenantHiddenFromPlanner,
  policyDrift,
  duplicatePolicy,
  registryDrift,
  noDdlGuard,
  invalidIndex,
  sessionResidue,
  perUserColumnUnscoped,
  untestedPolicy,
  rowSecurityOffDefault,
];
