import { parseSync, scanSync } from 'libpg-query';
import { TENANT_ID_TYPES, type TenantIdType } from '../context/tenant-id.js';
import type { CatalogPolicy } from './catalog.js';
import type { DatabaseAudit, PolicyClause, PolicyCommand, TenantRelation } from './database-audit.js';
import type { CatalogFunction, CatalogRelation } from './database-catalog.js';
import { expectedPolicies, expectedPredicate } from './expected-policies.js';
import { outcomeOf, type CalledFunction, type Outcome, type PredicateNames } from './fail-open.js';
import type { Situation } from './fail-open-values.js';
import { alterPolicy } from './fix-sql.js';
import { isNode, type PolicyExpression, type Tree, type TreeNode } from './policy-expression.js';
import { COLUMN_TYPES } from './rule.js';
import { differencesOf } from './rules/policy-drift.rule.js';
import { isSealFunction } from './seal.js';

// What the policies of a database admit the app role to: fail-open.ts with the catalog's names.

/** A policy of a tenant table, or of a partition of one, that holds for the app role. */
export interface JudgedPolicy {
  readonly relation: CatalogRelation;
  readonly policy: CatalogPolicy;
  readonly clauses: readonly PolicyClause[];
  /** As findings name it. */
  readonly object: string;
  /** Makes its predicate the tenant predicate. */
  readonly fix: string;
}

/** The policies to judge. Those for admin roles only are RLS003's: the app role must not inherit such a role. */
export function judgedPolicies(audit: DatabaseAudit): JudgedPolicy[] {
  return audit.protectedRelations.flatMap((relation) =>
    audit
      .policiesForApp(relation)
      .filter(({ roles }) => !roles.every((role) => audit.adminRoles.includes(role)))
      .filter((policy) => !isReadingPolicy(audit, relation, policy))
      .map((policy) => ({
        relation,
        policy,
        clauses: audit.clausesOf(relation, policy),
        object: `policy "${policy.name}" on table "${audit.nameOf(relation)}"`,
        fix: fixOf(audit, relation, policy),
      })),
  );
}

/**
 * The library's own policy of a table whose tenants read more than their own rows. It admits to other tenants' rows, and
 * that is what it is for; whoever asks for another form of it gets it judged. No entity says what a recognised table's
 * tenants may read: there a list of tenants is taken for what it says, and a literal is not.
 */
function isReadingPolicy(audit: DatabaseAudit, relation: CatalogRelation, policy: CatalogPolicy): boolean {
  const table = audit.tenantTable(relation);
  if (!table || table.live !== relation || table.declared.sides) return false;
  const declared = table.recognised
    ? { ...table.declared, tenantIdType: ownType(table), readableBySet: true }
    : table.declared;
  const [expected] = expectedPolicies({ ...table, declared });
  if (expected.command === undefined) return false;
  return differencesOf(policy, expected, table, audit.catalog).length === 0;
}

/** What can become of one clause under the situation. */
export function outcome(
  audit: DatabaseAudit,
  relation: CatalogRelation,
  { expression }: PolicyClause,
  situation: Situation,
): Outcome {
  return outcomeOf(expression.tree, namesOfRelation(audit, relation), situation);
}

/**
 * The clauses through which a permissive policy admits the app role to a row in at least one command, that is: the
 * clause can be true, and so can every restrictive policy for the command. Unreadable ones count.
 */
export function admittingClauses(
  audit: DatabaseAudit,
  { relation, policy, clauses }: JudgedPolicy,
  situation: Situation,
): PolicyClause[] {
  if (!policy.permissive) return [];
  return clauses.filter(
    (clause) =>
      canBeTrue(audit, relation, clause, situation) &&
      commandsOf(policy, clause).some((command) =>
        floorsOf(audit, relation, command, clause.clause).every((floor) =>
          canBeTrue(audit, relation, floor, situation),
        ),
      ),
  );
}

/** `USING: …; WITH CHECK: …`. */
export function quoteClauses(clauses: readonly PolicyClause[]): string {
  return clauses.map(({ clause, expression }) => `${clause} ${expression.text}`).join('; ');
}

/** A setting that a policy reads and that does not hold the tenant. */
export interface OtherSetting {
  /** Undefined where it is computed. */
  readonly name: string | undefined;
  /** The tenant column is compared with it. */
  readonly asTenant: boolean;
}

