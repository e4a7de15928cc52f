import type { DataSource } from 'typeorm';
import { withoutTenant } from '../context/tenant-context.js';
import { RlsConfigurationError } from '../errors.js';
import { quoteTable } from '../policies/index.js';
import type { CheckedBackfill } from './backfill-definition.js';
import { TABLE_SHAPE } from './backfill.sql.js';

/** What a backfill must know of its table. */
export interface BackfillTable {
  /** The type of the tenant column, as PostgreSQL prints it. */
  tenantType: string;
  /** The columns that order a tenant's rows: the primary key, without the tenant column where others remain. */
  key: readonly { name: string; type: string }[];
  /** PostgreSQL's own estimate; 0 for a table that was never analysed. */
  estimatedRows: number;
}

interface Shape {
  role: string;
  estimatedRows: number;
  confined: boolean;
  tenantType: string | null;
  key: { name: string; type: string }[] | null;
}

/**
 * Reads the table's shape and makes sure that a tenant's context holds the data source's role to that tenant's rows.
 *
 * @throws RlsConfigurationError if there is no such table, tenant column or primary key, if `set` changes a key column
 * (rows would move in front of the cursor, for ever), or if the role sees all tenants' rows.
 */
export async function backfillTable(
  dataSource: DataSource,
  definition: CheckedBackfill,
): Promise<BackfillTable> {
  const { table, tenantColumn } = definition;
  const [shape] = await withoutTenant(() =>
    dataSource.query<Shape[]>(TABLE_SHAPE, [quoteTable(table), tenantColumn]),
  );
  const refuse = (cause: string, hint: string) =>
    new RlsConfigurationError(`Backfill "${definition.name}": ${cause}.`, hint);
  if (!shape) throw refuse(`table "${table}" does not exist`, 'Create it in a migration that runs before.');
  if (shape.tenantType === null) {
    throw refuse(`table "${table}" has no column "${tenantColumn}"`, 'Name its tenant column.');
  }
  if (!shape.key) throw refuse(`table "${table}" has no primary key`, 'Add one: it orders the batches.');
  if (!shape.confined) {
    throw refuse(
      `role "${shape.role}" sees every tenant's rows of table "${table}"`,
      'Run backfills on a data source of the app role, and protect the table first (protectTable).',
    );
  }
  const fixed = [tenantColumn, ...shape.key.map(({ name }) => name)];
  const moved = fixed.find((column) => definition.set && Object.hasOwn(definition.set, column));
  if (moved !== undefined) {
    throw refuse(
      `\`set\` changes "${moved}", by which rows are found`,
      'Change primary keys and tenants another way.',
    );
  }
  const rest = shape.key.filter(({ name }) => name !== tenantColumn);
  return {
    tenantType: shape.tenantType,
    key: rest.length > 0 ? rest : shape.key,
    estimatedRows: shape.estimatedRows,
  };
}
