import { parseSync, scanSync } from 'libpg-query';
import {
  addCompositeForeignKeySql,
  addPlainForeignKeySql,
  addTenantColumnSql,
  createAdminPolicySql,
  dropConstraintSql,
  fillTenantFromSideSql,
  objectName,
  protectExistsJoinTableSql,
  protectJoinTableSql,
  protectTableSql,
  quoteIdentifier,
  quoteRole,
  setsColumns,
  setTenantDefaultSql,
  setTenantNotNullSql,
  type ForeignKey,
  type JoinTableSide,
  type ReferentialAction,
} from '../policies/index.js';
import type { DatabaseAudit, TenantRelation } from './database-audit.js';
import type { CatalogConstraint, CatalogIndex, CatalogRelation } from './database-catalog.js';
import { isNode, type TreeNode } from './policy-expression.js';

// The SQL that findings about tables and constraints tell people to run. Names come from the catalog; a definition that
// PostgreSQL printed is changed between its tokens, as PostgreSQL's own lexer finds them.

/** A foreign key between tenant tables, with the tenant columns of both sides. */
export interface TenantForeignKey {
  readonly relation: CatalogRelation;
  readonly constraint: CatalogConstraint;
  readonly referenced: CatalogRelation;
  readonly tenantColumn: string;
  readonly referencedTenantColumn: string;
}

/** Replaces a foreign key by one with the tenant in it, and gives the referenced table the unique index it needs. */
export function composeForeignKey(audit: DatabaseAudit, key: TenantForeignKey): string {
  const columns = [key.referencedTenantColumn, ...pairsOf(key).map((pair) => pair.referencedColumn)];
  const replaced = replaceForeignKey(audit, key);
  if (hasUniqueIndex(audit, key.referenced, columns)) return replaced;
  const name = objectName(`${key.referenced.name}_${columns.slice(1).join('_')}`, 'tenant_key');
  const list = columns.map(quoteIdentifier).join(', ');
  return `CREATE UNIQUE INDEX IF NOT EXISTS ${quoteIdentifier(name)} ON ${audit.quoted(key.referenced)} (${list});\n${replaced}`;
}

/**
 * Makes the foreign key anew, with the tenant columns as one pair of it and with actions that leave them alone. Before
 * PostgreSQL 15 ON DELETE SET takes no list of columns, so that NO ACTION must do.
 */
export function replaceForeignKey(audit: DatabaseAudit, key: TenantForeignKey): string {
  const { relation, constraint } = key;
  const onDelete = ACTIONS[constraint.onDelete ?? 'a']!;
  const onUpdate = ACTIONS[constraint.onUpdate ?? 'a']!;
  const columns = pairsOf(key);
  const refused = setsColumns(onDelete) && (columns.length === 0 || !hasColumnLists(audit));
  const plain: ForeignKey = {
    table: audit.nameOf(relation),
    name: constraint.name,
    columns,
    referencedTable: audit.nameOf(key.referenced),
    onDelete: refused ? 'NO ACTION' : onDelete,
    onUpdate: setsColumns(onUpdate) ? 'NO ACTION' : onUpdate,
  };
  const tenant = { column: key.tenantColumn, referencedColumn: key.referencedTenantColumn };
  const add =
    columns.length === 0
      ? addPlainForeignKeySql({ ...plain, columns: [tenant] })
      : addCompositeForeignKeySql({ ...plain, ...key });
  const sql = swap(audit, relation, constraint, `${add}${deferral(constraint)}`);
  return refused
    ? `-- A row that is still referenced can then not be deleted: clear or delete what refers to it first.\n${sql}`
    : sql;
}

/** Drops and adds in one transaction. What need not block writes for a scan is validated after it. */
function swap(
  audit: DatabaseAudit,
  relation: CatalogRelation,
  { name }: CatalogConstraint,
  add: string,
): string {
  const drop = dropConstraintSql(audit.nameOf(relation), name);
  // A foreign key of a partitioned table cannot be NOT VALID before PostgreSQL 18.
  if (relation.kind === 'p') return script(['BEGIN', drop, add, 'COMMIT']);
  return `${script(['BEGIN', drop, `${add} NOT VALID`, 'COMMIT'])}\n${validateConstraint(audit, relation, name)}`;
}

