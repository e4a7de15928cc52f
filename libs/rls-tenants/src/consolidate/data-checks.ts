import { quoteIdentifier, quoteTable } from '../policies/index.js';
import { PROGRESS_TABLE } from '../backfill/backfill.sql.js';
import type { CatalogForeignKey, CatalogUniqueIndex } from './catalog.js';
import {
  collisionsSql,
  countSql,
  danglingSql,
  EXISTS,
  hasRowsSql,
  KEY_TABLE,
  largestSql,
  lastValueSql,
  otherTenantsSql,
  PROGRESS,
  takenSql,
} from './consolidate.sql.js';
import { copyName, type Pass } from './copy-name.js';
import type { Problem, TargetTable } from './layout.js';
import type { ConsolidationPlan, TenantTableCopy } from './plan.js';
import type { Session } from './session.js';

/** How many rows an old table has. */
export interface Counted {
  readonly schema: string;
  readonly table: string;
  readonly rows: number;
}

/** A sequence of a protected table that has to be beyond the values that come in. */
export interface SequenceAdvance {
  /** Quoted. */
  readonly sequence: string;
  readonly last: bigint;
  readonly needed: bigint;
}

type Found = Pick<ConsolidationPlan, 'schemas' | 'tables' | 'copies'>;

/** What a consolidation has begun, by copy name and tenant. */
type Begun = ReadonlySet<string>;

/** Old tables per statement that looks for collisions: each takes locks, which are limited per server. */
const TABLES_AT_A_TIME = 250;

/** Looks at the rows, in transactions that can write nothing. */
export async function checkData(
  session: Session,
  found: Found,
  renumber: boolean,
): Promise<Pick<ConsolidationPlan, 'counts' | 'sequences' | 'problems'>> {
  const problems = await missingTables(session, renumber);
  const begun = await begunCopies(session);
  const counts: Counted[] = [];
  for (const { schema } of found.schemas) {
    const copies = found.copies.filter((copy) => copy.schema === schema);
    // A transaction per schema, because it keeps a lock on every table it read.
    await session.reading(async () => {
      for (const copy of copies) {
        counts.push(await countRows(session, copy, problems));
        problems.push(...(await tenantProblems(session, copy, begun)));
        problems.push(...(await danglingReferences(session, copy, copies)));
        problems.push(...(await takenKeys(session, copy)));
      }
    });
  }
  for (const table of found.tables) {
    for (const index of table.uniqueIndexes)
      problems.push(...(await collisions(session, found, table, index)));
  }
  return { counts, problems, sequences: await sequencesToAdvance(session, found) };
}

async function missingTables(session: Session, renumber: boolean): Promise<Problem[]> {
  const problems: Problem[] = [];
  for (const [table, operation] of [
    [PROGRESS_TABLE, 'backfillProgressTable'],
    ...(renumber ? [[KEY_TABLE, 'consolidatedKeyTable']] : []),
  ] as [string, string][]) {
    const { exists } = await session.one<{ exists: boolean }>(EXISTS, [quoteTable(table)]);
    if (exists) continue;
    problems.push({
      message: `Table "${table}" does not exist`,
      hint: `Create it in a migration: ${operation}({ tenantIdType, appRole }).`,
    });
  }
  return problems;
}

async function begunCopies(session: Session): Promise<Begun> {
  const { exists } = await session.one<{ exists: boolean }>(EXISTS, [quoteTable(PROGRESS_TABLE)]);
  if (!exists) return new Set();
  const rows = await session.query<{ name: string; tenantId: string }>(PROGRESS);
  return new Set(rows.map(({ name, tenantId }) => `${name} ${tenantId}`));
}

async function countRows(session: Session, copied: TenantTableCopy, problems: Problem[]): Promise<Counted> {
  const { copy, table, schema, maybeNull } = copied;
  const { count, nulls } = await session.one<{ count: string; nulls: string[] }>(
    countSql(copy.source, maybeNull),
  );
  maybeNull.forEach((column, index) => {
    if (nulls[index] === '0') return;
    problems.push({
      message: `${schema}.${table.name} has ${nulls[index]} rows without "${column}", which is NOT NULL in table "${table.scope.table}"`,
      hint: 'Fill them in the old table, or let the protected column be NULL.',
    });
  });
  return { schema, table: table.scope.table, rows: Number(count) };
}

