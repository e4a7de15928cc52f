import type { EntityMetadata, ObjectLiteral } from 'typeorm';
import type { ColumnMetadata } from 'typeorm/metadata/ColumnMetadata.js';
import type { TenantScope } from '../../entities/index.js';
import { NoTenantContextError, RlsViolationError } from '../../errors.js';
import { quoteIdentifier } from '../../policies/index.js';
import { asTenant } from '../contexts.js';
import type { IsolationSession } from '../isolation-session.js';
import { contentSql, keyCondition, placeSql, type KeyPart } from '../isolation.sql.js';
import type { RowSeeder } from '../row-seeder.js';

/** A seeded row of one tenant. */
export interface Target {
  readonly tenantId: string;
  /** As the control loads it. */
  readonly entity: ObjectLiteral;
  /** Its primary key, for TypeORM. */
  readonly where: ObjectLiteral;
  /** Its primary key, for SQL. */
  readonly key: readonly KeyPart[];
  /** The whole row as JSON. */
  readonly content: string;
}

/** Everything that attacks share: the attacker's own row, and the other tenant's, which it must not reach. */
export interface Scene {
  readonly session: IsolationSession;
  readonly seeder: RowSeeder;
  readonly metadata: EntityMetadata;
  readonly scope: TenantScope;
  readonly tenantSetting: string;
  /** The role that no tenant may become; undefined where the app role becomes it for admin contexts. */
  readonly sealedFrom: string | undefined;
  /** The quoted table. */
  readonly table: string;
  /** Every column that can be written, not quoted. */
  readonly columns: readonly string[];
  readonly own: Target;
  readonly other: Target;
}

/** One way to reach another tenant's row. */
export interface Attack {
  /** What the attacker does, for example `reads the row with find()`. */
  readonly way: string;
  /**
   * Tries it on a row, and tells whether the row was reached. On the attacker's own row it must be: an attack that
   * reaches nothing proves nothing.
   */
  attempt(target: Target): Promise<boolean>;
  /**
   * The SQLSTATEs of the constraints that protect the other's row from it. Any other constraint (23…) that stops it says
   * nothing. Without this, every constraint is a failure: PostgreSQL asks policies first, so they let the row by.
   */
  readonly heldBy?: readonly string[];
  /**
   * The SQLSTATEs of constraints which show, on the attacker's own row, that the policies let it by, where that row cannot
   * be taken out of the way.
   */
  readonly provenBy?: readonly string[];
}

/** Runs `fn` as the tenant that attacks. */
export function asAttacker<T>({ own }: Scene, fn: () => Promise<T>): Promise<T> {
  return asTenant(own.tenantId, fn);
}

/** Whether `fn` wrote or removed the target's row: every write moves it. */
export async function touches(scene: Scene, target: Target, fn: () => Promise<unknown>): Promise<boolean> {
  const before = await placeOf(scene, target);
  await fn();
  return before !== (await placeOf(scene, target));
}

async function placeOf({ session, table }: Scene, { tenantId, key }: Target): Promise<string | undefined> {
  const { rows } = await session.inControl(tenantId, () =>
    session.query<{ place: string }>(placeSql(table, keyCondition(key)), texts(key)),
  );
  return rows[0]?.place;
}

/** The row as the control reads it; undefined if it is not there. */
export async function contentOf(
  { session, table }: Pick<Scene, 'session' | 'table'>,
  { tenantId, key }: Pick<Target, 'tenantId' | 'key'>,
): Promise<string | undefined> {
  const { rows } = await session.inControl(tenantId, () =>
    session.query<{ content: string }>(contentSql(table, keyCondition(key)), texts(key)),
  );
  return rows[0]?.content;
}

export function texts(key: readonly KeyPart[]): string[] {
  return key.map(({ text }) => text);
}

/** A column that an update may name without a change of key or tenant; the first of the key where there is no other. */
export function ordinaryColumn({ metadata, scope }: Scene): ColumnMetadata {
  const candidates = metadata.columns.filter(
    (column) =>
      !column.isPrimary &&
      !column.relationMetadata &&
      !column.asExpression &&
      !column.isVirtual &&
      !column.isVirtualProperty &&
      column.isUpdate &&
      !column.isVersion &&
      !column.isUpdateDate &&
      !column.isDeleteDate &&
      column.databaseName !== scope.column.databaseName,
  );
  return candidates[0] ?? metadata.primaryColumns.find((column) => column !== scope.column) ?? scope.column;
}

/** The primary key as find options take it. A related object beside a column of the key is not asked. */
export function primaryKeyOf({ primaryColumns }: EntityMetadata, entity: ObjectLiteral): ObjectLiteral {
  const maps = primaryColumns.map((column) => {
    const own: unknown = entity[column.propertyName];
    const plain = typeof own === 'object' || own === undefined ? column.getEntityValue(entity) : own;
    return column.createValueMap(plain);
  });
  return Object.assign({}, ...maps) as ObjectLiteral;
}

export function quoted(column: ColumnMetadata): string {
  return quoteIdentifier(column.databaseName);
}

/** What became of an attempt. */
export type Outcome =
  | { readonly kind: 'reached' }
  | { readonly kind: 'missed' }
  | { readonly kind: 'refused' | 'failed'; readonly error: Error }
  | { readonly kind: 'constraint'; readonly error: Error; readonly code: string };

/** Runs an attempt, and takes back what it wrote. */
export async function outcomeOf({ session }: Scene, attack: Attack, target: Target): Promise<Outcome> {
  try {
    const reached = await session.takingBack(() => attack.attempt(target));
    return { kind: reached ? 'reached' : 'missed' };
  } catch (thrown) {
    const error = thrown instanceof Error ? thrown : new Error(String(thrown));
    if (error instanceof NoTenantContextError || error instanceof RlsViolationError)
      return { kind: 'refused', error };
    const code = sqlState(error);
    if (code === '42501') return { kind: 'refused', error };
    return code?.startsWith('23') ? { kind: 'constraint', error, code } : { kind: 'failed', error };
  }
}

function sqlState(error: Error): string | undefined {
  const { code, driverError } = error as { code?: unknown; driverError?: { code?: unknown } };
  const state = driverError?.code ?? code;
  return typeof state === 'string' ? state : undefined;
}
