import type { ConsolidationPlan, Verification } from '../consolidate/index.js';
import { paint, type CliOutput } from './cli-output.js';

type Colors = Pick<CliOutput, 'colors'>;

/** How many schemas are named where something is true of many. */
const NAMED = 3;

/** What would be copied from where. */
export function planText(plan: ConsolidationPlan, colors: Colors): string {
  const { schemas, tables, counts, sequences, notes } = plan;
  const heading = (text: string) => `${paint(colors, 'bold', text)}\n`;
  const rowsOf = (schema: string) =>
    counts.filter((count) => count.schema === schema).reduce((sum, { rows }) => sum + rows, 0);
  const known = counts.length > 0;
  const sections = [
    heading(`${count(schemas.length, 'schema')}:`),
    ...schemas.map(
      ({ schema, tenantId }) => `  ${schema}  tenant ${tenantId}${known ? `  ${rowsOf(schema)} rows` : ''}\n`,
    ),
    heading(`${count(tables.length, 'table')}, in the order of their foreign keys:`),
    ...tables.map(({ scope, renumbered, deferred }) => {
      const rows = counts
        .filter(({ table }) => table === scope.table)
        .reduce((sum, { rows }) => sum + rows, 0);
      const parts = [
        scope.table,
        ...(known ? [`${rows} rows`] : []),
        ...(renumbered === undefined ? [] : [`new keys in ${renumbered}`]),
        ...(deferred.length === 0 ? [] : [`second pass for ${deferred.join(', ')}`]),
      ];
      return `  ${parts.join('  ')}\n`;
    }),
  ];
  if (notes.size > 0) sections.push(heading('What differs:'));
  for (const [text, where] of notes) sections.push(`  ${text}: ${named(where)}\n`);
  if (sequences.length > 0) sections.push(heading('Sequences to advance:'));
  for (const { sequence, last, needed } of sequences)
    sections.push(`  ${sequence}  from ${last} to ${needed}\n`);
  sections.push('Tables of other entities are not tenant-scoped and are left alone.\n');
  return sections.join('');
}

/** Why nothing is copied; empty if nothing stands in the way. */
export function problemsText({ problems }: ConsolidationPlan, colors: Colors): string {
  if (problems.length === 0) return '';
  const lines = problems.map(
    ({ message, hint }) => `${paint(colors, 'red', 'refused')}  ${message}.\n         ${hint}\n`,
  );
  return `${lines.join('')}${count(problems.length, 'problem')}: nothing is copied.\n`;
}

/** What a run copied. */
export function appliedText({ schemas }: ConsolidationPlan, rows: number): string {
  return `Copied ${count(rows, 'row')} of ${count(schemas.length, 'schema')}.\n`;
}

/** Rows per tenant and table where they differ, or that they do not. */
export function verifiedText(verified: readonly Verification[], colors: Colors): string {
  const different = verified.filter(({ same }) => !same);
  if (different.length === 0) {
    const rows = verified.reduce((sum, { newRows }) => sum + newRows, 0);
    const tenants = new Set(verified.map(({ tenantId }) => tenantId)).size;
    return `${paint(colors, 'green', 'Verified')}: ${count(rows, 'row')} of ${count(tenants, 'tenant')}, the same in number and content as in the old schemas.\n`;
  }
  const lines = different.map(
    ({ schema, table, tenantId, oldRows, newRows }) =>
      `${paint(colors, 'red', 'different')}  ${schema}.${table}: ${count(oldRows, 'row')}, ${newRows} in the protected table for tenant ${tenantId}${oldRows === newRows ? ', with other contents' : ''}\n`,
  );
  return `${lines.join('')}Of ${verified.length} comparisons ${different.length} differ: somebody wrote to the old schema or to the protected table since.\n`;
}

function named(schemas: readonly string[]): string {
  const more = schemas.length - NAMED;
  return `${schemas.slice(0, NAMED).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
