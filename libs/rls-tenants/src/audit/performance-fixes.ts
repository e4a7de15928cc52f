import { scanSync } from 'libpg-query';
import { buildIndexSql, quoteIdentifier } from '../policies/index.js';
import type { CatalogPolicy } from './catalog.js';
import type { DatabaseAudit, PolicyClause } from './database-audit.js';
import type { CatalogIndex, CatalogRelation } from './database-catalog.js';
import { expectedPredicate } from './expected-policies.js';
import { conjunctsOf, isNode, type Tree } from './policy-expression.js';

// The SQL that findings about performance tell people to run. The audit itself runs none of it.

/** An index that begins with the tenant column. On a partitioned table that is more than one statement. */
export function createTenantIndex(relation: CatalogRelation, tenantColumn: string): string {
  if (relation.kind === 'p') {
    const table = `${relation.schema}.${relation.name}`;
    return `partitionedIndex({ table: '${table}', name: '${relation.name}_tenant_idx', columns: ['${tenantColumn}'] }) in a ConcurrentMigration.`;
  }
  const name = `${relation.name}_tenant_idx`;
  return `${buildIndexSql(relation, name, { columns: [tenantColumn] }, 'concurrently')};`;
}

/** Builds an invalid index again, without keeping writers out. */
export function rebuildIndex(relation: CatalogRelation, { name }: CatalogIndex): string {
  return `REINDEX INDEX CONCURRENTLY ${quoteIdentifier(relation.schema)}.${quoteIdentifier(name)};`;
}

/** The same policy with each clause made anew; undefined if one of them cannot be. */
export function alterClauses(
  audit: DatabaseAudit,
  relation: CatalogRelation,
  policy: CatalogPolicy,
  change: (clause: PolicyClause) => string | undefined,
): string | undefined {
  const clauses = audit.clausesOf(relation, policy).map((one) => ({ ...one, text: change(one) }));
  if (clauses.some(({ text }) => text === undefined)) return undefined;
  const sql = clauses.map(({ clause, text }) => ` ${clause} (${text})`).join('');
  return `ALTER POLICY ${quoteIdentifier(policy.name)} ON ${audit.quoted(relation)}${sql};`;
}

/**
 * The clause with what reads settings or the tenant in sub-selects of their own; the library's predicate where the
 * clause is no more than that. Undefined if a call takes a column.
 */
export function readOnce(
  audit: DatabaseAudit,
  relation: CatalogRelation,
  { expression }: Pick<PolicyClause, 'expression'>,
): string | undefined {
  const canonical = canonicalPredicate(audit, relation, { expression });
  if (canonical !== undefined) return canonical;
  const names = new Set([
    'current_setting',
    ...expression.functions.filter((call) => readsPerRow(audit, call)).map(({ name }) => name),
  ]);
  return takesColumns(expression.tree, names) ? undefined : wrapCalls(expression.text, names);
}

/** A call of one of the functions has a column among its arguments, so that a sub-select around it is no constant. */
function takesColumns(tree: Tree, names: ReadonlySet<string>): boolean {
  if (Array.isArray(tree)) return tree.some((child) => takesColumns(child, names));
  if (!isNode(tree)) return false;
  const call = isNode(tree.FuncCall) ? tree.FuncCall : undefined;
  const name = (call?.funcname as { String?: { sval: string } }[] | undefined)?.at(-1)?.String?.sval;
  if (name !== undefined && names.has(name)) return mentionsColumn(call!.args);
  return Object.values(tree).some((child) => takesColumns(child, names));
}

function mentionsColumn(tree: Tree): boolean {
  if (Array.isArray(tree)) return tree.some(mentionsColumn);
  return isNode(tree) && ('ColumnRef' in tree || Object.values(tree).some(mentionsColumn));
}

/** The library's predicate, where the clause compares the tenant column with the tenant setting and asks nothing else. */
export function canonicalPredicate(
  audit: DatabaseAudit,
  relation: CatalogRelation,
  { expression }: Pick<PolicyClause, 'expression'>,
): string | undefined {
  const column = audit.tenantColumnOf(relation);
  const plain = expression.functions.every(({ schema }) => schema === undefined);
  return plain &&
    column !== undefined &&
    conjunctsOf(expression.tree).length === 1 &&
    audit.holdsToTenant(expression, column)
    ? expectedPredicate(audit.tenantTable(relation)!)
    : undefined;
}

/** A function that reads the tenant is called for each row. */
export function readsPerRow(
  audit: DatabaseAudit,
  call: PolicyClause['expression']['functions'][number],
): boolean {
  return call.perRow && audit.readsTenant({ settings: [], functions: [call] });
}

/** Puts each call of the functions into a sub-select. Calls are found between the tokens of PostgreSQL's own lexer. */
function wrapCalls(text: string, names: ReadonlySet<string>): string {
  // Positions are in bytes.
  const bytes = Buffer.from(text);
  const { tokens } = scanSync(text);
  let result = '';
  let copied = 0;
  tokens.forEach(({ text: word, start }, index) => {
    if (start < copied || tokens[index + 1]?.text !== '(' || !names.has(unquoted(word))) return;
    const first = tokens[index - 1]?.text === '.' ? tokens[index - 2]!.start : start;
    const end = closing(tokens, index + 1);
    result += `${bytes.subarray(copied, first).toString()}(SELECT ${bytes.subarray(first, end).toString()})`;
    copied = end;
  });
  return result + bytes.subarray(copied).toString();
}

/** Where the parenthesis that is opened at the index ends. */
function closing(tokens: readonly { text: string; end: number }[], open: number): number {
  let depth = 0;
  for (const { text, end } of tokens.slice(open)) {
    if (text === '(') depth++;
    if (text === ')' && --depth === 0) return end;
  }
  return tokens.at(-1)!.end;
}

function unquoted(word: string): string {
  return word.startsWith('"') ? word.slice(1, -1).replaceAll('""', '"') : word;
}
