import type { DataSource, QueryRunner } from 'typeorm';
import { withoutTenant } from '../context/tenant-context.js';
import { tenantTablesOf, type TenantScopedTable } from '../entities/index.js';
import { RlsConfigurationError } from '../errors.js';
import { checkMigratable } from '../migrations/migration-data-source.js';
import { joinTablePolicyName, tenantPolicyName } from '../policies/index.js';
import { backfillAdvice, nullableColumnStep, withTenantColumns } from './column-difference.js';
import type { ProtectionRoles } from './policy-difference.js';
import { readLiveTables, schemaFacts, type LiveTables } from './schema-facts.js';
import type { Note, SchemaFacts, Step } from './step.js';
import { tenantSteps } from './tenant-steps.js';
import { typeormSteps } from './typeorm-steps.js';
import { withoutHandMadeDrops } from './typeorm-steps.hand-made.js';
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
  const { steps, notes } = withoutHandMadeDrops(dataSource, withoutRecreated(await typeormSteps(dataSource)));
  return withoutTenant(async () => {
    const queryRunner = dataSource.createQueryRunner('master');
    try {
      const live = await readLiveTables((sql) => queryRunner.query(sql));
      const abandoned = abandonedTables(dataSource, declared, live);
      const complete = await withTenantColumns(queryRunner, dataSource, { declared, live }, steps);
      const rest =
        complete.undecided.length > 0
          ? {
              steps: complete.undecided.map(nullableColumnStep),
              notes: [advice(backfillAdvice(complete.undecided))],
            }
          : await withProtection(queryRunner, declared, roles, complete.steps);
      return {
        steps: rest.steps,
        facts: schemaFacts(live, declared),
        notes: [...notes, ...abandoned, ...rest.notes],
      };
    } finally {
      await queryRunner.release();
    }
  });
}

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
 * Tables that are protected and that no entity declares any more are said, and left as they are.
 *
 * @throws RlsConfigurationError if an entity still declares the table and is not tenant-scoped any more: TypeORM would drop
 * the tenant column, and taking away what keeps tenants apart is not something that happens on the way.
 */
function abandonedTables(
  dataSource: DataSource,
  declared: readonly TenantScopedTable[],
  live: LiveTables,
): Note[] {
  const scoped = new Set(declared.map(({ table }) => live.resolve(table)));
  return live.tables
    .filter(({ name, policies }) => !name.includes('.') && policies.some((policy) => isOurs(name, policy)))
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
