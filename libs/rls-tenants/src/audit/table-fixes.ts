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
  quoteLiteral,
  quoteRole,
  setsColumns,
  setTenantDefaultSql,
  setTenantNotNullSql,
  type ForeignKey,
  type JoinTableSide,
  type ReferentialAction,
} from '../policies/index.js';
import type { CatalogColumn } from './catalog.js';
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
  const definition = withFirstKey(
    constraint.definition,
    constraint.type === 'x' ? `${column} WITH =` : column,
  );
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

/** Takes every privilege on the table, columns included, from those it was granted to. */
export function revokeAllFrom(audit: DatabaseAudit, relation: CatalogRelation): string {
  const kind = relation.kind === 'S' ? 'SEQUENCE' : 'TABLE';
  const granted = [...new Set(relation.grants.map(({ grantee }) => grantee))];
  // An owner's privileges are no grants.
  const grantees = granted.length > 0 ? granted : [audit.catalog.appRole.name];
  return script([
    `REVOKE ALL ON ${kind} ${audit.quoted(relation)} FROM ${grantees.map((one) => (one === null ? 'PUBLIC' : quoteRole(one))).join(', ')}`,
  ]);
}

/** Lets a policy hold for every role. Only for one that holds them to the tenant. */
export function alterPolicyToPublic(audit: DatabaseAudit, relation: CatalogRelation, policy: string): string {
  return script([`ALTER POLICY ${quoteIdentifier(policy)} ON ${audit.quoted(relation)} TO PUBLIC`]);
}

/** Fills a tenant column with the current tenant where nobody names one, and with nothing else. */
export function defaultToTenant(
  audit: DatabaseAudit,
  relation: CatalogRelation,
  { name, generated, identity }: CatalogColumn,
): string {
  const { declared } = audit.tenantTable(relation)!;
  const drop = `ALTER TABLE ${audit.quoted(relation)} ALTER COLUMN ${quoteIdentifier(name)} DROP`;
  return script([
    ...(generated ? [`${drop} EXPRESSION`] : []),
    ...(identity === null ? [] : [`${drop} IDENTITY`]),
    setTenantDefaultSql({ ...settingsOf(declared), table: audit.nameOf(relation) }),
  ]);
}

/** Makes an identity, which no privilege on the sequence goes with, of a column that a sequence fills. */
export function becomeIdentity(
  audit: DatabaseAudit,
  relation: CatalogRelation,
  column: string,
  sequence: CatalogRelation,
): string {
  const name = quoteIdentifier(column);
  const table = `ALTER TABLE ${audit.quoted(relation)} ALTER COLUMN ${name}`;
  const old = { ...sequence, name: objectName(sequence.name, 'old') };
  return script([
    'BEGIN',
    `${table} DROP DEFAULT`,
    `ALTER SEQUENCE ${audit.quoted(sequence)} RENAME TO ${quoteIdentifier(old.name)}`,
    `${table} ADD GENERATED BY DEFAULT AS IDENTITY (SEQUENCE NAME ${audit.quoted(sequence)})`,
    `SELECT setval(${quoteLiteral(audit.quoted(sequence))}, nextval(${quoteLiteral(audit.quoted(old))}))`,
    `DROP SEQUENCE ${audit.quoted(old)}`,
    // Default privileges may have granted it.
    `REVOKE ALL ON SEQUENCE ${audit.quoted(sequence)} FROM ${['PUBLIC', ...new Set(sequence.grants.flatMap(({ grantee }) => (grantee === null ? [] : quoteRole(grantee))))].join(', ')}`,
    'COMMIT',
  ]);
}

/** Moves large objects that a column refers to into the column, where the table's policies hold. */
export function moveLargeObjects(audit: DatabaseAudit, relation: CatalogRelation, column: string): string {
  const table = audit.quoted(relation);
  const [old, bytes] = [quoteIdentifier(column), quoteIdentifier(objectName(column, 'bytes'))];
  return `-- As a superuser: large objects belong to whoever wrote them.\n${script([
    'BEGIN',
    `ALTER TABLE ${table} ADD COLUMN ${bytes} bytea`,
    `UPDATE ${table} SET ${bytes} = lo_get(${old}) WHERE ${old} IS NOT NULL`,
    `SELECT count(lo_unlink(object)) FROM (SELECT DISTINCT ${old} AS object FROM ${table} WHERE ${old} IS NOT NULL) AS moved`,
    `ALTER TABLE ${table} DROP COLUMN ${old}`,
    `ALTER TABLE ${table} RENAME COLUMN ${bytes} TO ${old}`,
    'COMMIT',
  ])}`;
}

function settingsOf({ tenantIdType, tenantColumn, tenantSetting }: TenantRelation['declared']) {
  return { tenantIdType, tenantColumn, tenantSetting };
}

function script(statements: readonly string[]): string {
  return statements.map((statement) => `${statement};`).join('\n');
}