/** VALIDATE CONSTRAINT, which proves something only to a role that sees every row. */
export function validateConstraint(audit: DatabaseAudit, relation: CatalogRelation, name: string): string {
  return `-- As a role that sees every row: to any other there is nothing to object to.\n${script([
    `ALTER TABLE ${audit.quoted(relation)} VALIDATE CONSTRAINT ${quoteIdentifier(name)}`,
  ])}`;
}

/** False for NOT ENFORCED (PostgreSQL 18). */
export function isEnforced(constraint: CatalogConstraint): boolean {
  return parseConstraint(constraint).is_enforced === true;
}

/** Makes a constraint count again, old rows included. Only a foreign key can be altered so. */
export function enforceConstraint(
  audit: DatabaseAudit,
  relation: CatalogRelation,
  { name, type, definition }: CatalogConstraint,
): string {
  const constraint = quoteIdentifier(name);
  const enforced = definition.replace(/ NOT ENFORCED$/, '');
  return script([
    `ALTER TABLE ${audit.quoted(relation)} ${
      type === 'f'
        ? `ALTER CONSTRAINT ${constraint} ENFORCED`
        : `DROP CONSTRAINT ${constraint}, ADD CONSTRAINT ${constraint} ${enforced}`
    }`,
  ]);
}

/** Admits the owner to every row of the table, and makes a foreign key anew, which validates it. */
export function validateKeyAgain(
  audit: DatabaseAudit,
  relation: CatalogRelation,
  { name, definition }: CatalogConstraint,
  hidden: CatalogRelation,
): string {
  const adminRole = audit.tenantTable(hidden)?.adminRole ?? audit.adminRoles[0]!;
  const admitted = hidden.policies.some(({ roles }) => roles.includes(adminRole));
  const constraint = quoteIdentifier(name);
  return `-- As a superuser. A row that breaks the key makes it fail.\n${script([
    `GRANT ${quoteRole(adminRole)} TO ${quoteRole(hidden.owner)}`,
    ...(admitted ? [] : [createAdminPolicySql(audit.nameOf(hidden), adminRole)]),
    `ALTER TABLE ${audit.quoted(relation)} DROP CONSTRAINT ${constraint}, ADD CONSTRAINT ${constraint} ${definition}`,
  ])}`;
}

/** The pairs of columns without those of the tenant. */
function pairsOf({ constraint, tenantColumn }: TenantForeignKey): ForeignKey['columns'] {
  return constraint.columns
    .map((column, n) => ({ column, referencedColumn: constraint.referencedColumns[n]! }))
    .filter(({ column }) => column !== tenantColumn);
}

const ACTIONS: Readonly<Record<string, ReferentialAction>> = {
  a: 'NO ACTION',
  r: 'RESTRICT',
  c: 'CASCADE',
  n: 'SET NULL',
  d: 'SET DEFAULT',
};

function hasColumnLists({ catalog }: DatabaseAudit): boolean {
  return catalog.server.versionNumber >= 150000;
}

/** A foreign key can reference exactly these columns. */
function hasUniqueIndex(audit: DatabaseAudit, table: CatalogRelation, columns: readonly string[]): boolean {
  return audit
    .indexesOf(table)
    .some(
      ({ unique, valid, predicate, keys }) =>
        unique &&
        valid &&
        predicate === null &&
        keys.length === columns.length &&
        keys.every(({ column }) => column !== null && columns.includes(column)),
    );
}

/** DEFERRABLE and INITIALLY DEFERRED, where the constraint is. */
function deferral(constraint: CatalogConstraint): string {
  const { deferrable, initdeferred } = parseConstraint(constraint);
  return `${deferrable === true ? ' DEFERRABLE' : ''}${initdeferred === true ? ' INITIALLY DEFERRED' : ''}`;
}

