import type { DataSource, QueryRunner } from 'typeorm';
import { withoutTenant } from '../context/tenant-context.js';
import { tenantTablesOf, type TenantScopedTable } from '../entities/index.js';
import { RlsConfigurationError } from '../errors.js';
import { checkMigratable } from '../migrations/migration-data-source.js';
import { joinTablePolicyName, tenantPolicyName } from '../policies/index.js';
import { readSql } from '../lint/read-sql.js';
import type { Change } from '../lint/changes.js';
import {
  backfillAdvice,
  nullableColumnStep,
  withTenantColumns,
  type TenantTables,
} from './column-difference.js';
import type { ProtectionRoles } from './policy-difference.js';
import { readLiveTables, schemaFacts } from './schema-facts.js';
import type { Note, SchemaFacts, Step } from './step.js';
import { tenantSteps } from './tenant-steps.js';
import { typeormSteps } from './typeorm-steps.js';
import { withDefinitions } from './typeorm-steps.definitions.js';
import { withoutHandMadeDrops } from './typeorm-steps.hand-made.js';
import { withoutReferencedDrops } from './typeorm-steps.referenced.js';
import { withoutRecreated } from './typeorm-steps.recreated.js';

/** What takes the database to what the entities declare. */
export interface SchemaDifference {
  /** In an order in which they could run one after the other; empty if there is no difference. */
  readonly steps: readonly Step[];
  /** What the database says of the tables that the steps name. */
  readonly facts: SchemaFacts;
  readonly notes: readonly Note[];
}

/**
 * The difference between the entities of an initialized data source and its database: tables, columns, keys and indexes as
 * TypeORM finds them, and what TypeORM does not know of: policies, row-level security, grants, and tenant columns of tables
 * that have rows. It reads the database and changes nothing.
 *
 * @throws RlsConfigurationError if the data source is not initialized or changes its schema by itself, if a role does not
 * exist, and for a difference that no migration may remove without somebody's decision.
 */
export async function schemaDifference(
  dataSource: DataSource,
  roles: ProtectionRoles,
): Promise<SchemaDifference> {
  checkMigratable(dataSource.options);
  if (!dataSource.isInitialized) {
    throw new RlsConfigurationError(
      'The data source is not initialized, so its database cannot be compared.',
      'Call `await dataSource.initialize()` first.',
    );
  }
  const declared = tenantTablesOf(dataSource);
  const managed = withoutHandMadeDrops(dataSource, withoutRecreated(await typeormSteps(dataSource)));
  return withoutTenant(async () => {
    const queryRunner = dataSource.createQueryRunner('master');
    const query = (sql: string, parameters?: unknown[]) => queryRunner.query(sql, parameters);
    try {
      const live = await readLiveTables(query);
      const tables = { declared, live };
      const abandoned = abandonedTables(dataSource, tables);
      const possible = await withoutReferencedDrops(query, managed.steps);
      const exact = await withDefinitions(query, possible.steps);
      const complete = await withTenantColumns(queryRunner, dataSource, tables, exact);
      const rest =
        complete.undecided.length > 0
          ? nullableColumns(complete.undecided)
          : await withProtection(queryRunner, declared, roles, reviewed(tables, complete.steps));
      return {
        steps: rest.steps,
        facts: schemaFacts(live, declared),
        notes: [...managed.notes, ...possible.notes, ...abandoned, ...rest.notes],
      };
    } finally {
      await queryRunner.release();
    }
  });
}

/** What can be done of protecting tables whose rows have no tenants: the rest of the difference has to wait for them. */
function nullableColumns(undecided: readonly TenantScopedTable[]): { steps: Step[]; notes: Note[] } {
  return { steps: undecided.map(nullableColumnStep), notes: [advice(backfillAdvice(undecided))] };
}

/** The foreign keys of a join table without a tenant column are plain on purpose, which the linter cannot know. */
function reviewed({ declared, live }: TenantTables, steps: readonly Step[]): Step[] {
  const plain = new Set(declared.filter(({ sides }) => sides).map(({ table }) => live.resolve(table)));
  const isPlainKey = (change: Change) =>
    change.kind === 'add-constraint' &&
    change.constraint.type === 'foreign key' &&
    plain.has(live.resolve(change.table));
  return steps.map((step) =>
    step.kind === 'sql' && readSql(step.up).some(({ changes }) => changes.some(isPlainKey))
      ? { ...step, reviewed: { rules: ['MIG060'], reason: PLAIN_KEY } }
      : step,
  );
}

const PLAIN_KEY =
  'a join table in the EXISTS form has no tenant column; its policy compares the tenants of both rows';

async function withProtection(
  queryRunner: QueryRunner,
  declared: readonly TenantScopedTable[],
  roles: ProtectionRoles,
  steps: readonly Step[],
): Promise<{ steps: Step[]; notes: Note[] }> {
  if (declared.length === 0) return { steps: [...steps], notes: [] };
  const protection = await tenantSteps(queryRunner, declared, roles);
  return { steps: [...steps, ...protection.steps], notes: protection.notes };
}

/**
 * Tables that are protected and that no entity declares any more are said, and left as they are. Partitions have policies of
 * their own, and belong to the table that is declared.
 *
 * @throws RlsConfigurationError if an entity still declares the table and is not tenant-scoped any more: TypeORM would drop
 * the tenant column, and taking away what keeps tenants apart is not something that happens on the way.
 */
function abandonedTables(dataSource: DataSource, { declared, live }: TenantTables): Note[] {
  const scoped = new Set(declared.map(({ table }) => live.resolve(table)));
  return live.tables
    .filter(({ isPartition, name }) => !isPartition && !name.includes('.'))
    .filter(({ name, policies }) => policies.some((policy) => isOurs(name, policy)))
    .map(({ schema, name }) => `${schema}.${name}`)
    .filter((path) => !scoped.has(path))
    .map((path) => {
      const entity = dataSource.entityMetadatas.find(({ tablePath }) => live.resolve(tablePath) === path);
      if (entity) throw noLongerScoped(path, entity.name);
      return advice(
        `Table "${path}" is protected, and no entity declares it. It is left as it is: to drop it, write a migration that does.`,
      );
    });
}

function isOurs(table: string, policy: string): boolean {
  return policy === tenantPolicyName(table) || policy === joinTablePolicyName(table);
}

function noLongerScoped(path: string, entity: string): RlsConfigurationError {
  return new RlsConfigurationError(
    `Table "${path}" is protected, and its entity ${entity} is not tenant-scoped any more. Without its policy every tenant sees all its rows.`,
    "Mark the entity @TenantScoped() again. If the rows are to be everybody's, take the protection away in a migration of your own with unprotectTable(), then generate again.",
  );
}

function advice(reason: string): Note {
  return { kind: 'advice', statements: [], reason };
}
