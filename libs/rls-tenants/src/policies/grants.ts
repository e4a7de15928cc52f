import { RlsConfigurationError } from '../errors.js';
import { quoteIdentifier, quoteRole, quoteTable, type TableName } from './identifiers.js';

/**
 * What serving requests takes. TRUNCATE, TRIGGER, REFERENCES and MAINTAIN are never granted: they reach past row-level
 * security.
 */
export const TABLE_PRIVILEGES = ['SELECT', 'INSERT', 'UPDATE', 'DELETE'] as const;
/** A right on a table that serving requests may need, as `GRANT` names it. */
export type TablePrivilege = (typeof TABLE_PRIVILEGES)[number];

/** What a column default that calls `nextval` takes. */
export const SEQUENCE_PRIVILEGES = ['USAGE', 'SELECT'] as const;
export type SequencePrivilege = (typeof SEQUENCE_PRIVILEGES)[number];

/** Privileges of one role on a table, in TypeORM's notation, or on a sequence. */
export type Grant =
  | { readonly role: string; readonly table: string; readonly privileges: readonly TablePrivilege[] }
  | {
      readonly role: string;
      readonly sequence: TableName;
      readonly privileges: readonly SequencePrivilege[];
    };

/** Grants privileges. @throws RlsConfigurationError for a privilege that is not least privilege. */
export function grantSql(grant: Grant): string {
  return `GRANT ${privilegesOnSql(grant)} TO ${quoteRole(grant.role)}`;
}

/** The inverse of {@link grantSql}. */
export function revokeSql(grant: Grant): string {
  return `REVOKE ${privilegesOnSql(grant)} FROM ${quoteRole(grant.role)}`;
}

function privilegesOnSql(grant: Grant): string {
  const allowed: readonly string[] = 'table' in grant ? TABLE_PRIVILEGES : SEQUENCE_PRIVILEGES;
  const refused = grant.privileges.find((privilege) => !allowed.includes(privilege));
  if (refused !== undefined || grant.privileges.length === 0) {
    throw new RlsConfigurationError(
      `Refused to grant ${refused ?? 'no privilege at all'} to role "${grant.role}".`,
      `Grant one or more of ${allowed.join(', ')}.`,
    );
  }
  return `${grant.privileges.join(', ')} ON ${'table' in grant ? 'TABLE' : 'SEQUENCE'} ${grantedRelationSql(grant)}`;
}

/** The quoted name of what a grant is on. A sequence's name comes in two parts, because a dot may be part of them. */
export function grantedRelationSql(grant: Grant): string {
  if ('table' in grant) return quoteTable(grant.table);
  const { schema, name } = grant.sequence;
  return schema === undefined ? quoteIdentifier(name) : `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`;
}
