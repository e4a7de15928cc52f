import { parseSync, scanSync, type AlterTableCmd, type Node, type RangeVar } from 'libpg-query';
import { RlsConfigurationError } from '../errors.js';
import { changesOf, names, nodesOf, pathOf, tableName, type Change } from '../lint/changes.js';
import { quoteLiteral } from '../policies/index.js';

/** What a statement does to one object: `create` and `drop` undo each other, an `alter` undoes another. */
export interface Effect {
  readonly verb: 'create' | 'drop' | 'alter';
  /** The kind of the object and its name: `column note.title`. */
  readonly object: string;
}

/** One statement, parsed. */
export interface ParsedSql {
  readonly sql: string;
  readonly node: Node;
  /** The one command of an ALTER TABLE. */
  readonly command: AlterTableCmd | undefined;
  /** The table that it is about, as TypeORM writes it. */
  readonly table: string | undefined;
  readonly changes: readonly Change[];
  readonly effect: Effect | undefined;
}

/** A word, sign or literal of a statement. */
export interface Token {
  readonly text: string;
  readonly kind: string;
  /** Offsets in bytes, as the parser counts. */
  readonly start: number;
  readonly end: number;
  /** How many parentheses it stands in. */
  readonly depth: number;
}

/**
 * Parses a single statement. libpg-query's `loadModule()` must have finished.
 *
 * @throws RlsConfigurationError if it is not exactly one, or an ALTER TABLE of several commands.
 */
export function parseStatement(sql: string): ParsedSql {
  const { stmts = [] } = parseSync(sql);
  const node = stmts[0]?.stmt;
  if (!node || stmts.length > 1) {
    throw new RlsConfigurationError(
      `${stmts.length} statements stand where one is needed: ${shorten(sql)}`,
      'Give each statement a step of its own.',
    );
  }
  const [command, second] = 'AlterTableStmt' in node ? (node.AlterTableStmt.cmds ?? []) : [];
  if (second) {
    throw new RlsConfigurationError(
      `An ALTER TABLE of several commands cannot be split as it stands: ${shorten(sql)}`,
      'Give each command a statement of its own.',
    );
  }
  const single = command && 'AlterTableCmd' in command ? command.AlterTableCmd : undefined;
  return {
    sql,
    node,
    command: single,
    table: tableOf(node),
    changes: changesOf(node),
    effect: effectOf(node, single),
  };
}

/** The statement as an error or a report shows it. */
export function shorten(sql: string): string {
  const line = sql.replaceAll(/\s+/g, ' ');
  return line.length > 120 ? `${line.slice(0, 117)}...` : line;
}

/** The statement with its parameters as literals: a migration file is to be read. */
export function inlineParameters(sql: string, parameters: readonly unknown[] = []): string {
  if (parameters.length === 0) return sql;
  return replaceTokens(sql, ({ kind, text }) =>
    kind === 'PARAM' ? literal(parameters[Number(text.slice(1)) - 1]) : undefined,
  );
}

/** The statement with other text in place of tokens; undefined keeps a token. */
export function replaceTokens(sql: string, replacement: (token: Token) => string | undefined): string {
  const edits = tokensOf(sql).flatMap((token) => {
    const text = replacement(token);
    return text === undefined ? [] : [{ start: token.start, end: token.end, text }];
  });
  return edits.reduceRight((text, edit) => replaceBytes(text, edit.start, edit.end, edit.text), sql);
}

function literal(value: unknown): string {
  if (value === null || value === undefined) return 'NULL';
  if (typeof value === 'string') return quoteLiteral(value).trim();
  if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint')
    return String(value);
  throw new RlsConfigurationError(
    `A parameter of a statement is neither text nor a number: ${JSON.stringify(value)}.`,
    'Write the value into the SQL.',
  );
}

