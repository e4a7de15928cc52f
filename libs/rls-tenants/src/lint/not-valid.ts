import { objectName, parseTableName, quoteIdentifier, quoteTable } from '../policies/index.js';
import type { Constraint } from './changes.js';
import { correctedFile, operationsFile } from './corrected-file.js';
import type { CorrectedFile } from './finding.js';
import type { Migration } from './migration.js';
import { checkExpression } from './operation-options.js';

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
  const fix = `${add};\n-- in the next migration, because a lock lasts as long as its transaction:\n${validate};`;
  const expression = checkExpression(sql);
  if (expression !== undefined) {
    const told = { table, name, expression };
    const slug = `${table}-${name}`;
    return {
      fix,
      files: [operationsFile(migration, { slug, after: 1, operations: [['checkConstraint', told]] })],
    };
  }
  return {
    fix,
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
