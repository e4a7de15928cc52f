/** One SQL statement of a migration to be written, and what takes it back. */
export interface SqlStep {
  readonly kind: 'sql';
  /** A single statement. */
  readonly up: string;
  /** Statements that undo it, in the order of execution. */
  readonly down: readonly string[];
}

/** When a step runs: the order of the files, and what may share one. */
export type Phase =
  | 'structure'
  | 'data'
  | 'index'
  | 'partitioned-index'
  | 'attach-partitioned-index'
  | 'not-valid'
  | 'validate'
  | 'drop';

/** One of the library's operations; it is reversible by itself. */
export interface OperationStep {
  readonly kind: 'operation';
  readonly phase: Phase;
  /** The table as TypeORM writes it: `note`, `billing.note`. */
  readonly table: string;
  /** The call as it stands in the file: `protectTable('note')`. */
  readonly code: string;
  /** What the call needs from `nestjs-rls-tenants/migrations`. */
  readonly imports: readonly string[];
}

export type Step = SqlStep | OperationStep;

/** What the splitter must know of the database; from the catalog, or from what the file itself shows. */
export interface SchemaFacts {
  /** False for tables that the steps create. */
  exists(table: string): boolean;
  isPartitioned(table: string): boolean;
  isTenantTable(table: string): boolean;
}

/** A file to write. */
export interface PlannedFile {
  readonly phase: Phase;
  /** In file name's words: `create-note`, `note-indexes`. */
  readonly slug: string;
  readonly steps: readonly Step[];
}