/** The tokens of a statement. */
export function tokensOf(sql: string): Token[] {
  let depth = 0;
  return scanSync(sql).tokens.map(({ text, tokenName: kind, start, end }) => {
    if (text === ')' || text === ']') depth--;
    const token = { text, kind, start, end, depth };
    if (text === '(' || text === '[') depth++;
    return token;
  });
}

/** The text between two offsets in bytes. */
export function sliceBytes(sql: string, start: number, end?: number): string {
  return Buffer.from(sql).subarray(start, end).toString().trim();
}

function replaceBytes(sql: string, start: number, end: number, text: string): string {
  const bytes = Buffer.from(sql);
  return `${bytes.subarray(0, start).toString()}${text}${bytes.subarray(end).toString()}`;
}

/** An ALTER TABLE of several commands as several statements; any other statement as it is. */
export function singleCommands(sql: string): string[] {
  const node = parseSync(sql).stmts?.[0]?.stmt;
  if (!node || !('AlterTableStmt' in node) || (node.AlterTableStmt.cmds ?? []).length < 2) return [sql];
  const tokens = tokensOf(sql);
  const head = commandsStart(tokens);
  const commas = tokens.filter(({ text, depth }, index) => text === ',' && depth === 0 && index >= head);
  const starts = [tokens[head]!.start, ...commas.map(({ end }) => end)];
  const prefix = sliceBytes(sql, 0, tokens[head]!.start);
  return starts.map((start, index) => `${prefix} ${sliceBytes(sql, start, commas[index]?.start)}`);
}

/** Where the first command begins: after `ALTER TABLE IF EXISTS ONLY schema.table *`. */
function commandsStart(tokens: readonly Token[]): number {
  let index = 2;
  if (tokens[index]?.text.toUpperCase() === 'IF') index += 2;
  if (tokens[index]?.text.toUpperCase() === 'ONLY') index++;
  index++;
  while (tokens[index]?.text === '.') index += 2;
  return tokens[index]?.text === '*' ? index + 1 : index;
}

/** Every table, view and sequence that a statement names, as TypeORM writes it. */
export function relationsOf(node: Node): string[] {
  const wrapped = nodesOf(node, 'RangeVar').map((relation) => tableName(relation as RangeVar));
  const bare = ['relation', 'pktable', 'table', 'view'].flatMap((key) =>
    nodesOf(node, key)
      .filter((value) => typeof value.relname === 'string')
      .map((relation) => tableName(relation as RangeVar)),
  );
  return [...new Set([...wrapped, ...bare])];
}

/** The types, other than PostgreSQL's own, that a statement names. */
export function typesOf(node: Node): string[] {
  const wrapped = [...nodesOf(node, 'TypeName'), ...nodesOf(node, 'typeName')];
  return [
    ...new Set(
      wrapped
        .map(({ names: parts }) => names(parts as Node[] | undefined))
        .filter((parts) => parts.length > 0 && parts[0] !== 'pg_catalog')
        .map(pathOf),
    ),
  ];
}

/** The text constants of a statement. */
export function constantsOf(node: Node): string[] {
  return nodesOf(node, 'sval').flatMap(({ sval }) => (typeof sval === 'string' ? [sval] : []));
}

function tableOf(node: Node): string | undefined {
  const [[, value] = []] = Object.entries(node) as [string, Record<string, unknown>][];
  const relation = (value?.relation ?? value?.table ?? value?.view) as RangeVar | undefined;
  if (typeof relation?.relname === 'string') return tableName(relation);
  if ('GrantStmt' in node) return relationsOf(node)[0];
  if (isTableOfQuery(node)) return tableName(node.CreateTableAsStmt.into!.rel!);
  if ('CommentStmt' in node) return commentedTable(node.CommentStmt.objtype, node.CommentStmt.object);
  if ('DropStmt' in node) {
    const { removeType, objects = [] } = node.DropStmt;
    const parts = nameParts(objects[0]);
    if (removeType === 'OBJECT_TABLE' || removeType === 'OBJECT_VIEW') return pathOf(parts);
    if (removeType === 'OBJECT_POLICY' || removeType === 'OBJECT_TRIGGER') return pathOf(parts.slice(0, -1));
  }
  return undefined;
}