async function tenantProblems(
  session: Session,
  { copy, table, schema, tenantId, namesTenant }: TenantTableCopy,
  begun: Begun,
): Promise<Problem[]> {
  const problems: Problem[] = [];
  if (namesTenant) {
    const { count } = await session.one<{ count: string }>(otherTenantsSql(copy), [tenantId]);
    if (count !== '0') {
      problems.push({
        message: `${count} rows of ${schema}.${table.name} name another tenant than ${tenantId} in "${copy.tenantColumn}"`,
        hint: 'Correct the mapping, or those rows.',
      });
    }
  }
  const passed = (pass: Pass) => begun.has(`${copyName(pass, { schema, table })} ${tenantId}`);
  if (passed('keys') && table.renumbered === undefined) problems.push(otherKeys(schema, table, 'with'));
  if (passed('rows') && !passed('keys') && table.renumbered !== undefined)
    problems.push(otherKeys(schema, table, 'without'));
  if (passed('rows')) return problems;
  const { found } = await session.one<{ found: boolean }>(hasRowsSql(copy), [tenantId]);
  if (found) {
    problems.push({
      message: `Tenant ${tenantId} has rows in table "${table.scope.table}" that this command did not copy`,
      hint: 'They could not be told from those of its schema: delete them first, or leave the schema out.',
    });
  }
  return problems;
}

/** Rows with new keys beside rows with old ones would refer to each other wrongly. */
function otherKeys(schema: string, { name }: TargetTable, how: 'with' | 'without'): Problem {
  return {
    message: `${schema}.${name} was begun ${how} --renumber`,
    hint: `Go on ${how} it, or discard the copy of that tenant first.`,
  };
}

/** References that would find no row: in the same schema, or in a table that this run does not copy. */
async function danglingReferences(
  session: Session,
  { copy, table, schema, tenantId }: TenantTableCopy,
  copies: readonly TenantTableCopy[],
): Promise<Problem[]> {
  const problems: Problem[] = [];
  for (const foreignKey of table.foreignKeys) {
    const sibling = copies.find((other) => other.copy.target === foreignKey.referencedTable);
    const pairs = referencePairs(copy, foreignKey, sibling !== undefined);
    // A column that the old table lacks is NULL or a default, and so is the reference.
    if (!pairs || pairs.length === 0) continue;
    const referenced = sibling?.copy.source ?? foreignKey.referencedTable;
    const { count } = await session.one<{ count: string }>(danglingSql(copy, pairs, referenced), [tenantId]);
    if (count === '0') continue;
    problems.push({
      message: `${count} rows of ${schema}.${table.name} refer by ${foreignKey.columns.join(', ')} to rows that ${referenced} lacks`,
      hint: sibling
        ? 'Mend or delete them in the old schema, which has no foreign key there.'
        : 'Fill that table first: it is not part of this run.',
    });
  }
  return problems;
}

/** The columns of a reference beside those they refer to. Within an old schema its own keys count, and no tenant does. */
function referencePairs(
  copy: TenantTableCopy['copy'],
  { columns, referencedColumns }: CatalogForeignKey,
  within: boolean,
): { sql: string; referenced: string }[] | undefined {
  const pairs: { sql: string; referenced: string }[] = [];
  for (const [index, column] of columns.entries()) {
    const referenced = referencedColumns[index]!;
    if (column === copy.tenantColumn) {
      if (!within) pairs.push({ sql: `$1::${copy.tenantType}`, referenced });
      continue;
    }
    const copied = copy.columns.find(({ name }) => name === column);
    if (!copied) return undefined;
    pairs.push({ sql: within ? `s.${quoteIdentifier(column)}` : copied.sql, referenced });
  }
  return pairs;
}

