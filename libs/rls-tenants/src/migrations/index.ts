export { migrationDataSourceOptions, type MigrationCredentials } from './migration-data-source.js';
export { alterTenantPolicy, type AlterTenantPolicyOptions } from './operations/alter-policy.operation.js';
export {
  compositeForeignKey,
  compositeUnique,
  type CompositeForeignKeyOptions,
  type CompositeUniqueOptions,
} from './operations/composite-keys.operation.js';
export { grantTable, type GrantTableOptions } from './operations/grant-table.operation.js';
export {
  protectJoinTable,
  type JoinTableForeignKey,
  type ProtectJoinTableOptions,
} from './operations/protect-join-table.operation.js';
export {
  protectTable,
  unprotectTable,
  type ProtectTableOptions,
} from './operations/protect-table.operation.js';
export { runSql } from './operations/run-sql.operation.js';
export { addTenantColumn, type AddTenantColumnOptions } from './operations/tenant-column.operation.js';
export { tenantIndex, type TenantIndexOptions } from './operations/tenant-index.operation.js';
export { RlsMigration } from './rls-migration.js';
export type { RlsOperation } from './rls-operation.js';
export { withAllRows } from './admission.js';
export { setupRolesSql, type RolesOptions, type RolesStep } from '../policies/index.js';
export type { JoinTableSide, ReferentialAction, TablePrivilege } from '../policies/index.js';
export { ConcurrentMigration } from './concurrent-migration.js';
export { outsideTransaction } from './outside-transaction.js';
export { concurrentIndex, type ConcurrentIndexOptions } from './operations/concurrent-index.operation.js';
export type { IndexDefinition } from '../policies/index.js';
export type { MigrationDataSourceSettings } from './migration-data-source.js';
export { runOn, withHints, type AllowMigrate, type MigrationHints, type Restriction } from './run-on.js';
export {
  MigrationRunner,
  type IdempotentMigration,
  type MigrationRunnerOptions,
} from './runner/migration-runner.js';
export type { Backend } from './runner/backends.js';
export type { MigrationEvent, MigrationStep } from './runner/migration-events.js';
export type { MigrationStatus } from './runner/migration-history.js';
export type { RetryOptions } from './runner/retry.js';
export {
  parentIndex,
  partitionedIndex,
  partitionIndexes,
  type PartitionedIndexOptions,
} from './operations/partitioned-index.operation.js';
export {
  checkConstraint,
  notNull,
  type CheckConstraintOptions,
  type NotNullOptions,
} from './operations/live-constraints.operation.js';
export {
  addNullableColumn,
  uniqueColumn,
  uniqueConstraint,
  type UniqueColumnOptions,
  type UniqueConstraintOptions,
} from './operations/unique-constraint.operation.js';
export type { TableColumn } from '../policies/index.js';
export { validatedForeignKey } from './operations/validated-foreign-key.operation.js';
export {
  protectedPartition,
  type ProtectedPartitionOptions,
} from './operations/protected-partition.operation.js';
export {
  protectExistingTable,
  type ExistingTableSteps,
  type ProtectExistingTableOptions,
} from './operations/protect-existing-table.operation.js';
export { withRlsDisabled } from './with-rls-disabled.js';
export type { PartitionBound, PartitionValue } from '../policies/index.js';
export type { FormerPolicy } from '../policies/index.js';
export { installSeal, removeSeal } from './operations/install-seal.operation.js';
export { upgradeSeal, type UpgradeSealOptions } from './operations/upgrade-seal.operation.js';
export { sealKeys, type SealKeysOptions } from './operations/seal-keys.operation.js';
export {
  sealJoinTable,
  sealTable,
  type SealJoinTableOptions,
  type SealTableOptions,
} from './operations/seal-table.operation.js';
export type { SealInstallation } from '../policies/index.js';
export { sealKeysFromEnvironment, type SealKey } from '../connection/index.js';
