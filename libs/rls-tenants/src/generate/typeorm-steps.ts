import { loadModule } from 'libpg-query';
import type { DataSource, QueryRunner } from 'typeorm';
import type { Query } from 'typeorm/driver/Query.js';
import type { SchemaBuilder } from 'typeorm/schema-builder/SchemaBuilder.js';
import { withoutTenant } from '../context/tenant-context.js';
import { RlsConfigurationError } from '../errors.js';
import { inlineParameters } from './statement.js';
import type { SqlStep } from './step.js';

/** What a query runner of TypeORM records of one change of the schema: how it is made, and how it is undone. */
interface RecordedChange {
  readonly up: readonly Query[];
  /** In the order in which they were recorded: TypeORM runs them backwards. */
  readonly down: readonly Query[];
}

/** The part of TypeORM's query runners that records. */
interface RecordingQueryRunner extends QueryRunner {
  executeQueries(up: Query | Query[], down: Query | Query[]): Promise<void>;
}

/**
 * The changes that TypeORM's schema builder would make to bring the database of an initialized data source to what its
 * entities declare, one element for each change, so that a change can be left out together with what undoes it. Nothing is
 * changed.
 *
 * @throws RlsConfigurationError if TypeORM records in another way than this library knows.
 */
export async function typeormSteps(dataSource: DataSource): Promise<SqlStep[][]> {
  await loadModule();
  return withoutTenant(async () => {
    const builder = dataSource.driver.createSchemaBuilder();
    const changes = recordedChangesOf(builder);
    const { upQueries } = await builder.log();
    if (changes.flatMap(({ up }) => up).length !== upQueries.length) {
      throw new RlsConfigurationError(
        "TypeORM's schema builder wrote statements that were not recorded with what undoes them.",
        'Use TypeORM 0.3.20 or later, or write this migration by hand.',
      );
    }
    return changes.map(stepsOf);
  });
}

/** Filled while the builder works. Its log holds two lists, which do not say which statement undoes which. */
function recordedChangesOf(builder: SchemaBuilder): RecordedChange[] {
  const changes: RecordedChange[] = [];
  let queryRunner: RecordingQueryRunner;
  Object.defineProperty(builder, 'queryRunner', {
    get: () => queryRunner,
    set: (created: RecordingQueryRunner) => {
      queryRunner = created;
      const executeQueries = created.executeQueries.bind(created);
      created.executeQueries = (up, down) => {
        changes.push({ up: [up].flat(), down: [down].flat() });
        return executeQueries(up, down);
      };
    },
  });
  return changes;
}

/**
 * The statements of one change. They are recorded pairwise, save where undoing takes another number of statements: a value
 * added to an enum is undone by a new type. Then the first statement, which is undone last, takes all of them.
 */
function stepsOf({ up, down }: RecordedChange): SqlStep[] {
  const pairwise = up.length === down.length;
  return up.map((query, index) => {
    const undo = pairwise ? down.slice(index, index + 1) : index === 0 ? down.toReversed() : [];
    return { kind: 'sql', up: text(query), down: undo.map(text) };
  });
}

/** What TypeORM writes into its own table of views has parameters. */
function text({ query, parameters }: Query): string {
  return inlineParameters(query, parameters);
}
