/** One SQL statement of a migration to be written, and what takes it back. */
export interface SqlStep {
  readonly kind: 'sql';
  /** A single statement. */
  readonly up: string;
  /** Statements that undo it, in the order of execution. */
  readonly down: readonly string[];
  /** Tables of which the migration role must see every row while `up` runs: those of a foreign key to validate. */
  readonly allRows?: readonly string[];
  /** Why the linter's rules do not apply to it: the reason of an `rls-lint-ignore` comment. */
  readonly reviewed?: { readonly rules: readonly string[]; readonly reason: string };
  /** The statements of the input that it stands for. Default: itself. */
  readonly origins?: readonly string[];
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
  /** Other tables that must exist before it, such as the referenced one of a foreign key. */
  readonly references?: readonly string[];
  /** The statements of the input that it stands for. Default: none. */
  readonly origins?: readonly string[];
}

export type Step = SqlStep | OperationStep;

/** The statements of the input that a step stands for. */
export function originsOf(step: Step): readonly string[] {
  return step.origins ?? (step.kind === 'sql' ? [step.up] : []);
}

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
  /** False for what PostgreSQL refuses inside a transaction, and for operations that commit in between. */
  readonly transaction: boolean;
  /** What its reader must know: that it is for a later deploy. */
  readonly comment?: string;
}

/** Something that is not in the files as it was in the input, and why. */
export interface Note {
  readonly kind: 'rewritten' | 'left-out' | 'no-down' | 'advice';
  /** The statements of the input. */
  readonly statements: readonly string[];
  readonly reason: string;
}

/** A file as it is written. */
export interface RenderedFile {
  /** `1760000000000-create-note.ts` */
  readonly name: string;
  /** `CreateNote1760000000000` */
  readonly className: string;
  readonly text: string;
}