/** `CREATE TABLE … AS`, which PostgreSQL parses like a materialized view. */
function isTableOfQuery(node: Node): node is Extract<Node, { CreateTableAsStmt: unknown }> {
  return 'CreateTableAsStmt' in node && node.CreateTableAsStmt.objtype !== 'OBJECT_MATVIEW';
}

function commentedTable(objtype: string | undefined, object: Node | undefined): string | undefined {
  const parts = nameParts(object);
  if (objtype === 'OBJECT_TABLE') return pathOf(parts);
  return objtype === 'OBJECT_COLUMN' || objtype === 'OBJECT_TABCONSTRAINT'
    ? pathOf(parts.slice(0, -1))
    : undefined;
}

function nameParts(object: Node | undefined): string[] {
  if (!object) return [];
  if ('List' in object) return names(object.List.items);
  if ('TypeName' in object) return names(object.TypeName.names);
  if ('ObjectWithArgs' in object) return names(object.ObjectWithArgs.objname);
  return names([object]);
}

const DROPPED: Readonly<Record<string, string>> = {
  OBJECT_TABLE: 'table',
  OBJECT_INDEX: 'index',
  OBJECT_TYPE: 'type',
  OBJECT_DOMAIN: 'type',
  OBJECT_VIEW: 'view',
  OBJECT_MATVIEW: 'view',
  OBJECT_SEQUENCE: 'sequence',
  OBJECT_SCHEMA: 'schema',
  OBJECT_EXTENSION: 'extension',
  OBJECT_FUNCTION: 'function',
  OBJECT_TRIGGER: 'trigger',
  OBJECT_POLICY: 'policy',
};

function effectOf(node: Node, command: AlterTableCmd | undefined): Effect | undefined {
  const create = (object: string): Effect => ({ verb: 'create', object });
  if ('CreateStmt' in node) return create(`table ${tableName(node.CreateStmt.relation!)}`);
  if ('AlterTableStmt' in node && command) return alterEffect(tableOf(node)!, command);
  if ('IndexStmt' in node)
    return create(`index ${indexPath(node.IndexStmt.relation!, node.IndexStmt.idxname)}`);
  if ('CreateEnumStmt' in node) return create(`type ${pathOf(names(node.CreateEnumStmt.typeName))}`);
  if ('CreateDomainStmt' in node) return create(`type ${pathOf(names(node.CreateDomainStmt.domainname))}`);
  if ('CreatePolicyStmt' in node)
    return create(`policy ${tableOf(node)}.${node.CreatePolicyStmt.policy_name ?? ''}`);
  if ('ViewStmt' in node) return create(`view ${tableOf(node)}`);
  if ('CreateTableAsStmt' in node) {
    const kind = isTableOfQuery(node) ? 'table' : 'view';
    return create(`${kind} ${tableName(node.CreateTableAsStmt.into!.rel!)}`);
  }
  if ('CreateSeqStmt' in node) return create(`sequence ${tableName(node.CreateSeqStmt.sequence!)}`);
  if ('CreateSchemaStmt' in node) return create(`schema ${node.CreateSchemaStmt.schemaname}`);
  if ('CreateExtensionStmt' in node) return create(`extension ${node.CreateExtensionStmt.extname}`);
  if ('CreateFunctionStmt' in node)
    return create(`function ${pathOf(names(node.CreateFunctionStmt.funcname))}`);
  if ('CreateTrigStmt' in node) return create(`trigger ${tableOf(node)}.${node.CreateTrigStmt.trigname}`);
  if ('GrantStmt' in node) {
    const { is_grant: isGrant, behavior: _behavior, ...rest } = node.GrantStmt;
    return { verb: isGrant ? 'create' : 'drop', object: `grant ${plain(rest)}` };
  }
  if ('DropStmt' in node) {
    const { removeType = '', objects = [] } = node.DropStmt;
    const kind = DROPPED[removeType];
    if (!kind || objects.length !== 1) return undefined;
    return { verb: 'drop', object: `${kind} ${pathOf(nameParts(objects[0]))}` };
  }
  if ('CommentStmt' in node) {
    const { objtype, object } = node.CommentStmt;
    return { verb: 'alter', object: `comment ${objtype} ${plain(object)}` };
  }
  if ('AlterEnumStmt' in node)
    return { verb: 'create', object: `enum-value ${pathOf(names(node.AlterEnumStmt.typeName))}` };
  if ('RenameStmt' in node) {
    const { renameType, relation, subname = '', newname = '', object } = node.RenameStmt;
    const owner = relation ? tableName(relation) : pathOf(nameParts(object));
    const [from, within] = subname === '' ? [owner, ''] : [subname, owner];
    return {
      verb: 'alter',
      object: `rename ${renameType} ${within} ${[lastPart(from), newname].sort().join(' ')}`,
    };
  }
  return metadataEffect(node);
}