/** Keys that rows of other tenants in the protected table have already. */
async function takenKeys(
  session: Session,
  { copy, table, schema, tenantId }: TenantTableCopy,
): Promise<Problem[]> {
  const problems: Problem[] = [];
  for (const index of table.uniqueIndexes.filter((candidate) => mayCollide(table, candidate))) {
    const columns = index.columns.map((column) => copy.columns.find(({ name }) => name === column));
    if (!columns.every((column) => column !== undefined)) continue;
    const taken = await session.query<{ key: string }>(takenSql(copy, columns), [tenantId]);
    if (taken.length === 0) continue;
    const keys = taken.map(({ key }) => `(${key})`).join(' ');
    problems.push({
      message: `${schema}.${table.name} has ${index.columns.join(', ')} ${keys} of rows that other tenants have in table "${table.scope.table}"`,
      hint: waysOut(table, index),
    });
  }
  return problems;
}

async function collisions(
  session: Session,
  { copies }: Found,
  table: TargetTable,
  index: CatalogUniqueIndex,
): Promise<Problem[]> {
  if (!mayCollide(table, index)) return [];
  const sources = copies.filter(
    (copy) =>
      copy.table === table &&
      index.columns.every((column) => copy.copy.columns.some(({ name }) => name === column)),
  );
  for (const group of pairsOfGroups(sources)) {
    const found = await session.reading(() =>
      session.query<{ key: string; first: number; second: number }>(
        collisionsSql(group.map(({ copy }) => ({ table: copy.source, columns: index.columns }))),
      ),
    );
    if (found.length === 0) continue;
    const examples = found.map(
      ({ key, first, second }) => `(${key}) in ${group[first]!.schema} and ${group[second]!.schema}`,
    );
    const message = `Rows of "${table.name}" have the same ${index.columns.join(', ')}: ${examples.join('; ')}`;
    return [{ message, hint: waysOut(table, index) }];
  }
  return [];
}

/** Every two tables meet in one of the groups. */
function* pairsOfGroups<T>(items: readonly T[]): Generator<T[]> {
  const groups: T[][] = [];
  for (let start = 0; start < items.length; start += TABLES_AT_A_TIME)
    groups.push(items.slice(start, start + TABLES_AT_A_TIME));
  if (groups.length === 1) yield groups[0]!;
  for (const [index, group] of groups.entries())
    for (const other of groups.slice(index + 1)) yield [...group, ...other];
}

/** Not where the tenant is part of it, nor where new keys are. */
function mayCollide({ scope, newKeys }: TargetTable, { columns }: CatalogUniqueIndex): boolean {
  return !columns.some((column) => column === scope.tenantColumn || newKeys.has(column));
}

function waysOut({ catalog, scope }: TargetTable, { columns }: CatalogUniqueIndex): string {
  const withTenant = `Make the tenant part of it: (${[scope.tenantColumn, ...columns].join(', ')})`;
  const [column] = catalog.columns.filter(({ name }) => catalog.key.length === 1 && name === catalog.key[0]);
  return column?.sequence && columns.join() === column.name
    ? `${withTenant}. Or give the rows new keys: --renumber.`
    : `${withTenant}, as each tenant had its own.`;
}

/** The sequences of columns that are copied as they are must be beyond every value; those of new keys beyond what is there. */
async function sequencesToAdvance(session: Session, { tables, copies }: Found): Promise<SequenceAdvance[]> {
  const advances: SequenceAdvance[] = [];
  for (const table of tables) {
    for (const { name, sequence } of table.catalog.columns) {
      if (sequence === null) continue;
      const sources = table.newKeys.has(name)
        ? []
        : copies.filter(
            (copy) => copy.table === table && copy.copy.columns.some((column) => column.name === name),
          );
      let needed = 0n;
      for (const from of [table.catalog.table, ...sources.map(({ copy }) => copy.source)]) {
        const { largest } = await session.reading(() =>
          session.one<{ largest: string | null }>(largestSql(from, name)),
        );
        if (largest !== null && BigInt(largest) > needed) needed = BigInt(largest);
      }
      const { last } = await session.one<{ last: string }>(lastValueSql(sequence));
      if (needed > BigInt(last)) advances.push({ sequence, last: BigInt(last), needed });
    }
  }
  return advances;
}