/** The settings other than the tenant's that a clause reads itself, or through a function that names them. */
export function otherSettingsOf(
  audit: DatabaseAudit,
  relation: CatalogRelation,
  { expression }: PolicyClause,
): OtherSetting[] {
  const tenantColumn = audit.tenantColumnOf(relation);
  const compared = expression.comparisons.filter(({ column }) => column === tenantColumn);
  const read = (of: Pick<PolicyExpression, 'settings' | 'functions'>) => [
    ...of.settings.filter((setting) => !audit.isTenantSetting(setting)).map(({ name }) => name),
    ...of.functions.flatMap(({ schema, name }) => (schema === undefined ? [] : readBy(audit, schema, name))),
  ];
  const asTenant = new Set(compared.flatMap(read));
  return [...new Set(read(expression))].map((name) => ({ name, asTenant: asTenant.has(name) }));
}

/** Read with PostgreSQL's own scanner, whatever the language: `current_setting('name'`. */
function readBy(audit: DatabaseAudit, schema: string, name: string): string[] {
  return (
    audit.database.functions
      .filter((one) => one.schema === schema && one.name === name && one.body !== null)
      // What those that verify seals read beside the tenant decides nothing that it does not vouch for.
      .filter(({ oid }) => !isSealFunction(audit.catalog, oid))
      .flatMap(({ body }) => {
        const texts = tokensOf(body!);
        return texts.flatMap((text, index) => {
          const argument = texts[index + 2];
          const isRead = text.toLowerCase() === 'current_setting' && texts[index + 1] === '(';
          return isRead && argument?.startsWith("'") ? [argument.slice(1, -1)] : [];
        });
      })
      .filter((setting) => !audit.isTenantSetting({ name: setting }))
  );
}

function tokensOf(body: string): string[] {
  try {
    return scanSync(body).tokens.map(({ text }) => text);
  } catch {
    return [];
  }
}

function canBeTrue(
  audit: DatabaseAudit,
  relation: CatalogRelation,
  clause: PolicyClause,
  situation: Situation,
): boolean {
  return outcome(audit, relation, clause, situation).canBeTrue;
}

function commandsOf({ command }: CatalogPolicy, { clause }: PolicyClause): PolicyCommand[] {
  const commands: PolicyCommand[] =
    clause === 'USING' ? ['SELECT', 'UPDATE', 'DELETE'] : ['INSERT', 'UPDATE'];
  return commands.filter((one) => command === 'ALL' || command === one);
}

/** What the restrictive policies for the command ask for as well. USING stands in for a missing WITH CHECK. */
function floorsOf(
  audit: DatabaseAudit,
  relation: CatalogRelation,
  command: PolicyCommand,
  wanted: PolicyClause['clause'],
): PolicyClause[] {
  return audit
    .policiesForApp(relation, command)
    .filter(({ permissive }) => !permissive)
    .flatMap((policy) => {
      const clauses = audit.clausesOf(relation, policy);
      return clauses.find(({ clause }) => clause === wanted) ?? (wanted === 'WITH CHECK' ? clauses : []);
    });
}

function fixOf(audit: DatabaseAudit, relation: CatalogRelation, policy: CatalogPolicy): string {
  const table = audit.tenantTable(relation)!;
  if (!table.declared.sides && !relation.columns.has(table.declared.tenantColumn))
    return '-- The table has no tenant column: add one, and let every policy compare it with the tenant setting.';
  return alterPolicy(audit.quoted(relation), policy, predicateFor(table));
}

/** A table that no entity declares is compared in its own type. */
export function predicateFor(table: TenantRelation): string {
  if (!table.recognised) return expectedPredicate(table);
  return expectedPredicate({ ...table, declared: { ...table.declared, tenantIdType: ownType(table) } });
}

function ownType({ declared, live }: TenantRelation): TenantIdType {
  const type = live.columns.get(declared.tenantColumn)?.type;
  const own = TENANT_ID_TYPES.find((one) => type !== undefined && COLUMN_TYPES[one].includes(type));
  return own ?? declared.tenantIdType;
}

const NAMES = new WeakMap<DatabaseAudit, Map<string, PredicateNames>>();
const FUNCTIONS = new WeakMap<DatabaseAudit, Map<string, CalledFunction>>();

function namesOfRelation(audit: DatabaseAudit, relation: CatalogRelation): PredicateNames {
  const known = NAMES.get(audit) ?? new Map<string, PredicateNames>();
  NAMES.set(audit, known);
  const names = known.get(relation.oid) ?? predicateNames(audit, relation);
  known.set(relation.oid, names);
  return names;
}

