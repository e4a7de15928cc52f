import type { Rule } from '../rule.js';
import { constraintNotTrustworthy } from './constraint-not-trustworthy.rule.js';
import { defaultTenantContext } from './default-tenant-context.rule.js';
import { fkActionNullsTenant } from './fk-action-nulls-tenant.rule.js';
import { fkNotTenantScoped } from './fk-not-tenant-scoped.rule.js';
import { permissiveWidening } from './permissive-widening.rule.js';
import { policyDrift } from './policy-drift.rule.js';
import { privilegesOutsideRls } from './privileges-outside-rls.rule.js';
import { registryDrift } from './registry-drift.rule.js';
import { rlsNotEnabled } from './rls-not-enabled.rule.js';
import { rlsNotForced } from './rls-not-forced.rule.js';
import { runtimeRoleCanEscalate } from './runtime-role-can-escalate.rule.js';
import { runtimeRoleExempt } from './runtime-role-exempt.rule.js';
import { runtimeRoleOwns } from './runtime-role-owns.rule.js';
import { tenantColumnNullable } from './tenant-column-nullable.rule.js';
import { tenantTypeMismatch } from './tenant-type-mismatch.rule.js';
import { uniqueWithoutTenant } from './unique-without-tenant.rule.js';

/** Every rule of the audit, by id. A new rule is a file here, a line here, a page in docs/rules and a test. */
export const AUDIT_RULES: readonly Rule[] = [
  runtimeRoleExempt,
  runtimeRoleOwns,
  runtimeRoleCanEscalate,
  rlsNotEnabled,
  rlsNotForced,
  permissiveWidening,
  defaultTenantContext,
  privilegesOutsideRls,
  fkNotTenantScoped,
  uniqueWithoutTenant,
  fkActionNullsTenant,
  tenantColumnNullable,
  tenantTypeMismatch,
  constraintNotTrustworthy,
  policyDrift,
  registryDrift,
];
