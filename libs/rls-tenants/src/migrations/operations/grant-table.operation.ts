import { RlsConfigurationError } from '../../errors.js';
import {
  grantSql,
  revokeSql,
  TABLE_PRIVILEGES,
  type Grant,
  type TablePrivilege,
} from '../../policies/index.js';
import { grantsFor, lackingOf } from '../catalog.js';
import { operation, runAll, type RlsOperation } from '../rls-operation.js';

/** Privileges to grant. */
export interface GrantTableOptions {
  table: string;
  role: string;
  /** Default: all four of SELECT, INSERT, UPDATE and DELETE. With INSERT go the sequences of serial columns. */
  privileges?: readonly TablePrivilege[];
}

/**
 * Grants a role privileges on a table. `down` revokes them.
 *
 * @throws RlsConfigurationError if the role holds one of them already, which `down` would take away.
 */
export function grantTable({ table, role, privileges = TABLE_PRIVILEGES }: GrantTableOptions): RlsOperation {
  return operation(
    `grant ${privileges.join(', ')} on table "${table}" to role "${role}"`,
    async (queryRunner) => {
      const grants = await grantsFor(queryRunner, table, [role], privileges);
      const lacking = await lackingOf(queryRunner, grants);
      if (count(lacking) < count(grants)) {
        throw new RlsConfigurationError(
          `Role "${role}" already holds some of ${privileges.join(', ')} on table "${table}" or on its sequences.`,
          'Grant only what it lacks; default privileges (`rls-tenants setup-roles`) cover new tables.',
        );
      }
      await runAll(queryRunner, grants.map(grantSql));
    },
    async (queryRunner) => {
      const grants = await grantsFor(queryRunner, table, [role], privileges);
      await runAll(queryRunner, grants.map(revokeSql));
    },
  );
}

function count(grants: readonly Grant[]): number {
  return grants.reduce((sum, { privileges }) => sum + privileges.length, 0);
}
