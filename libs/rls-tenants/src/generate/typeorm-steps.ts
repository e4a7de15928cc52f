import { loadModule } from 'libpg-query';
import type { DataSource, QueryRunner } from 'typeorm';
import type { Query } from 'typeorm/driver/Query.js';
import type { SchemaBuilder } from 'typeorm/schema-builder/SchemaBuilder.js';
import { withoutTenant } from '../context/tenant-context.js';
import { RlsConfigurationError } from '../errors.js';
import { readSql } from '../lint/read-sql.js';
import { inlineParameters, sliceBytes, tokensOf } from './statement.js';
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
    return withoutRepeated(changes.map(stepsOf));
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
 * The statements of one change. They are recorded pairwise, save where undoing takes another number of statements: then the
 * first statement, which is undone last, takes all of them.
 */
function stepsOf({ up, down }: RecordedChange): SqlStep[] {
  const values = up.filter(({ query }) => isEnumValue(query));
  if (values.length > 0) return enumSteps({ up, down }, values);
  const pairwise = up.length === down.length;
  return up.flatMap((query, index) => {
    const undo = pairwise ? down.slice(index, index + 1) : index === 0 ? down.toReversed() : [];
    return singleSteps(text(query), undo.map(text));
  });
}

/** A comment on a column of a new table stands in one text with the table, and goes with it. */
function singleSteps(up: string, down: readonly string[]): SqlStep[] {
  const undo = down.flatMap(single);
  return single(up).map((sql, index) => ({
    kind: 'sql',
    up: sql,
    down: index === 0 ? undo : withoutComment(sql),
  }));
}

function withoutComment(sql: string): string[] {
  const is = tokensOf(sql).findLast(({ text, kind }) => kind !== 'SCONST' && text.toUpperCase() === 'IS');
  return is ? [`${sliceBytes(sql, 0, is.end)} NULL`] : [];
}

function single(sql: string): string[] {
  return readSql(sql).map((one) => one.sql);
}

/** A value added to an enum is undone by a new type, which stands among what undoes the rest of the change. */
function enumSteps({ up, down }: RecordedChange, values: readonly Query[]): SqlStep[] {
  const last = down.findIndex(({ query }) => query.startsWith('CREATE TYPE '));
  const undo = down.slice(Math.max(last - 3, 0), last + 1);
  const rest = {
    up: up.filter((one) => !values.includes(one)),
    down: down.filter((one) => !undo.includes(one)),
  };
  const added = values.map((query, index): SqlStep => ({
    kind: 'sql',
    up: text(query),
    down: index === 0 ? undo.toReversed().map(text) : [],
  }));
  return [...added, ...stepsOf(rest)];
}

function isEnumValue(sql: string): boolean {
  return /^ALTER TYPE .* ADD VALUE /s.test(sql);
}

/** TypeORM makes an enum that several columns have once for each of them. */
function withoutRepeated(changes: readonly SqlStep[][]): SqlStep[][] {
  const seen = new Set<string>();
  const isRepeated = ({ up }: SqlStep) => {
    if (!up.startsWith('CREATE TYPE ') && !isEnumValue(up)) return false;
    const repeated = seen.has(up);
    seen.add(up);
    return repeated;
  };
  return changes.map((change) => change.filter((step) => !isRepeated(step)));
}

/** What TypeORM writes into its own table of views has parameters. */
function text({ query, parameters }: Query): string {
  return inlineParameters(query, parameters);
}
