/** What one statement of a text gave. */
export interface StatementResult {
  /** As PostgreSQL names it: `SELECT`, `UPDATE`, `SET`, … */
  command: string;
  /** How many rows it returned or touched; null where it does neither. */
  rowCount: number | null;
  columns: string[];
  /** Values in PostgreSQL's own text form. */
  rows: (string | null)[][];
  /** True if rows, columns or characters were left out of the answer. */
  shortened: boolean;
}

/** Why a text ended early. */
export interface ConsoleError {
  /** SQLSTATE; null if it was not PostgreSQL that ended it. */
  code: string | null;
  message: string;
  detail: string | null;
  hint: string | null;
  /** Where in the text, counted from 1. */
  line: number | null;
}

/** How many rows of a table there are, and how many of them the workspace reaches. */
export interface Reach {
  table: string;
  total: number;
  reached: number;
}

/** What became of a text. */
export interface ConsoleResult {
  /** Empty if there is an error: PostgreSQL takes a text back as a whole, but for what it committed before. */
  statements: StatementResult[];
  /** How many statements were answered beyond those. */
  moreStatements: number;
  error: ConsoleError | null;
  durationMs: number;
  /** Rows of protected tables in the answers, as far as PostgreSQL says of which table a column is: by whose they are. */
  returned: { own: number; foreign: number };
  /** The control. */
  reach: Reach[];
}
