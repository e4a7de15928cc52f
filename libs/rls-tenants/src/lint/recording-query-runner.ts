import {
  DataSource,
  Table,
  TableCheck,
  TableColumn,
  TableExclusion,
  TableForeignKey,
  TableIndex,
  TableUnique,
  View,
} from 'typeorm';
import type { PostgresDriver } from 'typeorm/driver/postgres/PostgresDriver.js';
import { PostgresQueryRunner } from 'typeorm/driver/postgres/PostgresQueryRunner.js';

/** Methods of a query runner that are recorded: those that change a schema, and the one that empties a table. */
export const RECORDED_METHODS = [
  'createSchema',
  'dropSchema',
  'createTable',
  'dropTable',
  'renameTable',
  'clearTable',
  'createView',
  'dropView',
  'addColumn',
  'addColumns',
  'renameColumn',
  'changeColumn',
  'changeColumns',
  'dropColumn',
  'dropColumns',
  'createPrimaryKey',
  'updatePrimaryKeys',
  'dropPrimaryKey',
  'createUniqueConstraint',
  'createUniqueConstraints',
  'dropUniqueConstraint',
  'dropUniqueConstraints',
  'createCheckConstraint',
  'createCheckConstraints',
  'dropCheckConstraint',
  'dropCheckConstraints',
  'createExclusionConstraint',
  'createExclusionConstraints',
  'dropExclusionConstraint',
  'dropExclusionConstraints',
  'createForeignKey',
  'createForeignKeys',
  'dropForeignKey',
  'dropForeignKeys',
  'createIndex',
  'createIndices',
  'dropIndex',
  'dropIndices',
  'changeTableComment',
] as const;

export type RecordedMethod = (typeof RECORDED_METHODS)[number];

/** A call whose SQL depends on what only the database knows. */
export class NeedsDatabaseError extends Error {}

/**
 * TypeORM's own query runner, which writes the SQL of a call down and has no connection: what it would read are the
 * tables that earlier calls made. Of a table that it does not know, the name is enough for all but a few methods:
 * what TypeORM would do beside (drop the index of a column before the column) PostgreSQL does by itself, under the lock
 * that is held anyway.
 */
export class RecordingQueryRunner extends PostgresQueryRunner {
  /** Paths of the tables of which every column is known. */
  private readonly known = new Set<string>();
  private readonly metadataTable: string;
  private method: RecordedMethod = 'createTable';

  constructor() {
    // Nothing is connected: a data source is what the naming strategy and the names of types hang on.
    const dataSource = new DataSource({ type: 'postgres' });
    const driver = dataSource.driver as PostgresDriver;
    // What a connection would ask the database for.
    driver.schema = 'public';
    driver.searchSchema = 'public';
    super(driver, 'master');
    this.metadataTable = dataSource.metadataTableName;
  }

  /** A query runner that knows the same tables, and goes its own way from here. */
  copy(): RecordingQueryRunner {
    const other = new RecordingQueryRunner();
    other.loadedTables = this.loadedTables.map((table) => table.clone());
    for (const path of this.known) other.known.add(path);
    other.settle();
    return other;
  }

  /** Forgets what the database would not say of an index: that it was built concurrently. */
  settle(): void {
    for (const index of this.loadedTables.flatMap(({ indices }) => indices)) index.isConcurrent = false;
  }

  /** Forgets a table that SQL has changed: TypeORM would read it from the database. */
  forget(table: string): void {
    const path = pathOf(table);
    this.known.delete(path);
    this.loadedTables = this.loadedTables.filter(({ name }) => pathOf(name) !== path);
  }

  /**
   * The statements that a call would run, in order.
   *
   * @throws NeedsDatabaseError if only the database could tell, and TypeORM's errors for what it refuses.
   */
  async record(method: RecordedMethod, args: readonly unknown[]): Promise<string[]> {
    this.method = method;
    const [first, ...rest] = args;
    const target = method !== 'createTable' && first instanceof Table ? this.given(first) : first;
    this.prepare(method, target, rest);
    this.enableSqlMemory();
    const call = Reflect.get(this, method) as (...told: readonly unknown[]) => Promise<void>;
    await call.apply(this, [target, ...rest]);
    this.remember(method, target, rest);
    // TypeORM's own notes about generated columns and views are no change that a rule asks about.
    return this.getMemorySql()
      .upQueries.map(({ query }) => query.trim())
      .filter((query) => !query.includes(`"${this.metadataTable}"`));
  }

  /** A table that is handed over in place of its name is known from there. */
  private given(table: Table): string {
    const path = pathOf(table.name);
    if (!this.known.has(path) && table.columns.length > 0) this.learn(table);
    return path;
  }

  /** From here on the table is as given. */
  learn(table: Table): void {
    const copy = table.clone();
    copy.name = pathOf(table.name);
    this.forget(copy.name);
    this.known.add(copy.name);
    this.loadedTables.push(copy);
  }

  /** Adds to a table what a call names of it, so that it finds it there. */
  private prepare(method: RecordedMethod, target: unknown, [named]: readonly unknown[]): void {
    if (typeof target !== 'string') return;
    const path = pathOf(target);
    if (NEEDS_COLUMNS.has(method) || addsPrimaryKey(method, named)) this.require(path, method);
    const table = this.loadedTables.find(({ name }) => name === path);
    const names = (Array.isArray(named) ? named : [named]).filter((one) => typeof one === 'string');
    const known = table ?? this.stub(path);
    for (const name of names) addNamed(known, method, name);
  }