/** The parse of a constraint's definition: a `Constraint` node. */
function parseConstraint({ definition }: CatalogConstraint): TreeNode {
  const { stmts = [] } = parseSync(`ALTER TABLE t ADD ${definition}`);
  const { AlterTableStmt: alter } = stmts[0]!.stmt as unknown as { AlterTableStmt: TreeNode };
  const [command] = alter.cmds as { AlterTableCmd: TreeNode }[];
  const { def } = command!.AlterTableCmd;
  return isNode(def) && isNode(def.Constraint) ? def.Constraint : {};
}

/** Makes uniqueness hold within each tenant: the tenant column becomes the first key of the constraint or index. */
export function scopeUniqueness(
  audit: DatabaseAudit,
  relation: CatalogRelation,
  index: CatalogIndex,
  constraint: CatalogConstraint | undefined,
  tenantColumn: string,
): string {
  const column = quoteIdentifier(tenantColumn);
  if (!constraint) {
    const dropped = `${quoteIdentifier(relation.schema)}.${quoteIdentifier(index.name)}`;
    return script(['BEGIN', `DROP INDEX ${dropped}`, withFirstKey(index.definition, column), 'COMMIT']);
  }
  const name = quoteIdentifier(constraint.name);
  const definition = withFirstKey(constraint.definition, index.exclusion ? `${column} WITH =` : column);
  const sql = script([
    `ALTER TABLE ${audit.quoted(relation)} DROP CONSTRAINT ${name}, ADD CONSTRAINT ${name} ${definition}`,
  ]);
  return index.method === 'gist' ? `CREATE EXTENSION IF NOT EXISTS btree_gist;\n${sql}` : sql;
}

/** Puts a key in front of the first one, and takes the ONLY away that is printed for partitioned tables. */
function withFirstKey(definition: string, key: string): string {
  // Positions are in bytes.
  const bytes = Buffer.from(definition);
  const { tokens } = scanSync(definition);
  const open = tokens.find(({ text }) => text === '(')!;
  const only = tokens.find(({ text, end }) => text === 'ONLY' && end <= open.start);
  const head = only
    ? `${bytes.subarray(0, only.start).toString()}${bytes.subarray(only.end + 1, open.end).toString()}`
    : bytes.subarray(0, open.end).toString();
  return `${head}${key}, ${bytes.subarray(open.end).toString()}`;
}

/**
 * Gives a table a tenant column and a policy: rows take the tenant of what they reference, later ones the current
 * tenant.
 *
 * @param like the tenant table whose column, type and setting it gets.
 * @param sides what its foreign keys reference; without any, its rows cannot be told apart and are deleted.
 */
export function addTenant(
  audit: DatabaseAudit,
  relation: CatalogRelation,
  { declared, adminRole }: TenantRelation,
  sides: readonly JoinTableSide[],
): string {
  const table = { ...settingsOf(declared), table: audit.nameOf(relation), adminRole };
  const fill =
    sides.length === 0
      ? [`TRUNCATE ${audit.quoted(relation)}`]
      : sides.map((side) => fillTenantFromSideSql(table, side));
  return script([
    'BEGIN',
    ...relation.policies.map(
      ({ name }) => `DROP POLICY ${quoteIdentifier(name)} ON ${audit.quoted(relation)}`,
    ),
    addTenantColumnSql(table),
    ...fill,
    setTenantNotNullSql(table),
    setTenantDefaultSql(table),
    ...(sides.length > 1 ? protectJoinTableSql(table) : protectTableSql(table)),
    'COMMIT',
  ]);
}

/** ENABLE, FORCE and the policies of the table above, for a partition or child of it. */
export function protectLike(
  audit: DatabaseAudit,
  relation: CatalogRelation,
  { declared, adminRole }: TenantRelation,
): string {
  const table = { ...declared, table: audit.nameOf(relation), adminRole };
  return script(
    declared.sides
      ? protectExistsJoinTableSql({ ...table, joinTable: table.table, sides: declared.sides })
      : protectTableSql(table),
  );
}

function settingsOf({ tenantIdType, tenantColumn, tenantSetting }: TenantRelation['declared']) {
  return { tenantIdType, tenantColumn, tenantSetting };
}

function script(statements: readonly string[]): string {
  return statements.map((statement) => `${statement};`).join('\n');
}
