import type { DataSource, MigrationInterface, QueryRunner } from 'typeorm';
import { RlsConfigurationError } from '../errors.js';
import type { RlsOperation } from './rls-operation.js';

/** What a migration or an operation tells the router about itself. Counterpart of Django's `hints`. */
export type MigrationHints = Readonly<Record<string, unknown>>;

/** Decides whether what carries the hints runs on a data source. Counterpart of Django's `allow_migrate()`. */
export type AllowMigrate = (dataSourceName: string, hints: MigrationHints) => boolean;

/** What of a data source's options routing reads. `name` is where `@nestjs/typeorm` and TypeORM 0.3 keep it too. */
export interface RoutingOptions {
  /** The data source's name, as `runOn` and `allowMigrate` know it. */
  name?: string;
  allowMigrate?: AllowMigrate;
}

type MigrationClass = abstract new (...args: never[]) => MigrationInterface;

/** Restricts an operation, or a whole migration as its class decorator, to some data sources. */
export interface Restriction {
  (migration: MigrationClass): void;
  (operation: RlsOperation): RlsOperation;
}

/**
 * Restricts a migration or an operation to the data sources of these names; on the others it does nothing, up and down,
 * and counts as applied. Counterpart of looking at Django's `schema_editor.connection.alias`.
 *
 * ```ts
 * @runOn('default')
 * export class FillTitles1760000000000 implements MigrationInterface { … }
 *
 * readonly operations = [runOn('default', 'eu')(protectTable({ … }))];
 * ```
 *
 * When it runs it throws RlsConfigurationError if the data source has no name: a migration that is skipped by mistake
 * would count as applied.
 */
export function runOn(...dataSourceNames: [string, ...string[]]): Restriction {
  return restriction(`on ${dataSourceNames.map((name) => `"${name}"`).join(', ')}`, (queryRunner) =>
    dataSourceNames.includes(routingOf(queryRunner).name),
  );
}

/**
 * Lets the data source's `allowMigrate` decide by these hints whether a migration or an operation runs there.
 * Counterpart of Django's `RunPython(forwards, hints={…})`.
 *
 * When it runs it throws RlsConfigurationError if the data source has no name or no `allowMigrate`.
 */
export function withHints(hints: MigrationHints): Restriction {
  return restriction(`with hints ${JSON.stringify(hints)}`, (queryRunner) => {
    const { name, allowMigrate } = routingOf(queryRunner);
    if (allowMigrate) return allowMigrate(name, hints);
    throw new RlsConfigurationError(
      `The data source "${name}" has no \`allowMigrate\`, and something to migrate has hints ${JSON.stringify(hints)}.`,
      'Give it one: migrationDataSourceOptions(options, { name, allowMigrate: (name, hints) => … }).',
    );
  });
}

function restriction(where: string, runsOn: (queryRunner: QueryRunner) => boolean): Restriction {
  const only =
    (step: (queryRunner: QueryRunner) => Promise<void>) =>
    async (queryRunner: QueryRunner): Promise<void> => {
      if (runsOn(queryRunner)) await step(queryRunner);
    };
  function restrict(migration: MigrationClass): void;
  function restrict(operation: RlsOperation): RlsOperation;
  function restrict(target: MigrationClass | RlsOperation): RlsOperation | void {
    if (typeof target === 'function') return restrictClass(target, runsOn);
    return {
      ...target,
      description: `${target.description} (${where})`,
      up: only((queryRunner) => target.up(queryRunner)),
      down: only((queryRunner) => target.down(queryRunner)),
    };
  }
  return restrict;
}

function restrictClass(migration: MigrationClass, runsOn: (queryRunner: QueryRunner) => boolean): void {
  const prototype = migration.prototype as Partial<MigrationInterface>;
  for (const direction of ['up', 'down'] as const) {
    const step = prototype[direction];
    if (typeof step !== 'function') {
      throw new RlsConfigurationError(
        `Migration "${migration.name}" has no method \`${direction}\`, so it cannot be restricted to data sources.`,
        `Write \`async ${direction}(queryRunner) { … }\` instead of a property.`,
      );
    }
    prototype[direction] = async function restricted(this: MigrationInterface, queryRunner): Promise<void> {
      if (runsOn(queryRunner)) await step.call(this, queryRunner);
    };
  }
}

/** TypeORM 1.x renamed `connection` to `dataSource`, and knows no name of its own. */
function routingOf(queryRunner: QueryRunner): RoutingOptions & { name: string } {
  const { dataSource } = queryRunner as { dataSource?: DataSource };
  const { name, allowMigrate } = (dataSource ?? queryRunner.connection).options as RoutingOptions;
  if (name !== undefined) return { name, ...(allowMigrate && { allowMigrate }) };
  throw new RlsConfigurationError(
    'The data source has no name, and a migration or an operation is restricted to some data sources.',
    "Name it: migrationDataSourceOptions(options, { name: 'default', … }), or `name` among its own options.",
  );
}