/** TypeORM keeps the texts of views and generated columns in a table of its own. */
export const METADATA_TABLE = 'typeorm_metadata';

function metadataEffect(node: Node): Effect | undefined {
  if (tableOf(node)?.split('.').at(-1) !== METADATA_TABLE) return undefined;
  const isInsert = 'InsertStmt' in node;
  if (!isInsert && !('DeleteStmt' in node)) return undefined;
  const constants = constantsOf(node);
  const key = constants.filter((one) => !/\s/.test(one)).sort();
  return { verb: isInsert ? 'create' : 'drop', object: `metadata ${key.join(' ')}` };
}

function alterEffect(table: string, command: AlterTableCmd): Effect {
  const { subtype = '', name = '', def } = command;
  const alter = (kind: string, of = name): Effect => ({ verb: 'alter', object: `${kind} ${table}.${of}` });
  switch (subtype) {
    case 'AT_AddColumn':
      return { verb: 'create', object: `column ${table}.${columnName(def)}` };
    case 'AT_DropColumn':
      return { verb: 'drop', object: `column ${table}.${name}` };
    case 'AT_AddConstraint':
      return { verb: 'create', object: `constraint ${table}.${constraintName(def)}` };
    case 'AT_DropConstraint':
      return { verb: 'drop', object: `constraint ${table}.${name}` };
    case 'AT_SetNotNull':
    case 'AT_DropNotNull':
      return alter('not-null');
    case 'AT_ColumnDefault':
      return alter('default');
    case 'AT_AlterColumnType':
      return alter('column-type');
    case 'AT_EnableRowSecurity':
    case 'AT_DisableRowSecurity':
      return alter('row-security', '');
    case 'AT_ForceRowSecurity':
    case 'AT_NoForceRowSecurity':
      return alter('force-row-security', '');
    case 'AT_AttachPartition':
    case 'AT_DetachPartition':
      return alter('partition', def && 'PartitionCmd' in def ? tableName(def.PartitionCmd.name!) : '');
    default:
      return alter(subtype);
  }
}

function columnName(def: Node | undefined): string {
  return def && 'ColumnDef' in def ? (def.ColumnDef.colname ?? '') : '';
}

function constraintName(def: Node | undefined): string {
  return def && 'Constraint' in def ? (def.Constraint.conname ?? '') : '';
}

/** An index lives in its table's schema. */
function indexPath(relation: RangeVar, name = ''): string {
  return pathOf(relation.schemaname === undefined ? [name] : [relation.schemaname, name]);
}

function lastPart(path: string): string {
  return path.split('.').at(-1)!;
}

/** The tree as text, without places and order of keys. */
export function plain(tree: unknown): string {
  return JSON.stringify(tree, (key, value: unknown) =>
    key.endsWith('location') || key === 'stmt_len'
      ? undefined
      : typeof value === 'object' && value !== null && !Array.isArray(value)
        ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
        : value,
  );
}
