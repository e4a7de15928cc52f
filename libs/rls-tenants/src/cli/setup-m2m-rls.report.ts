import type { ReportedTable } from '../audit/index.js';
import { paint, type CliOutput } from './cli-output.js';

type Colors = Pick<CliOutput, 'colors'>;

/** How a join table came out. */
export type JoinTableOutcome = { readonly table: string } & (
  | { readonly state: 'protected' }
  | { readonly state: 'applied' | 'planned'; readonly how: string; readonly statements: readonly string[] }
  | { readonly state: 'refused'; readonly reason: string; readonly hint: string }
);

/** One join table that is or would be protected, with the SQL if wanted. */
export function protectedText(
  outcome: Exclude<JoinTableOutcome, { state: 'refused' }>,
  withSql: boolean,
  colors: Colors,
): string {
  const name = paint(colors, 'bold', outcome.table);
  if (outcome.state === 'protected') return `${name}: is protected already, left as it is\n`;
  const what = outcome.state === 'applied' ? paint(colors, 'green', 'protected') : 'would be protected';
  const sql = withSql ? outcome.statements.map((statement) => `  ${statement.trim()};\n`) : [];
  return `${name}: ${what} ${outcome.how}\n${sql.join('')}`;
}

/** One join table that stays as it is. */
export function refusedText(
  { table, reason, hint }: Extract<JoinTableOutcome, { state: 'refused' }>,
  colors: Colors,
): string {
  const text = [`${paint(colors, 'red', `${table}: not protected.`)} ${reason}`, hint].join('\n');
  return `${text.replaceAll('\n', '\n  ')}\n`;
}

/** A join table's policies as they are now. */
export function policiesText({ table, policies }: ReportedTable, colors: Colors): string {
  const texts = policies.map(({ name, command, roles, using, withCheck }) => {
    const clauses = Object.entries({ USING: using, 'WITH CHECK': withCheck })
      .filter(([, expression]) => expression !== null)
      .map(([clause, expression]) => `    ${clause} ${expression!.replaceAll(/\s+/g, ' ')}\n`);
    return `  ${name} [${command}] TO ${roles.join(', ')}\n${paint(colors, 'dim', clauses.join(''))}`;
  });
  return `${paint(colors, 'bold', table)}\n${texts.join('') || '  no policies\n'}`;
}

/** The last line. */
export function totalText(outcomes: readonly JoinTableOutcome[], dryRun: boolean): string {
  const count = (...states: JoinTableOutcome['state'][]) =>
    outcomes.filter(({ state }) => states.includes(state)).length;
  const changed = count('applied', 'planned');
  const done = `${changed} join table${changed === 1 ? '' : 's'}`;
  const rest = `${count('protected')} already protected, ${count('refused')} not.`;
  return dryRun ? `Dry run: would protect ${done}, ${rest}\n` : `Protected ${done}, ${rest}\n`;
}
