import type {
  DataSource,
  DeepPartial,
  EntityManager,
  EntityMetadata,
  EntityTarget,
  ObjectLiteral,
} from 'typeorm';
import { formatFinding, verifyIsolation } from '../audit/index.js';
import { Isolation } from '../connection/isolation.js';
import { parseTenantId, type TenantId } from '../context/tenant-id.js';
import { tenantScopeOf, type TenantScope } from '../entities/index.js';
import { DEFAULT_ADMIN_ROLE, quoteTable } from '../policies/index.js';
import {
  contentOf,
  outcomeOf,
  primaryKeyOf,
  type Attack,
  type Outcome,
  type Scene,
  type Target,
} from './attacks/attack.js';
import { conflictAttacks } from './attacks/conflict-attacks.js';
import { readAttacks } from './attacks/read-attacks.js';
import { referenceAttacks } from './attacks/reference-attacks.js';
import { sealAttacks } from './attacks/seal-attacks.js';
import { writeAttacks } from './attacks/write-attacks.js';
import { asTenant } from './contexts.js';
import { IsolationAssertionError } from './isolation-assertion.error.js';
import { IsolationSession } from './isolation-session.js';
import { COLUMNS_SQL, keyTextSql, ROLE_SQL } from './isolation.sql.js';
import { randomTenantId, RowSeeder } from './row-seeder.js';

/** How {@link expectIsolated} gets its rows. */
export interface ExpectIsolatedOptions<Entity> {
  /** An isolated data source of the app role: the module's own (`app.get(DataSource)`), or `isolateDataSource()`'s. */
  dataSource: DataSource;
  /** Two tenants. Default: two that nobody has, with a row in the tenants' table if the tenant column refers to one. */
  tenants?: readonly [TenantId, TenantId];
  /**
   * Values for a tenant's row where those that the metadata suggests do not do. It is called once for each tenant, in
   * that tenant's context, and may insert through `manager` what the row needs: that is taken back as well.
   */
  make?: (tenantId: string, manager: EntityManager) => DeepPartial<Entity> | Promise<DeepPartial<Entity>>;
}

/**
 * Proves on the live database that one tenant cannot reach another's row of a tenant-scoped entity. It inserts a row for
 * each of two tenants and tries, as the first, everything on the second one's row: reads (find, by key, count, query
 * builder, raw SQL, FOR UPDATE, result cache, without a tenant context), inserts, updates, deletes, moving a row to the
 * other tenant, INSERT … ON CONFLICT on each unique key, references by each foreign key, links by each join table. All of
 * it in one transaction that is rolled back; only what sequences gave is gone.
 *
 * It never passes vacuously: each attack must succeed on the attacker's own row, the admin must see both rows, and the
 * role must be subject to row-level security. What the app role has no privilege for is not tried.
 *
 * Under a seal it also tries what any SQL on the connection may do: set the other tenant, become the admin role. The admin
 * has a connection of its own then, so that each row's own tenant must see it instead; what the app role may not insert is
 * inserted by the admin, committed, and deleted at the end.
 *
 * @returns the attacks that were tried and did not get through.
 * @throws IsolationAssertionError naming each attack that got through and what the audit says about it, or why nothing
 * was proven.
 */
export async function expectIsolated<Entity extends ObjectLiteral>(
  entity: EntityTarget<Entity>,
  options: ExpectIsolatedOptions<Entity>,
): Promise<string[]> {
  const { dataSource } = options;
  const isolation = Isolation.get(dataSource);
  if (!dataSource.isInitialized || !isolation) {
    throw nothingProven(
      `the data source of database ${JSON.stringify(dataSource.driver.database ?? '')} is not ${isolation ? 'initialized' : 'isolated'}`,
      'Give the data source of RlsTenantsModule, or one that isolateDataSource() returned.',
    );
  }
  const metadata = dataSource.getMetadata(entity);
  const scope = tenantScopeOf(metadata);
  if (!scope) {
    throw nothingProven(
      `"${metadata.name}" is not tenant-scoped`,
      'Mark the class @TenantScoped() and its tenant property @TenantColumn().',
    );
  }
  const { failures, attacks, role } = await IsolationSession.run(dataSource, async (session) => {
    const role = await checkRole(session, metadata);
    const scene = await sceneOf(session, metadata, scope, options);
    const attacks = await attacksOf(scene);
    const failures = [];
    for (const attack of attacks) failures.push(await failureOf(scene, attack));
    return { role, attacks, failures: failures.filter((failure) => failure !== undefined) };
  });
  if (failures.length === 0) return attacks.map(({ way }) => way);
  const lines = failures.map((failure) => `  - ${failure}`);
  const { adminRole } = isolation.options;
  throw new IsolationAssertionError(
    `"${metadata.name}" (table "${metadata.tablePath}", role "${role}") is not shown to be isolated. What a tenant does to a row of another tenant:\n${lines.join('\n')}`,
    await explanation(dataSource, metadata, adminRole),
  );
}

