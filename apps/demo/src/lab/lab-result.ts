/** What PostgreSQL, or the library in front of it, had against a statement. */
export interface LabError {
  /** SQLSTATE. */
  code: string | null;
  message: string;
  hint: string | null;
}

/** What one statement did for one tenant. */
export interface LabResult {
  id: string;
  sql: string;
  parameters: string[];
  /** True if what the statement wrote was undone. */
  rolledBack: boolean;
  rows: Record<string, unknown>[];
  /** How many rows a writing statement touched; null for one that reads. */
  affected: number | null;
  error: LabError | null;
  durationMs: number;
  /** How many rows the tenant reached … */
  visible: number;
  /** … of how many there are over all tenants. */
  total: number;
  /** PostgreSQL's plan, line by line. */
  plan: string[];
}