function predicateNames(audit: DatabaseAudit, relation: CatalogRelation): PredicateNames {
  const tenantColumn = audit.tenantColumnOf(relation);
  return {
    table: relation.name,
    tenantColumn,
    isKey: (columns) =>
      (tenantColumn !== undefined && columns.has(tenantColumn)) || isKey(audit, relation, columns),
    notNull: new Set([...relation.columns.values()].filter(({ notNull }) => notNull).map(({ name }) => name)),
    role: audit.catalog.appRole.name,
    isTenantSetting: (name) => audit.isTenantSetting({ name }),
    relation: (schema, name) => {
      const read = schema === undefined ? undefined : audit.catalog.tableAt(schema, name);
      // With a whole scope every live table is a CatalogRelation.
      const known = read && audit.relation((read as CatalogRelation).oid);
      if (!known) return undefined;
      const filtered = known.rlsEnabled && audit.tenantTable(known) !== undefined;
      return {
        tenantColumn: audit.tenantColumnOf(known),
        filtered,
        isKey: (columns) => isKey(audit, known, columns),
      };
    },
    function: (schema, name) => functionsOf(audit).get(audit.nameOf({ schema, name })),
  };
}

/** A unique index is on no other columns, the tenant's aside: a composite key holds that, too. */
function isKey(audit: DatabaseAudit, relation: CatalogRelation, columns: ReadonlySet<string>): boolean {
  const tenantColumn = audit.tenantColumnOf(relation);
  return audit
    .indexesOf(relation)
    .some(
      ({ unique, predicate, keys }) =>
        unique &&
        predicate === null &&
        keys.every(({ column }) => column !== null && (columns.has(column) || column === tenantColumn)),
    );
}

function functionsOf(audit: DatabaseAudit): Map<string, CalledFunction> {
  const known = FUNCTIONS.get(audit);
  if (known) return known;
  const functions = new Map<string, CalledFunction>();
  for (const one of audit.database.functions) {
    const key = audit.nameOf(one);
    // Which of several of one name is called depends on types: none of them is looked into.
    const overloaded = functions.get(key);
    const readsTenant = audit.readsTenant({
      settings: [],
      functions: [{ schema: one.schema, name: one.name, perRow: false }],
    });
    functions.set(
      key,
      overloaded
        ? { readsTenant: overloaded.readsTenant || readsTenant, returns: undefined, parameters: [] }
        : { readsTenant, ...signatureOf(one) },
    );
  }
  FUNCTIONS.set(audit, functions);
  return functions;
}

/** The expression that an SQL function returns, if it is only that. */
function signatureOf(one: CatalogFunction): Pick<CalledFunction, 'returns' | 'parameters'> {
  const nothing = { returns: undefined, parameters: [] };
  if (one.language !== 'sql' || one.body === null || one.kind !== 'f') return nothing;
  try {
    const statement = created(one.arguments, one.body);
    const parameters = ((statement.parameters ?? []) as TreeNode[]).map(
      (parameter) => (parameter.FunctionParameter as TreeNode).name as string | undefined,
    );
    const body =
      statement.sql_body === undefined ? onlySelect(parsed(one.body)) : onlySelect(statement.sql_body);
    return { returns: body, parameters };
  } catch {
    // What cannot be read is not looked into.
    return nothing;
  }
}

/** The function as a parsed CREATE FUNCTION; with a body of the SQL standard, that body too. */
function created(args: string, body: string): TreeNode {
  const standard = /^\s*(RETURN|BEGIN\s+ATOMIC)\b/i.test(body);
  const [statement] = parsed(
    `CREATE FUNCTION f(${args}) RETURNS text LANGUAGE sql ${standard ? body : "AS ''"}`,
  ) as TreeNode[];
  return statement!.CreateFunctionStmt as TreeNode;
}

function parsed(sql: string): Tree[] {
  return (parseSync(sql).stmts ?? []).map(({ stmt }) => stmt as unknown as Tree);
}

/** The only expression of the only SELECT, which has no FROM; RETURN's expression. */
function onlySelect(body: Tree): Tree {
  if (Array.isArray(body)) return body.length === 1 ? onlySelect(body[0]) : undefined;
  if (!isNode(body)) return undefined;
  if (isNode(body.List)) return onlySelect(body.List.items);
  if (isNode(body.ReturnStmt)) return body.ReturnStmt.returnval;
  const select = body.SelectStmt;
  if (!isNode(select) || select.fromClause !== undefined || select.whereClause !== undefined)
    return undefined;
  const targets = (select.targetList ?? []) as TreeNode[];
  return targets.length === 1 ? (targets[0]!.ResTarget as TreeNode).val : undefined;
}
