import { quoteIdentifier, quoteLiteral } from '../policies/index.js';

// The statements of expectIsolated(). `table` and `columns` are quoted, unless said otherwise; values are parameters.

/** One column of a primary key and its value as PostgreSQL writes it. */
export interface KeyPart {
  /** Not quoted. */
  readonly column: string;
  readonly text: string;
}

/** The row with the key: its values are the last parameters, from `$first` on. */
export function keyCondition(key: readonly KeyPart[], first = 1): string {
  return key.map(({ column }, index) => `${quoteIdentifier(column)} = $${first + index}`).join(' AND ');
}

/** The row with the key, for a statement that takes no parameters. */
export function keyConditionOfLiterals(key: readonly KeyPart[]): string {
  return key.map(({ column, text }) => `${quoteIdentifier(column)} = ${quoteLiteral(text)}`).join(' AND ');
}

export const ROLE_SQL = `
  SELECT r.rolname::text AS role, r.rolsuper AS superuser, r.rolbypassrls AS bypass,
         pg_catalog.pg_has_role(r.oid, c.relowner, 'MEMBER') AS owner
    FROM pg_catalog.pg_roles r, pg_catalog.pg_class c
   WHERE r.rolname = current_user AND c.oid = $1::regclass`;

/** What the role may do with the table, or with one of its columns at least. $1 the table. */
export const PRIVILEGES_SQL = `
  SELECT has_any_column_privilege($1::regclass, 'SELECT') AS "SELECT",
         has_any_column_privilege($1::regclass, 'INSERT') AS "INSERT",
         has_any_column_privilege($1::regclass, 'UPDATE') AS "UPDATE",
         has_table_privilege($1::regclass, 'DELETE') AS "DELETE",
         has_table_privilege($1::regclass, 'TRUNCATE') AS "TRUNCATE"`;

/** Every column that can be written. $1 the table. */
export const COLUMNS_SQL = `
  SELECT attname::text AS name FROM pg_catalog.pg_attribute
   WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum`;

/**
 * The keys that ON CONFLICT can name. `meaningless` ones tell nothing that could be guessed: a uuid, or a number that a
 * sequence gave, that is the primary key, or that refers to another row. $1 the table.
 */
export const UNIQUE_KEYS_SQL = `
  SELECT array_agg(a.attname::text ORDER BY k.position) AS columns,
         bool_or(a.atttypid = 'uuid'::regtype)
           OR bool_and(a.atttypid = ANY ('{smallint,integer,bigint}'::regtype[]) AND (
                i.indisprimary OR a.attidentity <> ''
                OR pg_catalog.pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%'
                OR EXISTS (SELECT FROM pg_catalog.pg_constraint f
                            WHERE f.conrelid = i.indrelid AND f.contype = 'f' AND a.attnum = ANY (f.conkey))))
           AS meaningless
    FROM pg_catalog.pg_index i
    CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, position)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
    LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
   WHERE i.indrelid = $1::regclass AND i.indisunique AND i.indimmediate AND i.indisvalid
     AND i.indpred IS NULL AND i.indexprs IS NULL AND k.position <= i.indnkeyatts
   GROUP BY i.indexrelid ORDER BY 1`;

/** The key of the row that the parameters name, as text. */
export function keyTextSql(table: string, key: readonly string[], condition: string): string {
  const texts = key.map((column, index) => `${quoteIdentifier(column)}::text AS k${index}`);
  return `SELECT ${texts.join(', ')} FROM ${table} WHERE ${condition}`;
}

/** Where the row lies: every write moves it. */
export function placeSql(table: string, condition: string): string {
  return `SELECT tableoid::text || ctid::text AS place FROM ${table} WHERE ${condition}`;
}

export function contentSql(table: string, condition: string): string {
  return `SELECT to_jsonb(content)::text AS content FROM ${table} AS content WHERE ${condition}`;
}

export function readSql(table: string, condition: string): string {
  return `SELECT 1 AS seen FROM ${table} WHERE ${condition}`;
}

export function lockSql(table: string, condition: string): string {
  return `${readSql(table, condition)} FOR UPDATE`;
}

/** SQLSTATE with which a block says that it sees its row: a block returns none. */
export const SEEN = 'RLSEE';

/**
 * Reads in one statement, behind other statements: the library carries the tenant in front of each statement that is sent,
 * and so takes back what an earlier one set.
 */
export function readInBlockSql(before: readonly string[], table: string, condition: string): string {
  const seen = `RAISE EXCEPTION 'the row is seen' USING ERRCODE = '${SEEN}';`;
  return blockSql([...before, `IF EXISTS (${readSql(table, condition)}) THEN ${seen} END IF`]);
}

export function blockSql(statements: readonly string[]): string {
  return `DO ${quoteLiteral(`BEGIN ${statements.map((statement) => `${statement};`).join(' ')} END`)}`;
}

/** For a block: sets what the library carries. */
export function setInBlock(setting: string, value: string): string {
  return `PERFORM set_config(${quoteLiteral(setting)}, ${quoteLiteral(value)}, true)`;
}

/** For a block: becomes another role, until the transaction ends. */
export function becomeInBlock(role: string): string {
  return `SET LOCAL ROLE ${quoteIdentifier(role)}`;
}

/** Writes the row without changing it. */
export function touchSql(table: string, column: string, condition: string): string {
  return `UPDATE ${table} SET ${column} = ${column} WHERE ${condition}`;
}

/** Gives a column a value: $1. Without a condition it reads no column, so that PostgreSQL asks no SELECT policy. */
export function setSql(table: string, column: string, condition?: string): string {
  return `UPDATE ${table} SET ${column} = $1${condition === undefined ? '' : ` WHERE ${condition}`}`;
}

/** Without a condition it reads no column, so that PostgreSQL asks no SELECT policy. */
export function deleteSql(table: string, condition?: string): string {
  return `DELETE FROM ${table}${condition === undefined ? '' : ` WHERE ${condition}`}`;
}

/** A row, with some columns replaced. $1 the row, $2 the replacements, both as JSON. It returns nothing. */
export function insertSql(table: string, columns: readonly string[]): string {
  const names = columns.map(quoteIdentifier).join(', ');
  return `
    INSERT INTO ${table} (${names}) OVERRIDING SYSTEM VALUE
    SELECT ${names} FROM jsonb_populate_record(NULL::${table}, $1::jsonb || $2::jsonb)`;
}

/** Some columns of a row. In SQL, because JavaScript would round long numbers. $1 the row, $2 the names. */
export const VALUES_SQL = `
  SELECT jsonb_object_agg(key, value)::text AS values, bool_or(value = 'null') AS "hasNull"
    FROM jsonb_each($1::jsonb) WHERE key = ANY ($2::text[])`;

export function onConflictSql(key: readonly string[], column?: string): string {
  const action = column === undefined ? 'NOTHING' : `UPDATE SET ${column} = EXCLUDED.${column}`;
  return ` ON CONFLICT (${key.map(quoteIdentifier).join(', ')}) DO ${action}`;
}
