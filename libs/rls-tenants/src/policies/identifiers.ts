import { createHash } from 'node:crypto';
import { RlsConfigurationError } from '../errors.js';

/** PostgreSQL truncates longer identifiers silently (NAMEDATALEN - 1). */
export const MAX_IDENTIFIER_BYTES = 63;

export const DEFAULT_TENANT_SETTING = 'rls.current_tenant';
export const DEFAULT_ADMIN_ROLE = 'rls_admin';

/** Quotes one identifier. @throws RlsConfigurationError if PostgreSQL could not hold it as it stands. */
export function quoteIdentifier(name: string): string {
  if (
    typeof name !== 'string' ||
    name === '' ||
    name.includes('\0') ||
    Buffer.byteLength(name) > MAX_IDENTIFIER_BYTES
  ) {
    throw new RlsConfigurationError(
      `Invalid PostgreSQL identifier ${JSON.stringify(name)}.`,
      `An identifier has 1 to ${MAX_IDENTIFIER_BYTES} bytes and no NUL.`,
    );
  }
  return `"${name.replaceAll('"', '""')}"`;
}

/**
 * Quotes the name of a role. PostgreSQL takes `"public"`, quotes or not, for PUBLIC, so that an admin role of that name
 * would open its policy to everybody.
 *
 * @throws RlsConfigurationError if no role can have the name.
 */
export function quoteRole(name: string): string {
  if (name === 'public' || name === 'none') {
    throw new RlsConfigurationError(
      `Invalid role name ${JSON.stringify(name)}.`,
      'PostgreSQL reserves `public` and `none`: name a role that `CREATE ROLE` made.',
    );
  }
  return quoteIdentifier(name);
}

/** A table's name, with its schema unless the search path finds it. */
export interface TableName {
  readonly schema?: string;
  readonly name: string;
}

// One name, or two with a dot between them. A name in double quotes, as SQL writes it, may hold dots.
const TABLE_PATH = /^(?:(?:"((?:[^"]|"")+)"|([^.]+))\.)?(?:"((?:[^"]|"")+)"|([^.]+))$/;

/** Reads TypeORM's notation, `note` or `billing.note`, and what {@link tablePath} makes of names that it cannot hold. */
export function parseTableName(path: string): TableName {
  const [, quotedSchema, plainSchema, quotedName, plainName] = TABLE_PATH.exec(path) ?? [];
  const schema = quotedSchema?.replaceAll('""', '"') ?? plainSchema;
  const name = quotedName?.replaceAll('""', '"') ?? plainName;
  if (name === undefined) {
    throw new RlsConfigurationError(
      `Invalid table name ${JSON.stringify(path)}.`,
      'Write `table` or `schema.table`, and a name with a dot in it in double quotes.',
    );
  }
  return schema === undefined ? { name } : { schema, name };
}

/**
 * The notation that {@link parseTableName} reads, for any name that PostgreSQL can hold: TypeORM's, and double quotes
 * around a name with a dot in it or a quote in front.
 */
export function tablePath({ schema, name }: TableName): string {
  const parts = schema === undefined ? [name] : [schema, name];
  return parts
    .map((part) => (part.includes('.') || part.startsWith('"') ? quoteIdentifier(part) : part))
    .join('.');
}

/** Quotes a table name in TypeORM's notation (`note`, `billing.note`). */
export function quoteTable(path: string): string {
  const { schema, name } = parseTableName(path);
  return schema === undefined ? quoteIdentifier(name) : `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`;
}

/** Quotes a text literal, whatever `standard_conforming_strings` is. */
export function quoteLiteral(text: string): string {
  if (text.includes('\0'))
    throw new RlsConfigurationError('A text literal holds a NUL.', 'PostgreSQL text has no NUL.');
  const quoted = `'${text.replaceAll("'", "''").replaceAll('\\', '\\\\')}'`;
  return text.includes('\\') ? ` E${quoted}` : quoted;
}

// Two or more dot-separated plain identifiers: what PostgreSQL accepts for a custom setting. \z by construction:
// JavaScript's $ without the m flag matches at the very end only.
const CUSTOM_SETTING = /^[A-Za-z_][A-Za-z0-9_$]*(?:\.[A-Za-z_][A-Za-z0-9_$]*)+$/;

/** Returns `name` if PostgreSQL takes it as a custom setting. @throws RlsConfigurationError otherwise. */
export function checkSettingName(name: string): string {
  if (
    typeof name === 'string' &&
    CUSTOM_SETTING.test(name) &&
    Buffer.byteLength(name) <= MAX_IDENTIFIER_BYTES
  )
    return name;
  throw new RlsConfigurationError(
    `Invalid tenant setting ${JSON.stringify(name)}.`,
    `A custom setting has a prefix, a dot and a name, for example '${DEFAULT_TENANT_SETTING}'.`,
  );
}

/** `{stem}_{suffix}`, with the stem shortened and told apart by a hash where PostgreSQL would truncate the name. */
export function objectName(stem: string, suffix: string): string {
  const name = `${stem}_${suffix}`;
  if (Buffer.byteLength(name) <= MAX_IDENTIFIER_BYTES) return name;
  const hash = createHash('sha256').update(stem).digest('hex').slice(0, 8);
  const room = MAX_IDENTIFIER_BYTES - suffix.length - hash.length - 2;
  return `${Buffer.from(stem)
    .subarray(0, room)
    .toString('utf8')
    .replace(/\uFFFD+$/, '')}_${hash}_${suffix}`;
}
