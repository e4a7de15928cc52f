import type { QueryRunner } from 'typeorm';
import type { Catalog, CatalogTable } from '../audit/catalog.js';
import { tenantColumnOf } from '../entities/index.js';
import type { JoinedEntity } from '../entities/join-tables.js';
import { RlsConfigurationError } from '../errors.js';
import type { JoinTableForeignKey, JoinTableSide } from '../migrations/index.js';
import { quoteIdentifier, quoteTable } from '../policies/index.js';

/**
 * The most links that get their tenants under a lock. On a small server 100,000 take about two seconds, in which nobody
 * reads the table; test: "refuses to fill more links than a lock may last".
 */
const MAX_LINKS = 100_000;

/** @throws RlsConfigurationError if the connection's role may not alter the table. */
export async function checkOwner(queryRunner: QueryRunner, { owner }: CatalogTable): Promise<void> {
  const [role] = (await queryRunner.query(
    `SELECT current_user::text AS name, pg_has_role($1, 'USAGE') AS owns`,
    [owner],
  )) as [{ name: string; owns: boolean }];
  if (role.owns) return;
  throw new RlsConfigurationError(
    `It belongs to "${owner}", and the data source connects as "${role.name}".`,
    "Run this with the migration role's login, which owns the tables.",
  );
}

/** @throws RlsConfigurationError if the side has no tenant column yet. */
export function checkTenantColumn(catalog: Catalog, { table, tenantColumn }: JoinTableSide): void {
  if (catalog.table(table)?.columns.has(tenantColumn!)) return;
  throw new RlsConfigurationError(
    `Its side "${table}" has no tenant column "${tenantColumn}".`,
    'Protect the tables of the entities first, and its join tables after them.',
  );
}

/** @throws RlsConfigurationError if the side's primary key holds its tenant, so that the table has a copy of it. */
export function checkPrimaryKey({ metadata, columns }: JoinedEntity): void {
  const tenantColumn = tenantColumnOf(metadata);
  if (columns.every(({ referencedColumn }) => referencedColumn !== tenantColumn)) return;
  throw new RlsConfigurationError(
    `It references "${metadata.tablePath}" by a primary key that holds the tenant column.`,
    "Let `rls-tenants generate-migration` write what the entities declare, or use @TenantScoped({ joinTables: 'exists' }).",
  );
}

/** $1 the table, $2 column names: whether a foreign key can reference exactly these columns, in any order. */
const IS_UNIQUE_SQL = `
  SELECT EXISTS (
    SELECT FROM pg_index
    WHERE indrelid = to_regclass($1) AND indisunique AND indisvalid AND indimmediate AND indpred IS NULL
      AND (SELECT array_agg(attname::text ORDER BY attname::text COLLATE "C")
           FROM unnest(indkey[0:indnkeyatts - 1]) AS key JOIN pg_attribute ON attrelid = indrelid AND attnum = key)
        = ARRAY(SELECT name FROM unnest($2::text[]) AS name ORDER BY name COLLATE "C")
  ) AS unique`;

/** @throws RlsConfigurationError if no composite foreign key can reference the side. */
export async function checkUnique(
  queryRunner: QueryRunner,
  { table, columns, tenantColumn }: JoinTableForeignKey,
): Promise<void> {
  const referenced = columns.map(({ referencedColumn }) => referencedColumn);
  const wanted = [tenantColumn!, ...referenced];
  const [found] = (await queryRunner.query(IS_UNIQUE_SQL, [quoteTable(table), wanted])) as [
    { unique: boolean },
  ];
  if (found.unique) return;
  throw new RlsConfigurationError(
    `Its side "${table}" has no unique constraint on (${wanted.join(', ')}), which a composite foreign key references.`,
    'Add it in a migration first: `uniqueConstraint` while the table is in use, or `rls-tenants generate-migration`.',
  );
}

/** @throws RlsConfigurationError if there are more than {@link MAX_LINKS}. */
export async function countLinks(queryRunner: QueryRunner, table: string): Promise<number> {
  const sql = `SELECT count(*)::int AS links FROM (SELECT FROM ${quoteTable(table)} LIMIT ${MAX_LINKS + 1}) AS link`;
  const [{ links }] = (await queryRunner.query(sql)) as [{ links: number }];
  if (links <= MAX_LINKS) return links;
  throw new RlsConfigurationError(
    `It holds more than ${MAX_LINKS} links, and giving them their tenants would lock it for too long.`,
    'Add the column and fill it in a backfill while the table is in use: docs/migrations/join-tables.md says how.',
  );
}

/** @throws RlsConfigurationError if links join rows of different tenants: no tenant is theirs. */
export async function checkTenantsAgree(
  queryRunner: QueryRunner,
  table: string,
  sides: readonly JoinTableForeignKey[],
): Promise<void> {
  if (sides.length < 2) return;
  const joins = sides.map(({ table: side, columns }, index) => {
    const pairs = columns.map(
      ({ column, referencedColumn }) =>
        `side_${index}.${quoteIdentifier(referencedColumn)} = link.${quoteIdentifier(column)}`,
    );
    return ` JOIN ${quoteTable(side)} AS side_${index} ON ${pairs.join(' AND ')}`;
  });
  const [one, other] = sides.map(
    ({ tenantColumn }, index) => `side_${index}.${quoteIdentifier(tenantColumn!)}`,
  );
  const from = `FROM ${quoteTable(table)} AS link${joins.join('')} WHERE ${one} <> ${other}`;
  const [{ links }] = (await queryRunner.query(`SELECT count(*)::int AS links ${from}`)) as [
    { links: number },
  ];
  if (links === 0) return;
  throw new RlsConfigurationError(
    `${links} of its links ${links === 1 ? 'joins' : 'join'} rows of different tenants, so they leak already.`,
    `Correct or delete them as the migration role: SELECT link.* ${from};`,
  );
}
