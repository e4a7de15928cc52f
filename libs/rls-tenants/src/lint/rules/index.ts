import type { LintRule } from '../rule.js';
import { concurrentlyInTransaction } from './MIG001.concurrently-in-transaction.rule.js';
import { transactionModeConflict } from './MIG002.transaction-mode-conflict.rule.js';
import { nonTransactionalSteps } from './MIG003.non-transactional-steps.rule.js';
import { revertRunsInTransaction } from './MIG004.revert-runs-in-transaction.rule.js';
import { multiStatementString } from './MIG005.multi-statement-string.rule.js';
import { manualTransaction } from './MIG006.manual-transaction.rule.js';
import { lockTimeoutMissing } from './MIG007.lock-timeout-missing.rule.js';
import { statementTimeoutMissing } from './MIG008.statement-timeout-missing.rule.js';
import { ifNotExistsConcurrently } from './MIG009.if-not-exists-concurrently.rule.js';
import { notRepeatable } from './MIG010.not-repeatable.rule.js';
import { workAfterExclusiveLock } from './MIG011.work-after-exclusive-lock.rule.js';
import { schemaAndDataInOneMigration } from './MIG012.schema-and-data-in-one-migration.rule.js';
import { unanalyzable } from './MIG013.unanalyzable.rule.js';
import { identifierTooLong } from './MIG014.identifier-too-long.rule.js';
import { rowSecurityNotOff } from './MIG015.row-security-not-off.rule.js';
import { createIndexNotConcurrent } from './MIG020.create-index-not-concurrent.rule.js';
import { dropIndexNotConcurrent } from './MIG021.drop-index-not-concurrent.rule.js';
import { partitionedIndex } from './MIG022.partitioned-index.rule.js';
import { partitionedIndexDrop } from './MIG023.partitioned-index-drop.rule.js';
import { uniqueConstraintDirect } from './MIG024.unique-constraint-direct.rule.js';
import { primaryKeyDirect } from './MIG025.primary-key-direct.rule.js';
import { exclusionConstraint } from './MIG026.exclusion-constraint.rule.js';
import { rebuildNotConcurrent } from './MIG027.rebuild-not-concurrent.rule.js';
import { fkWithoutNotValid } from './MIG030.fk-without-not-valid.rule.js';
import { addAndValidateSameTransaction } from './MIG031.add-and-validate-same-transaction.rule.js';
import { fkValidatedUnderRls } from './MIG032.fk-validated-under-rls.rule.js';
import { checkWithoutNotValid } from './MIG033.check-without-not-valid.rule.js';
import { setNotNullDirect } from './MIG034.set-not-null-direct.rule.js';
import { notNullColumnWithoutDefault } from './MIG035.not-null-column-without-default.rule.js';
import { columnRewritesTable } from './MIG036.column-rewrites-table.rule.js';
import { columnType } from './MIG037.column-type.rule.js';
import { dropAndReaddColumn } from './MIG038.drop-and-readd-column.rule.js';
import { fkColumnWithoutIndex } from './MIG039.fk-column-without-index.rule.js';
import { breaksRunningVersion } from './MIG040.breaks-running-version.rule.js';
import { enumChange } from './MIG041.enum-change.rule.js';
import { heavyStatement } from './MIG042.heavy-statement.rule.js';
import { tenantTableWithoutRls } from './MIG050.tenant-table-without-rls.rule.js';
import { rlsWeakened } from './MIG051.rls-weakened.rule.js';
import { policyShape } from './MIG052.policy-shape.rule.js';
import { joinTableWithoutTenant } from './MIG053.join-table-without-tenant.rule.js';
import { partitionWithoutRls } from './MIG054.partition-without-rls.rule.js';
import { viewWithoutSecurityInvoker } from './MIG055.view-without-security-invoker.rule.js';
import { definerFunctionSearchPath } from './MIG056.definer-function-search-path.rule.js';
import { dangerousGrant } from './MIG057.dangerous-grant.rule.js';
import { backfillUnscoped } from './MIG058.backfill-unscoped.rule.js';
import { entityInMigration } from './MIG059.entity-in-migration.rule.js';
import { fkWithoutTenant } from './MIG060.fk-without-tenant.rule.js';
import { uniqueWithoutTenant } from './MIG061.unique-without-tenant.rule.js';
import { indexNotLeadingWithTenant } from './MIG062.index-not-leading-with-tenant.rule.js';
import { tenantColumnChanged } from './MIG063.tenant-column-changed.rule.js';
import { notLeakproofColumn } from './MIG064.not-leakproof-column.rule.js';
import { detachNotConcurrent } from './MIG070.detach-not-concurrent.rule.js';
import { attachScans } from './MIG071.attach-scans.rule.js';
import { partitionOfHotParent } from './MIG072.partition-of-hot-parent.rule.js';
import { dropsUnmanagedIndex } from './MIG080.drops-unmanaged-index.rule.js';
import { duplicateMigration } from './MIG081.duplicate-migration.rule.js';
import { noDown } from './MIG082.no-down.rule.js';
import { mixedConcerns } from './MIG084.mixed-concerns.rule.js';
import { unusedIgnoreRule } from './MIG085.unused-ignore.rule.js';
import { indexWithTable } from './MIG086.index-with-table.rule.js';
import { indexesOfSeveralTables } from './MIG087.indexes-of-several-tables.rule.js';
import { inlineBackfill } from './MIG088.inline-backfill.rule.js';
import { style } from './MIG090.style.rule.js';

/** Every rule of the linter, by id. A new rule is a file here, a line here, and a page in docs/lint whose examples are its test. */
export const LINT_RULES: readonly LintRule[] = [
  concurrentlyInTransaction,
  transactionModeConflict,
  nonTransactionalSteps,
  revertRunsInTransaction,
  multiStatementString,
  manualTransaction,
  lockTimeoutMissing,
  statementTimeoutMissing,
  ifNotExistsConcurrently,
  notRepeatable,
  workAfterExclusiveLock,
  schemaAndDataInOneMigration,
  unanalyzable,
  identifierTooLong,
  rowSecurityNotOff,
  createIndexNotConcurrent,
  dropIndexNotConcurrent,
  partitionedIndex,
  partitionedIndexDrop,
  uniqueConstraintDirect,
  primaryKeyDirect,
  exclusionConstraint,
  rebuildNotConcurrent,
  fkWithoutNotValid,
  addAndValidateSameTransaction,
  fkValidatedUnderRls,
  checkWithoutNotValid,
  setNotNullDirect,
  notNullColumnWithoutDefault,
  columnRewritesTable,
  columnType,
  dropAndReaddColumn,
  fkColumnWithoutIndex,
  breaksRunningVersion,
  enumChange,
  heavyStatement,
  tenantTableWithoutRls,
  rlsWeakened,
  policyShape,
  joinTableWithoutTenant,
  partitionWithoutRls,
  viewWithoutSecurityInvoker,
  definerFunctionSearchPath,
  dangerousGrant,
  backfillUnscoped,
  entityInMigration,
  fkWithoutTenant,
  uniqueWithoutTenant,
  indexNotLeadingWithTenant,
  tenantColumnChanged,
  notLeakproofColumn,
  detachNotConcurrent,
  attachScans,
  partitionOfHotParent,
  dropsUnmanagedIndex,
  duplicateMigration,
  noDown,
  mixedConcerns,
  unusedIgnoreRule,
  indexWithTable,
  indexesOfSeveralTables,
  inlineBackfill,
  style,
];