  private require(path: string, method: RecordedMethod): void {
    if (this.known.has(path)) return;
    throw new NeedsDatabaseError(`queryRunner.${method}(), which depends on the columns that "${path}" has`);
  }

  private stub(path: string): Table {
    const table = new Table({ name: path });
    this.loadedTables.push(table);
    return table;
  }

  private remember(method: RecordedMethod, target: unknown, [named]: readonly unknown[]): void {
    if (method === 'createTable' && target instanceof Table) this.learn(target);
    if (typeof target !== 'string') return;
    if (method === 'dropTable') this.forget(target);
    if (method !== 'renameTable' || typeof named !== 'string') return;
    const table = this.loadedTables.find(({ name }) => name === pathOf(target));
    if (!table) return;
    const renamed = table.clone();
    const schema = /^[^.]+\.(?=.)/.exec(table.name)?.[0] ?? '';
    renamed.name = `${schema}${named}`;
    const wasKnown = this.known.has(table.name);
    this.forget(table.name);
    if (wasKnown) this.learn(renamed);
  }

  protected override loadTables(paths: string[] = []): Promise<Table[]> {
    return Promise.resolve(
      paths.map(
        (path) => this.loadedTables.find(({ name }) => name === pathOf(path)) ?? this.stub(pathOf(path)),
      ),
    );
  }

  protected override loadViews(names: string[] = []): Promise<View[]> {
    return Promise.resolve(names.map((name) => new View({ name, expression: 'SELECT' })));
  }

  /** The worst is recorded: what is to be created is not there yet, what is to be dropped is. */
  override hasTable(): Promise<boolean> {
    return Promise.resolve(this.method !== 'createTable');
  }

  protected override hasEnumType(): Promise<boolean> {
    return Promise.resolve(this.method.startsWith('drop'));
  }

  protected override getUserDefinedTypeName(table: Table, column: TableColumn) {
    return Promise.resolve({ schema: 'public', name: this.buildEnumName(table, column, false, true) });
  }

  override getCurrentSchema(): Promise<string> {
    return Promise.resolve('public');
  }

  protected override getTableNameWithSchema(target: Table | string): Promise<string> {
    const name = typeof target === 'string' ? target : target.name;
    return Promise.resolve(name.includes('.') ? name : `public.${name}`);
  }

  /** TypeORM runs this one at once, whatever the mode. */
  override clearTable(table: string): Promise<void> {
    return this.executeQueries([{ query: `TRUNCATE TABLE ${this.escapePath(table)}` } as never], []);
  }

  override connect(): Promise<never> {
    return Promise.reject(new NeedsDatabaseError(`queryRunner.${this.method}(), which asks the database`));
  }

  override query(): Promise<never> {
    return this.connect();
  }
}

/** Methods whose SQL depends on the columns that a table has. */
const NEEDS_COLUMNS: ReadonlySet<RecordedMethod> = new Set<RecordedMethod>([
  'changeColumn',
  'changeColumns',
  'dropPrimaryKey',
  'updatePrimaryKeys',
]);

function addsPrimaryKey(method: RecordedMethod, named: unknown): boolean {
  const columns = Array.isArray(named) ? named : [named];
  return (
    (method === 'addColumn' || method === 'addColumns') &&
    columns.some((column) => column instanceof TableColumn && column.isPrimary)
  );
}

function addNamed(table: Table, method: RecordedMethod, name: string): void {
  switch (method) {
    case 'dropColumn':
    case 'dropColumns':
    case 'renameColumn':
    case 'createPrimaryKey':
      if (!table.findColumnByName(name)) table.addColumn(new TableColumn({ name, type: 'unknown' }));
      return;
    case 'dropIndex':
    case 'dropIndices':
      if (!table.indices.some((index) => index.name === name)) {
        table.indices.push(new TableIndex({ name, columnNames: [] }));
      }
      return;
    case 'dropUniqueConstraint':
    case 'dropUniqueConstraints':
      if (!table.uniques.some((unique) => unique.name === name)) {
        table.uniques.push(new TableUnique({ name, columnNames: [] }));
      }
      return;
    case 'dropCheckConstraint':
    case 'dropCheckConstraints':
      if (!table.checks.some((check) => check.name === name)) table.checks.push(new TableCheck({ name }));
      return;
    case 'dropExclusionConstraint':
    case 'dropExclusionConstraints':
      if (!table.exclusions.some((exclusion) => exclusion.name === name)) {
        table.exclusions.push(new TableExclusion({ name }));
      }
      return;
    case 'dropForeignKey':
    case 'dropForeignKeys':
      if (!table.foreignKeys.some((key) => key.name === name)) {
        table.foreignKeys.push(
          new TableForeignKey({
            name,
            columnNames: [],
            referencedColumnNames: [],
            referencedTableName: name,
          }),
        );
      }
      return;
    default:
      return;
  }
}

/** As the rules write a table: without the schema `public`. */
function pathOf(table: string): string {
  return table.replace(/^public\./, '');
}
