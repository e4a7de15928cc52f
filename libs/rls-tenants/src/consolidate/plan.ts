import type { DataSource } from 'typeorm';
import { PROGRESS_TABLE } from '../backfill/backfill.sql.js';
import { RlsConfigurationError } from '../errors.js';
import { admissionProblem } from '../migrations/admission.js';
import { quoteIdentifier, quoteLiteral } from '../policies/index.js';
import { catalogTables, misfit, type CatalogColumn, type CatalogTable } from './catalog.js';
import {
  KEY_TABLE,
  newKeySql,
  newReferenceSql,
  OTHER_TABLES,
  SCHEMAS,
  tableIn,
  type CopiedColumn,
  type RowCopy,
} from './consolidate.sql.js';
import { checkData, type Counted, type SequenceAdvance } from './data-checks.js';
import { layoutOf, type Problem, type TargetTable } from './layout.js';
import { tenantSchemas, type SchemaMapping, type TenantSchema } from './schema-mapping.js';
import { Session } from './session.js';

/** What to consolidate, and how. */
export interface ConsolidationOptions {
  readonly mapping: SchemaMapping;
  /** As the entities name them. Default: the tables of all tenant-scoped entities. */
  readonly tables?: readonly string[] | undefined;
  /** Rows per transaction. Default 500. */
  readonly batchSize?: number | undefined;
  /**
   * Gives rows new keys where their integer keys do not include the tenant, and rewrites the foreign keys to them. The
   * old keys stay in the table of `consolidatedKeyTable`. Keep it the same in all runs.
   */
  readonly renumber?: boolean | undefined;
}

/** The rows of one old table, on their way into the protected one. */
export interface TenantTableCopy extends TenantSchema {
  readonly table: TargetTable;
  readonly copy: RowCopy;
  /** Columns that the old table lets be NULL and the protected one does not. */
  readonly maybeNull: readonly string[];
  /** The old table has the tenant column already. */
  readonly namesTenant: boolean;
}

/** What a consolidation would do, and what stands in its way. */
export interface ConsolidationPlan {
  readonly schemas: readonly TenantSchema[];
  /** In the order of copying. */
  readonly tables: readonly TargetTable[];
  readonly copies: readonly TenantTableCopy[];
  /** Rows of each copy, in the same order; empty where data was not looked at. */
  readonly counts: readonly Counted[];
  readonly sequences: readonly SequenceAdvance[];
  /** What differs and is allowed, with the schemas where it does. */
  readonly notes: ReadonlyMap<string, readonly string[]>;
  /** Any of them, and nothing is copied. */
  readonly problems: readonly Problem[];
}

const MAX_BATCH_SIZE = 10_000;

/**
 * Looks at everything that decides whether the schemas can be consolidated, and writes nothing.
 *
 * @throws RlsConfigurationError, before it reads any data, for a mapping that leaves a schema without a tenant or gives
 * one tenant two schemas, for unknown tables, and for a role that is not admitted to all rows.
 */
export function planConsolidation(
  dataSource: DataSource,
  options: ConsolidationOptions,
): Promise<ConsolidationPlan> {
  return Session.with(dataSource, (session, scopes) => plan(session, scopes, options, true));
}

/** The same on a connection that goes on. @param data look at the rows too, not at the catalog only. */
export async function plan(
  session: Session,
  scopes: Parameters<typeof layoutOf>[1],
  options: ConsolidationOptions,
  data: boolean,
): Promise<ConsolidationPlan> {
  batchSizeOf(options);
  const schemas = await schemasOf(session, options.mapping, scopes[0]!.tenantIdType);
  const layout = await layoutOf(session, scopes, options.tables, options.renumber ?? false);
  const hidden = await admissionProblem(session.runner, [
    ...layout.tables.map(({ scope }) => scope.table),
    PROGRESS_TABLE,
    KEY_TABLE,
  ]);
  if (hidden) throw hidden;
  refuseOwnSchemas(schemas, layout.tables);
  const draft = new Draft();
  draft.problems.push(...layout.problems);
  for (const schema of schemas) await draft.add(session, schema, layout.tables);
  const found = { schemas, tables: layout.tables, ...draft.found };
  if (!data || draft.problems.length > 0) return { ...found, counts: [], sequences: [] };
  const { problems, ...checked } = await checkData(session, found, options.renumber ?? false);
  return { ...found, ...checked, problems };
}

/** @throws RlsConfigurationError for an impossible one. */
export function batchSizeOf({ batchSize = 500 }: ConsolidationOptions): number {
  if (Number.isInteger(batchSize) && batchSize >= 1 && batchSize <= MAX_BATCH_SIZE) return batchSize;
  throw new RlsConfigurationError(
    `The batch size is ${batchSize}.`,
    `It is a whole number from 1 to ${MAX_BATCH_SIZE}.`,
  );
}

async function schemasOf(
  session: Session,
  mapping: SchemaMapping,
  tenantIdType: Parameters<typeof tenantSchemas>[2],
): Promise<TenantSchema[]> {
  const existing = await session.query<{ name: string; usable: boolean }>(SCHEMAS);
  const schemas = tenantSchemas(
    mapping,
    existing.map(({ name }) => name),
    tenantIdType,
  );
  const closed = schemas.find(({ schema }) =>
    existing.some(({ name, usable }) => name === schema && !usable),
  );
  if (!closed) return schemas;
  throw new RlsConfigurationError(
    `The migration role may not use schema "${closed.schema}".`,
    `GRANT USAGE ON SCHEMA and SELECT ON ALL TABLES IN SCHEMA ${quoteIdentifier(closed.schema)} to it, and in every schema of a tenant.`,
  );
}

