import type { Change } from './changes.js';
import type { RecordedMethod } from './recording-query-runner.js';

export type Direction = 'up' | 'down';

/** A place in a file, from 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
  /** The line of the call, operation or class that the place belongs to: suppressions stand above it. */
  readonly anchorLine: number;
}

/** One SQL statement of a migration, in the order of execution. */
export interface Statement extends Place {
  readonly sql: string;
  readonly direction: Direction;
  /** Inside an `if`, a loop, a `catch` or a conditional expression: it may run never, or many times. */
  readonly conditional: boolean;
  /** Inside a loop. */
  readonly repeated: boolean;
  /** Inside the work of the library's `withAllRows`, which checks that no policy hides rows. */
  readonly allRows: boolean;
  /** After a `commitTransaction()` of the migration's own, and before it starts another. */
  readonly outsideTransaction: boolean;
  /** The call's other arguments, as they stand in the file: `["public","VIEW"]`. */
  readonly parameters?: string | undefined;
  /** Every statement of the same `query()` call, this one included. */
  readonly callStatements: number;
  readonly changes: readonly Change[];
  /** Identifiers longer than PostgreSQL can hold. */
  readonly longIdentifiers: readonly string[];
}

/** A call of one of the library's operations: known to be safe by construction. */
export interface Operation extends Place {
  /** `protectTable`. */
  readonly name: string;
  /** The table it names literally. */
  readonly table?: string | undefined;
}

/** A call of a method of the query runner that changes the schema, as `queryRunner.createIndex('note', index)`. */
export interface RunnerCall extends Place {
  readonly method: RecordedMethod;
  readonly args: readonly unknown[];
  /** How many statements of the migration's own stand before it. */
  readonly position: number;
  readonly direction: Direction;
  readonly conditional: boolean;
  readonly repeated: boolean;
  readonly allRows: boolean;
  readonly outsideTransaction: boolean;
}

/** Something that runs SQL which the linter cannot see. */
export interface Unanalyzable extends Place {
  readonly direction: Direction;
  readonly what: string;
  /** The SQL is no SQL: it is certain to fail. */
  readonly broken: boolean;
}

/** A use of entities or repositories of the application. */
export interface EntityUse extends Place {
  readonly direction: Direction;
  readonly what: string;
}

/** A migration class. */
export interface Migration extends Place {
  readonly file: string;
  readonly className: string;
  /** As TypeORM records it: the property `name`, otherwise the class's. */
  readonly name: string;
  /** The last 13 digits of its name, as TypeORM reads them. */
  readonly timestamp: number | undefined;
  /** The instance property `transaction`. */
  readonly transaction: boolean | undefined;
  readonly statements: readonly Statement[];
  /** What {@link recordCalls} has yet to make statements of. */
  readonly calls: readonly RunnerCall[];
  readonly operations: readonly Operation[];
  readonly unanalyzable: readonly Unanalyzable[];
  readonly entityUses: readonly EntityUse[];
  /** What `down` does; the operations of an RlsMigration are reversible by themselves. */
  readonly down: 'present' | 'missing' | 'empty' | 'throws';
}

/** `// rls-lint-ignore MIG020: reason` */
export interface Suppression {
  readonly line: number;
  /** The line of code that it stands above. */
  readonly targetLine: number;
  readonly ruleIds: readonly string[];
  readonly reason: string;
}

/** A file that was read. */
export interface MigrationFile {
  readonly file: string;
  readonly text: string;
  readonly migrations: readonly Migration[];
  readonly suppressions: readonly Suppression[];
}