/** The tenant-scoped entities of a data source, to expect each of them isolated, those that come later included. */
export function tenantScopedEntities({ entityMetadatas }: DataSource): EntityTarget<ObjectLiteral>[] {
  return entityMetadatas
    .filter((metadata) => !metadata.isJunction && tenantScopeOf(metadata))
    .map(({ target }) => target);
}

/** The role must be subject to row-level security, or every result would be about something else. */
async function checkRole(session: IsolationSession, { tablePath }: EntityMetadata): Promise<string> {
  type Role = { role: string; superuser: boolean; bypass: boolean; owner: boolean };
  const { rows } = await session.query<Role>(ROLE_SQL, [quoteTable(tablePath)]);
  const { role, superuser, bypass, owner } = rows[0]!;
  const because = superuser
    ? 'is a superuser'
    : bypass
      ? 'has BYPASSRLS'
      : owner
        ? `owns table "${tablePath}", or may become its owner, and can switch row-level security off`
        : undefined;
  if (because === undefined) return role;
  throw nothingProven(
    `the data source connects as role "${role}", which ${because}`,
    'Connect as the app role: `rls-tenants setup-roles` makes it, createTestDatabase() uses it.',
  );
}

async function sceneOf<Entity extends ObjectLiteral>(
  session: IsolationSession,
  metadata: EntityMetadata,
  scope: TenantScope,
  { tenants, make }: ExpectIsolatedOptions<Entity>,
): Promise<Scene> {
  const ids = tenants ?? [randomTenantId(scope.tenantIdType), randomTenantId(scope.tenantIdType)];
  const [own, other] = ids.map((id) => parseTenantId(scope.tenantIdType, id)) as [string, string];
  if (own === other) throw nothingProven('both tenants are the same', 'Give two different tenants.');
  const seeder = new RowSeeder(session);
  const { seal, adminRole } = Isolation.get(session.dataSource)!.options;
  const table = quoteTable(metadata.tablePath);
  const { rows } = await session.query<{ name: string }>(COLUMNS_SQL, [table]);
  const target = async (tenantId: string) => {
    const given = make && (await asTenant(tenantId, () => make(tenantId, session.manager)));
    return targetOf(session, metadata, tenantId, await seeder.seed(metadata, tenantId, given ?? {}, true));
  };
  return {
    session,
    seeder,
    metadata,
    scope,
    tenantSetting: scope.tenantSetting,
    sealedFrom: seal && (adminRole ?? DEFAULT_ADMIN_ROLE),
    table,
    columns: rows.map(({ name }) => name),
    own: await target(own),
    other: await target(other),
  };
}

/** Proves that the row is there, and that it is the tenant's: the control reads it. */
async function targetOf(
  session: IsolationSession,
  metadata: EntityMetadata,
  tenantId: string,
  seeded: ObjectLiteral,
): Promise<Target> {
  const table = quoteTable(metadata.tablePath);
  const whoever = session.adminTakesTurns ? 'the admin' : `tenant ${JSON.stringify(tenantId)}`;
  const entity = await session
    .inControl(tenantId, () =>
      session.manager.findOne(metadata.target, { where: primaryKeyOf(metadata, seeded), withDeleted: true }),
    )
    .catch((cause: unknown) => {
      throw nothingProven(
        `${whoever} cannot read table "${metadata.tablePath}": ${(cause as Error).message}`,
        session.adminTakesTurns
          ? 'Grant the admin role what the app role may, and let the app role SET ROLE to it: `rls-tenants setup-roles`.'
          : 'Grant the app role what it needs (protectTable() does), and look at the policies of the table.',
        cause,
      );
    });
  if (!entity) {
    throw nothingProven(
      `${whoever} does not see the row that was inserted for tenant ${JSON.stringify(tenantId)}`,
      session.adminTakesTurns
        ? `Give table "${metadata.tablePath}" the admin policy (protectTable() does); a trigger may have removed the row.`
        : `Compare the policies of table "${metadata.tablePath}" with those that protectTable() writes; a trigger may have removed the row.`,
    );
  }
  const columns = metadata.primaryColumns;
  const values = columns.map((column) =>
    session.dataSource.driver.preparePersistentValue(column.getEntityValue(entity), column),
  );
  const names = columns.map(({ databaseName }) => databaseName);
  const key = await session.inControl(tenantId, () => keyOf(session, table, names, values));
  const where = primaryKeyOf(metadata, entity);
  // What find() does not load: columns with `select: false`, and relations.
  for (const column of metadata.columns)
    if (column.getEntityValue(entity) === undefined && !column.isVirtual)
      column.setEntityValue(entity, column.getEntityValue(seeded));
  for (const relation of metadata.relationsWithJoinColumns) {
    const related: unknown = relation.getEntityValue(seeded);
    if (related !== undefined) relation.setEntityValue(entity, related);
  }
  return { tenantId, entity, where, key, content: (await contentOf({ session, table }, { tenantId, key }))! };
}

