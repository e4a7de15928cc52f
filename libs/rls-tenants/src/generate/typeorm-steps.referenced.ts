import type { CatalogQuery } from '../audit/catalog.js';
import type { Change, ChangeOf } from '../lint/changes.js';
import { readSql } from '../lint/read-sql.js';
import { quoteTable } from '../policies/index.js';
import type { Note, SqlStep } from './step.js';

/** A foreign key, and the constraint that it references. */
interface Reference {
  readonly table: string;
  readonly name: string;
  readonly constraint: string;
}

/** $1 the referenced table */
const REFERENCES_SQL = `
  SELECT f.conrelid::pg_catalog.regclass::text AS table, f.conname::text AS name, u.conname::text AS constraint
    FROM pg_catalog.pg_constraint f
    JOIN pg_catalog.pg_constraint u ON u.conindid = f.conindid AND u.contype IN ('p', 'u')
   WHERE f.contype = 'f' AND f.confrelid = pg_catalog.to_regclass($1) ORDER BY 1, 2`;

/**
 * Leaves out the drops of unique constraints that foreign keys need and that TypeORM does not know of: those of a table,
 * mostly a join table, that no entity declares any more and that TypeORM leaves in the database. PostgreSQL would refuse.
 */
export async function withoutReferencedDrops(
  query: CatalogQuery,
  steps: readonly SqlStep[],
): Promise<{ steps: SqlStep[]; notes: Note[] }> {
  const gone = new Set(steps.flatMap((step) => constraintDrops(step).map(({ name }) => name)));
  const kept: SqlStep[] = [];
  const notes: Note[] = [];
  for (const step of steps) {
    const [drop] = constraintDrops(step);
    const references = drop ? ((await query(REFERENCES_SQL, [quoteTable(drop.table)])) as Reference[]) : [];
    const needs = references.find(({ name, constraint }) => constraint === drop!.name && !gone.has(name));
    if (!needs) {
      kept.push(step);
      continue;
    }
    notes.push({
      kind: 'left-out',
      statements: [step.up],
      reason: `Constraint "${drop!.name}" of table "${drop!.table}" is kept: foreign key "${needs.name}" of table ${needs.table} references it, and no entity declares that. Drop the table or the key in a migration of your own, then generate again.`,
    });
  }
  return { steps: kept, notes };
}

function constraintDrops({ up }: SqlStep): ChangeOf<'drop-constraint'>[] {
  return readSql(up)
    .flatMap(({ changes }): readonly Change[] => changes)
    .filter((change): change is ChangeOf<'drop-constraint'> => change.kind === 'drop-constraint');
}