function refuseOwnSchemas(schemas: readonly TenantSchema[], tables: readonly TargetTable[]): void {
  const own = schemas.find(({ schema }) => tables.some(({ catalog }) => catalog.schema === schema));
  if (!own) return;
  throw new RlsConfigurationError(
    `Schema "${own.schema}" holds the protected tables themselves.`,
    'It cannot be the schema of a tenant: take it out of the mapping.',
  );
}

/** Collects what the schemas have, one after the other. */
class Draft {
  readonly copies: TenantTableCopy[] = [];
  readonly notes = new Map<string, string[]>();
  readonly problems: Problem[] = [];

  get found(): Pick<ConsolidationPlan, 'copies' | 'notes' | 'problems'> {
    const { copies, notes, problems } = this;
    return { copies, notes, problems };
  }

  async add(session: Session, schema: TenantSchema, tables: readonly TargetTable[]): Promise<void> {
    const names = tables.map(({ name }) => tableIn(schema.schema, name));
    const old = await catalogTables(session, names);
    tables.forEach((table, index) => {
      const source = old.get(names[index]!);
      if (source) this.addTable(schema, table, source);
      else this.refuse(`Schema "${schema.schema}" has no table "${table.name}"`, UPDATE_SCHEMA);
    });
    const others = await session.query<{ name: string }>(OTHER_TABLES, [
      quoteIdentifier(schema.schema),
      tables.map(({ name }) => name),
    ]);
    for (const { name } of others) this.note(`table "${name}" is not copied`, schema.schema);
  }

  private addTable(schema: TenantSchema, table: TargetTable, source: CatalogTable): void {
    const where = `${schema.schema}.${table.name}`;
    const { tenantColumn, tenantIdType } = table.scope;
    this.checkAccess(where, source);
    const key = source.key.filter((column) => column !== tenantColumn);
    if ([...key].sort().join() !== [...table.key].sort().join()) {
      const [has, wants] = [key, table.key].map((columns) => columns.join(', ') || 'none');
      this.refuse(
        `The primary key of ${where} is ${has}, that of the protected table ${wants}`,
        UPDATE_SCHEMA,
      );
      return;
    }
    const columns = this.columnsOf(where, schema, table, source);
    this.copies.push({
      ...schema,
      table,
      copy: {
        source: source.table,
        target: table.catalog.table,
        tenantColumn,
        tenantType: tenantIdType,
        key: key.map((name) => ({ name, type: columnOf(source, name)!.type })),
        columns,
      },
      maybeNull: columns.flatMap(({ name }) =>
        columnOf(table.catalog, name)!.notNull && !columnOf(source, name)!.notNull ? [name] : [],
      ),
      namesTenant: columnOf(source, tenantColumn) !== undefined,
    });
  }

  private checkAccess(where: string, { readable, hidden }: CatalogTable): void {
    if (!readable)
      this.refuse(`The migration role may not read ${where}`, 'GRANT SELECT on the old tables to it.');
    if (hidden) {
      this.refuse(
        `${where} has row-level security, which may hide rows`,
        'Disable it there, or let a role with BYPASSRLS copy.',
      );
    }
  }

  /** The columns to copy; what differs is noted or refused. */
  private columnsOf(
    where: string,
    schema: TenantSchema,
    table: TargetTable,
    source: CatalogTable,
  ): CopiedColumn[] {
    const { tenantColumn } = table.scope;
    const extra = source.columns.filter(
      ({ name }) => name !== tenantColumn && !columnOf(table.catalog, name),
    );
    if (extra.length > 0) {
      this.refuse(
        `${where} has columns that table "${table.scope.table}" lacks: ${extra.map(({ name }) => name).join(', ')}`,
        'Add them to the entity and its table, or drop them from the old one.',
      );
    }
    return table.catalog.columns.flatMap((column) => {
      if (column.name === tenantColumn || column.generated) return [];
      const old = columnOf(source, column.name);
      if (!old) {
        this.absent(where, schema, table, column);
        return [];
      }
      const problem = misfit(old, column);
      if (problem !== undefined) this.refuse(`Column "${column.name}" of ${where} ${problem}`, UPDATE_SCHEMA);
      return [{ name: column.name, sql: valueSql(table, column) }];
    });
  }

  private absent(where: string, { schema }: TenantSchema, table: TargetTable, column: CatalogColumn): void {
    if (column.notNull && !column.hasDefault) {
      this.refuse(
        `${where} lacks column "${column.name}", which table "${table.scope.table}" needs in every row`,
        'Add it to the old table, give it a default in the protected one, or let it be NULL.',
      );
      return;
    }
    const filled = column.hasDefault ? 'gets its default' : 'stays NULL';
    this.note(`column "${column.name}" of table "${table.name}" is absent and ${filled}`, schema);
  }

  private note(text: string, schema: string): void {
    this.notes.set(text, [...(this.notes.get(text) ?? []), schema]);
  }

  private refuse(message: string, hint: string): void {
    this.problems.push({ message, hint });
  }
}

const UPDATE_SCHEMA =
  "Bring the old schema to the state that the entities describe, with the old application's migrations.";

function columnOf({ columns }: CatalogTable, name: string): CatalogColumn | undefined {
  return columns.find((column) => column.name === name);
}

/** The value of a protected column, made of the old row `s`. Enum types differ from schema to schema; their labels do not. */
function valueSql(
  { newKeys, renumbered, scope }: TargetTable,
  { name, type, labels, array }: CatalogColumn,
): string {
  const value = `s.${quoteIdentifier(name)}`;
  const table = newKeys.get(name)?.table;
  if (table !== undefined) {
    const sqlOf = name === renumbered ? newKeySql : newReferenceSql;
    return sqlOf(quoteLiteral(table), value, scope.tenantIdType);
  }
  return labels.length > 0 ? `${value}::text${array ? '[]' : ''}::${type}` : value;
}
