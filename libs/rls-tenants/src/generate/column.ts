import type { ColumnDef, TypeName } from 'libpg-query';
import { names } from '../lint/changes.js';
import { plain, sliceBytes, type ParsedSql } from './statement.js';

/** A column as ADD COLUMN declares it. */
export interface ColumnDeclaration {
  readonly name: string;
  readonly type: ColumnType;
  readonly notNull: boolean;
  /** The default as SQL. */
  readonly default: string | undefined;
  /** What else it has, such as GENERATED, IDENTITY or a constraint of its own; empty if nothing. */
  readonly rest: string;
}

/** A type as SQL writes it, and what it is made of. */
export interface ColumnType {
  readonly text: string;
  readonly name: string;
  /** Length, or precision and scale. */
  readonly modifiers: readonly number[];
  readonly array: boolean;
}

/** The column of an `ALTER TABLE … ADD COLUMN`. */
export function addedColumn({ sql, command }: ParsedSql): ColumnDeclaration | undefined {
  const def = command?.subtype === 'AT_AddColumn' ? command.def : undefined;
  return def && 'ColumnDef' in def ? declaration(sql, def.ColumnDef) : undefined;
}

/** The type of an `ALTER TABLE … ALTER COLUMN … TYPE`. */
export function alteredType({ sql, command }: ParsedSql): ColumnType | undefined {
  const def = command?.subtype === 'AT_AlterColumnType' ? command.def : undefined;
  if (!def || !('ColumnDef' in def) || !def.ColumnDef.typeName) return undefined;
  return columnType(sql, def.ColumnDef.typeName, undefined);
}

function declaration(sql: string, { colname = '', typeName, constraints = [], collClause }: ColumnDef) {
  const own = constraints
    .flatMap((one) => ('Constraint' in one ? [one.Constraint] : []))
    .sort((a, b) => (a.location ?? 0) - (b.location ?? 0));
  const places = [...own.map(({ location = 0 }) => location), collClause?.location ?? Infinity];
  const firstPlace = Math.min(...places);
  const byDefault = own.findIndex(({ contype }) => contype === 'CONSTR_DEFAULT');
  const start = own[byDefault]?.location;
  const other = own.filter(
    ({ contype }) => !['CONSTR_DEFAULT', 'CONSTR_NOTNULL', 'CONSTR_NULL'].includes(contype ?? ''),
  );
  return {
    name: colname,
    type: columnType(sql, typeName!, Number.isFinite(firstPlace) ? firstPlace : undefined),
    notNull: own.some(({ contype }) => contype === 'CONSTR_NOTNULL'),
    default:
      start === undefined
        ? undefined
        : sliceBytes(sql, start + 'DEFAULT'.length, own[byDefault + 1]?.location),
    rest: other.length === 0 && !collClause ? '' : plain([other, collClause]),
  };
}

function columnType(sql: string, typeName: TypeName, end: number | undefined): ColumnType {
  const { names: parts, typmods = [], arrayBounds = [], location } = typeName;
  return {
    text: sliceBytes(sql, location ?? 0, end).replace(/\s+USING\b[^]*$/i, ''),
    name: names(parts).at(-1) ?? '',
    modifiers: typmods.flatMap((one) =>
      'A_Const' in one && one.A_Const.ival ? [one.A_Const.ival.ival ?? 0] : [NaN],
    ),
    array: arrayBounds.length > 0,
  };
}

/** Types whose one modifier may grow, or go away, without a row being touched. */
const GROWING: ReadonlySet<string> = new Set([
  'varchar',
  'varbit',
  'timestamp',
  'timestamptz',
  'time',
  'timetz',
]);

/** Types that are stored alike. */
const ALIKE: Readonly<Record<string, readonly string[]>> = {
  varchar: ['text'],
  text: ['varchar'],
  cidr: ['inet'],
};

/**
 * True if PostgreSQL changes a column from one type to the other without writing the table or its indexes anew: a length
 * that grows, a type that is stored alike. test/generate/column-type.spec.ts asks PostgreSQL.
 */
export function changesInPlace(from: ColumnType, to: ColumnType): boolean {
  if (from.array !== to.array) return false;
  const same = from.name === to.name && String(from.modifiers) === String(to.modifiers);
  if (same) return true;
  if (from.array || [...from.modifiers, ...to.modifiers].some(Number.isNaN)) return false;
  if (from.name !== to.name) return (ALIKE[from.name] ?? []).includes(to.name) && to.modifiers.length === 0;
  if (to.modifiers.length === 0) return from.name === 'numeric' || GROWING.has(from.name);
  if (from.modifiers.length === 0) return false;
  const [size = 0, scale = 0] = from.modifiers;
  const [newSize = 0, newScale = 0] = to.modifiers;
  if (from.name === 'numeric') return newSize >= size && newScale === scale;
  return GROWING.has(from.name) && newSize >= size;
}
