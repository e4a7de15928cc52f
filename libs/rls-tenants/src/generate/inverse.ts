import type { Node } from 'libpg-query';
import { parseTableName, quoteIdentifier, quoteTable } from '../policies/index.js';
import { parseStatement, sliceBytes, tokensOf, type ParsedSql } from './statement.js';

/**
 * The statements that undo a statement, where that is mechanical: what was made is dropped, what was switched is
 * switched back. Undefined where it is not: nothing brings back what a DROP took.
 */
export function inverseOf(statement: ParsedSql): string[] | undefined {
  const { node, table, effect, command } = statement;
  if (command && table !== undefined) return inverseCommand(statement, `ALTER TABLE ${quoteTable(table)}`);
  if (effect?.verb !== 'create') return 'RenameStmt' in node ? inverseRename(statement) : undefined;
  const [kind, name] = splitOnce(effect.object);
  switch (kind) {
    case 'table':
      return [`DROP TABLE ${quoteTable(name)}`];
    case 'view': {
      const materialized = 'CreateTableAsStmt' in node ? 'MATERIALIZED ' : '';
      return [`DROP ${materialized}VIEW ${quoteTable(name)}`];
    }
    case 'index':
      return [`DROP INDEX ${quoteTable(name)}`];
    case 'type':
      return [`DROP ${'CreateDomainStmt' in node ? 'DOMAIN' : 'TYPE'} ${quoteTable(name)}`];
    case 'sequence':
      return [`DROP SEQUENCE ${quoteTable(name)}`];
    case 'schema':
      return [`DROP SCHEMA ${quoteIdentifier(name)}`];
    case 'policy':
    case 'trigger': {
      const own = 'CreatePolicyStmt' in node ? node.CreatePolicyStmt.policy_name : triggerName(node);
      return [`DROP ${kind.toUpperCase()} ${quoteIdentifier(own ?? '')} ON ${quoteTable(table!)}`];
    }
    case 'grant':
      return revoke(statement.sql);
    default:
      return undefined;
  }
}

function inverseCommand({ command, effect }: ParsedSql, alter: string): string[] | undefined {
  const { subtype, name = '' } = command!;
  const own = effect!.object.slice(effect!.object.lastIndexOf('.') + 1);
  const column = quoteIdentifierOrNone(name);
  switch (subtype) {
    case 'AT_AddColumn':
      return [`${alter} DROP COLUMN ${quoteIdentifier(own)}`];
    case 'AT_AddConstraint':
      return own === '' ? undefined : [`${alter} DROP CONSTRAINT ${quoteIdentifier(own)}`];
    case 'AT_SetNotNull':
      return [`${alter} ALTER COLUMN ${column} DROP NOT NULL`];
    case 'AT_DropNotNull':
      return [`${alter} ALTER COLUMN ${column} SET NOT NULL`];
    case 'AT_EnableRowSecurity':
      return [`${alter} DISABLE ROW LEVEL SECURITY`];
    case 'AT_DisableRowSecurity':
      return [`${alter} ENABLE ROW LEVEL SECURITY`];
    case 'AT_ForceRowSecurity':
      return [`${alter} NO FORCE ROW LEVEL SECURITY`];
    case 'AT_NoForceRowSecurity':
      return [`${alter} FORCE ROW LEVEL SECURITY`];
    case 'AT_ValidateConstraint':
      // A constraint that was checked needs no unchecking.
      return [];
    default:
      return undefined;
  }
}

function inverseRename({ node, table }: ParsedSql): string[] | undefined {
  if (!('RenameStmt' in node) || table === undefined) return undefined;
  const { renameType, subname = '', newname = '' } = node.RenameStmt;
  const { schema, name } = parseTableName(table);
  const renamed = schema === undefined ? newname : `${schema}.${newname}`;
  switch (renameType) {
    case 'OBJECT_TABLE':
    case 'OBJECT_INDEX':
    case 'OBJECT_VIEW':
      return [
        `ALTER ${renameType.slice('OBJECT_'.length)} ${quoteTable(renamed)} RENAME TO ${quoteIdentifier(name)}`,
      ];
    case 'OBJECT_COLUMN':
    case 'OBJECT_TABCONSTRAINT': {
      const what = renameType === 'OBJECT_COLUMN' ? 'COLUMN' : 'CONSTRAINT';
      return [
        `ALTER TABLE ${quoteTable(table)} RENAME ${what} ${quoteIdentifier(newname)} TO ${quoteIdentifier(subname)}`,
      ];
    }
    default:
      return undefined;
  }
}

/** `GRANT x TO y` as `REVOKE x FROM y`. */
function revoke(sql: string): string[] | undefined {
  const tokens = tokensOf(sql);
  const to = tokens.find(({ text, depth }) => depth === 0 && text.toUpperCase() === 'TO');
  if (!to || tokens[0]?.text.toUpperCase() !== 'GRANT') return undefined;
  const end = tokens.find(({ text, start }) => start > to.end && text.toUpperCase() === 'WITH');
  const text = `REVOKE ${sliceBytes(sql, tokens[0].end, to.start)} FROM ${sliceBytes(sql, to.end, end?.start)}`;
  return parseStatement(text).effect?.verb === 'drop' ? [text] : undefined;
}

function triggerName(node: Node): string | undefined {
  return 'CreateTrigStmt' in node ? node.CreateTrigStmt.trigname : undefined;
}

function quoteIdentifierOrNone(name: string): string {
  return name === '' ? '' : quoteIdentifier(name);
}

function splitOnce(text: string): [string, string] {
  const space = text.indexOf(' ');
  return [text.slice(0, space), text.slice(space + 1)];
}
