import { addedConstraints } from '../context.js';
import { changes, defineRule } from '../rule.js';

/** MIG090: Types and constraints that are chosen once and regretted for years: varchar(n), char(n), timestamp without a time zone, 4-byte keys, serial, json, constraints without a name, foreign keys that do not say what a DELETE does. */
export const style = defineRule({
  id: 'MIG090',
  title: 'style',
  severity: 'warning',
  optIn: true,
  reason:
    'Types and constraints that are chosen once and regretted for years: varchar(n), char(n), timestamp without a time zone, 4-byte keys, serial, json, constraints without a name, foreign keys that do not say what a DELETE does.',
  *find(migration) {
    const columns = [
      ...changes(migration, 'up', 'create-table').flatMap(({ statement, change }) =>
        change.columns.map((column) => ({ statement, table: change.table, column })),
      ),
      ...changes(migration, 'up', 'add-column').map(({ statement, change }) => ({ statement, ...change })),
    ];
    for (const { statement, table, column } of columns) {
      const better = BETTER[column.type.replace('[]', '')];
      if (better === undefined) continue;
      yield {
        at: statement,
        message: `Column "${column.name}" of "${table}" is ${column.type}: ${better.why}.`,
        fix: `Make it ${better.type}.`,
      };
    }
    for (const { statement, table, constraint } of addedConstraints(migration)) {
      if (constraint.name === undefined) {
        yield {
          at: statement,
          message: `A ${constraint.type} constraint of "${table}" has no name: PostgreSQL chooses one, and later migrations have to guess it.`,
          fix: 'Write CONSTRAINT … in front of it.',
        };
      }
      if (constraint.references === undefined || /\bON\s+DELETE\b/i.test(statement.sql)) continue;
      yield {
        at: statement,
        message: `The foreign key from "${table}" to "${constraint.references}" does not say what a DELETE does.`,
        fix: 'Write ON DELETE CASCADE, RESTRICT, SET NULL or NO ACTION.',
      };
    }
  },
});

/** Types, by PostgreSQL's own names, and what to take in their place. */
const BETTER: Readonly<Record<string, { type: string; why: string }>> = {
  bpchar: { type: 'text', why: 'char(n) pads with blanks, and saves nothing' },
  varchar: {
    type: 'text',
    why: 'a shorter length later reads the table under ACCESS EXCLUSIVE, a CHECK is validated beside the traffic',
  },
  timestamp: { type: 'timestamptz', why: 'it means another moment in each time zone' },
  int2: { type: 'bigint', why: 'it runs out, and to change it then writes the table anew' },
  int4: { type: 'bigint', why: 'it runs out, and to change it then writes the table anew' },
  serial: {
    type: 'bigint GENERATED ALWAYS AS IDENTITY',
    why: 'its sequence has grants and an owner of its own',
  },
  bigserial: {
    type: 'bigint GENERATED ALWAYS AS IDENTITY',
    why: 'its sequence has grants and an owner of its own',
  },
  smallserial: {
    type: 'bigint GENERATED ALWAYS AS IDENTITY',
    why: 'its sequence has grants and an owner of its own',
  },
  json: { type: 'jsonb', why: 'it has no index, and no equality' },
};
