import type { IndexStmt } from 'libpg-query';
import { RlsConfigurationError } from '../errors.js';
import { objectName, parseTableName } from '../policies/index.js';
import { names, tableName } from '../lint/changes.js';
import { shorten, sliceBytes, tokensOf, type ParsedSql } from './statement.js';
import type { OperationStep, Phase } from './step.js';

/** A value as TypeScript writes it, in single quotes. */
export function typeScriptLiteral(value: unknown): string {
  if (typeof value === 'string') {
    const escaped = JSON.stringify(value).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'");
    return `'${escaped}'`;
  }
  if (Array.isArray(value)) return `[${value.map(typeScriptLiteral).join(', ')}]`;
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).filter(([, one]) => one !== undefined);
    return `{ ${entries.map(([key, one]) => `${key}: ${typeScriptLiteral(one)}`).join(', ')} }`;
  }
  return String(value);
}

/** A call of one of the library's operations, as a step. */
export function operationStep(
  name: string,
  phase: Phase,
  options: { readonly table: string } & Readonly<Record<string, unknown>>,
  origins: readonly string[] = [],
): OperationStep {
  const code = `${name}(${typeScriptLiteral(options)})`;
  return { kind: 'operation', phase, table: options.table, code, imports: [name], origins };
}

/** The options of `concurrentIndex` and its like that make the same index; undefined if they cannot say it all. */
export function indexOptions({ sql, node }: ParsedSql): IndexOptions | undefined {
  if (!('IndexStmt' in node)) return undefined;
  const index = node.IndexStmt;
  if (index.indexIncludingParams || index.options || index.tableSpace || index.nulls_not_distinct)
    return undefined;
  const table = tableName(index.relation!);
  const method = index.accessMethod ?? 'btree';
  return {
    table,
    name: index.idxname ?? defaultIndexName(table, index),
    columns: elementsOf(sql, index),
    unique: index.unique === true ? true : undefined,
    where: whereOf(sql),
    method: method === 'btree' ? undefined : method,
  };
}

/** What {@link indexOptions} reads. */
export interface IndexOptions extends Readonly<Record<string, unknown>> {
  readonly table: string;
  readonly name: string;
  readonly columns: readonly (string | { readonly expression: string })[];
  readonly unique: true | undefined;
  readonly where: string | undefined;
  readonly method: string | undefined;
}

/** The name that PostgreSQL would choose, as far as no other index has it. */
function defaultIndexName(table: string, { indexParams = [] }: IndexStmt): string {
  const columns = indexParams.map((one) => ('IndexElem' in one && one.IndexElem.name) || 'expr');
  return objectName([parseTableName(table).name, ...columns].join('_'), 'idx');
}

function elementsOf(sql: string, { indexParams = [] }: IndexStmt): IndexOptions['columns'] {
  const tokens = tokensOf(sql);
  const open = tokens.find(({ text, depth }) => text === '(' && depth === 0)!;
  const inside = tokens.filter(({ start }) => start > open.start);
  const close = inside.find(({ text, depth }) => text === ')' && depth === 0)!;
  const commas = inside.filter(
    ({ text, depth, start }) => text === ',' && depth === 1 && start < close.start,
  );
  const starts = [open.end, ...commas.map(({ end }) => end)];
  return indexParams.map((param, position) => {
    const element = 'IndexElem' in param ? param.IndexElem : undefined;
    const isPlain =
      element?.name !== undefined &&
      names(element.opclass).length === 0 &&
      names(element.collation).length === 0 &&
      element.ordering === 'SORTBY_DEFAULT' &&
      element.nulls_ordering === 'SORTBY_NULLS_DEFAULT';
    if (isPlain) return element.name!;
    return { expression: sliceBytes(sql, starts[position]!, (commas[position] ?? close).start) };
  });
}

function whereOf(sql: string): string | undefined {
  const where = tokensOf(sql).find(({ text, depth }) => depth === 0 && text.toUpperCase() === 'WHERE');
  return where && sliceBytes(sql, where.end);
}

/** `CREATE INDEX` as `CREATE INDEX CONCURRENTLY`, with the name it gets. */
export function concurrently({ sql, node }: ParsedSql): string {
  if ('IndexStmt' in node && node.IndexStmt.concurrent === true) return sql;
  const index = tokensOf(sql).find(({ text }) => text.toUpperCase() === 'INDEX');
  if (!index)
    throw new RlsConfigurationError(`No index is made or dropped here: ${shorten(sql)}`, 'Report this.');
  return `${sliceBytes(sql, 0, index.end)} CONCURRENTLY ${sliceBytes(sql, index.end)}`;
}