async function keyOf(session: IsolationSession, table: string, names: string[], values: unknown[]) {
  const condition = names
    .map((name, index) => `"${name.replaceAll('"', '""')}" = $${index + 1}`)
    .join(' AND ');
  const { rows } = await session.query<Record<string, string>>(keyTextSql(table, names, condition), values);
  return names.map((column, index) => ({ column, text: rows[0]![`k${index}`]! }));
}

async function attacksOf(scene: Scene): Promise<Attack[]> {
  const { session, metadata, table } = scene;
  if (!(await session.may('SELECT', metadata))) {
    throw nothingProven(
      `the app role may not read table "${metadata.tablePath}"`,
      'Grant it what it needs (protectTable() does).',
    );
  }
  if (await session.may('TRUNCATE', metadata)) {
    throw new IsolationAssertionError(
      `The app role may TRUNCATE table "${metadata.tablePath}", which takes every tenant's rows.`,
      `REVOKE TRUNCATE ON ${table} FROM it.`,
    );
  }
  return [
    ...(await readAttacks(scene)),
    ...(await writeAttacks(scene)),
    ...(await conflictAttacks(scene)),
    ...(await referenceAttacks(scene)),
    ...(await sealAttacks(scene)),
  ];
}

/** Why the attack speaks against isolation; undefined if it does not. */
async function failureOf(scene: Scene, attack: Attack): Promise<string | undefined> {
  const control = await outcomeOf(scene, attack, scene.own);
  const proven = control.kind === 'constraint' && attack.provenBy?.includes(control.code);
  if (control.kind !== 'reached' && !proven)
    return `${attack.way}: nothing was proven, because a tenant cannot do that to its own row either (${described(control)})`;
  const outcome = await outcomeOf(scene, attack, scene.other);
  switch (outcome.kind) {
    case 'missed':
    case 'refused':
      return undefined;
    case 'reached':
      return attack.way;
    case 'constraint':
      if (!attack.heldBy)
        return `${attack.way}: the policies let it by, only a constraint stopped it (${outcome.error.message})`;
      if (attack.heldBy.includes(outcome.code)) return undefined;
      return `${attack.way}: nothing was proven (${outcome.error.message})`;
    default:
      return `${attack.way}: nothing was proven (${outcome.error.message})`;
  }
}

function described(outcome: Outcome): string {
  return 'error' in outcome ? outcome.error.message : 'it reached no row';
}

/** What the audit knows about the table and the role, as far as it can be asked. */
async function explanation(
  dataSource: DataSource,
  metadata: EntityMetadata,
  adminRole: string | undefined,
): Promise<string> {
  const findings = await verifyIsolation(dataSource, adminRole === undefined ? {} : { adminRole }).catch(
    () => [],
  );
  const about = findings.filter(
    ({ object }) => object.includes(metadata.tableName) || object.startsWith('role'),
  );
  return about.length === 0
    ? 'Compare the policies of the table with those that protectTable() writes; `rls-tenants check-rls` audits them.'
    : `The audit says:\n${about.map(formatFinding).join('\n')}`;
}

function nothingProven(because: string, hint: string, cause?: unknown): IsolationAssertionError {
  return new IsolationAssertionError(`Nothing was proven: ${because}.`, hint, { cause });
}
