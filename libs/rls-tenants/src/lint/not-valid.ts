import { objectName, parseTableName, quoteIdentifier, quoteTable } from '../policies/index.js';
import type { Constraint } from './changes.js';
import { correctedFile } from './corrected-file.js';
import type { CorrectedFile } from './finding.js';
import type { Migration } from './migration.js';

/** A constraint in two steps: NOT VALID concerns new rows only and is instant; VALIDATE reads the table beside all traffic. */
export function notValidThenValidate(
  migration: Migration,
  sql: string,
  table: string,
  constraint: Constraint,
): { fix: string; files?: CorrectedFile[] } {
  const name =
    constraint.name ??
    objectName(
      parseTableName(table).name,
      [...constraint.columns, constraint.type === 'check' ? 'check' : 'fkey'].join('_'),
    );
  const validate = `ALTER TABLE ${quoteTable(table)} VALIDATE CONSTRAINT ${quoteIdentifier(name)}`;
  // A constraint inside ADD COLUMN, or one of several commands, has to be taken apart by hand.
  if (constraint.name === undefined || /\bADD\b[^]*\bADD\b/i.test(sql)) {
    return { fix: `Add the constraint by itself with NOT VALID; in the next migration:\n${validate};` };
  }
  const add = `${sql} NOT VALID`;
  return {
    fix: `${add};\n-- in the next migration, because a lock lasts as long as its transaction:\n${validate};`,
    files: [
      correctedFile(migration, {
        slug: `${table}-${name}`,
        after: 1,
        up: [add],
        down: [`ALTER TABLE ${quoteTable(table)} DROP CONSTRAINT ${quoteIdentifier(name)}`],
      }),
      correctedFile(migration, { slug: `${table}-${name}-validate`, after: 2, up: [validate], down: [] }),
    ],
  };
}
