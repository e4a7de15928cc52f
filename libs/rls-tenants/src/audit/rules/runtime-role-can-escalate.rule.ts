import type { Catalog, CatalogRole } from '../catalog.js';
import { openPolicy } from '../effective-role.js';
import { alterRole, revokeAdminOption, revokeRole, setRoleWithoutInheriting } from '../fix-sql.js';
import { defineRule, existingTables, type Observation, type RuleContext } from '../rule.js';
import { hasSealedPolicy, sealableTables } from '../sealed-policies.js';

/** RLS003: what the app role may become counts as what it is. The admin role alone may be one SET ROLE away. */
export const runtimeRoleCanEscalate = defineRule({
  id: 'RLS003',
  title: 'runtime-role-can-escalate',
  severity: 'critical',
  reason:
    'A role that inherits the admin role, or can become an exempt or owning role, is not held by any policy.',
  *find(catalog, context) {
    const { appRole, roles, server } = catalog;
    // A superuser is a member of everything; RLS001 says so.
    if (appRole.superuser) return;
    yield* ownAttributes(catalog);
    const sealed = sealableTables(context, catalog.seals).some(hasSealedPolicy);
    for (const role of roles.values()) {
      if (role.name === appRole.name || !(role.inherited || role.settable || role.grantable)) continue;
      const dangers = dangersOf(role, catalog, context);
      if (dangers.length > 0) {
        yield {
          object: `role "${appRole.name}"`,
          message: `The role ${reach(role)} "${role.name}", which ${dangers.join(' and ')}.`,
          fix: revokeRole(role.name, appRole.name),
        };
      } else if (context.adminRoles.includes(role.name)) {
        // A seal leaves no way at all to the admin role, which RLS063 asks for.
        if (!sealed) yield* adminRole(appRole, role, server.versionNumber);
      } else if (role.settable && !role.inherited) {
        yield* otherPolicies(appRole, role, context);
      }
    }
  },
});

/** Being able to SET ROLE to the admin role is how the admin context works; having its policies all the time is not. */
function* adminRole(app: CatalogRole, admin: CatalogRole, versionNumber: number): Iterable<Observation> {
  const object = `role "${app.name}"`;
  if (admin.inherited) {
    yield {
      object,
      message: `The role inherits the admin role "${admin.name}", so the admin policy shows it every tenant's rows.`,
      fix: setRoleWithoutInheriting(admin.name, app.name, versionNumber),
    };
  }
  if (admin.grantable) {
    yield {
      object,
      message: `The role has ADMIN OPTION on the admin role "${admin.name}" and may grant itself its inheritance.`,
      fix: revokeAdminOption(admin.name, app.name),
    };
  }
}

/** A login that works as another role is held by the policies for that role, which nobody else asks about. */
function* otherPolicies(app: CatalogRole, role: CatalogRole, context: RuleContext): Iterable<Observation> {
  const audit = context.database;
  for (const relation of audit?.protectedRelations ?? []) {
    const open = relation.rlsEnabled ? openPolicy(audit!, role.name, relation) : undefined;
    // What the admin policy shows, the app role may see as the admin role as well.
    if (!open || open.roles.every((one) => context.adminRoles.includes(one))) continue;
    yield {
      object: `role "${app.name}"`,
      message: `The role may SET ROLE to "${role.name}", whom policy "${open.name}" on table "${audit!.nameOf(relation)}" admits to more than one tenant's rows.`,
      fix: `-- If the application works as that role: audit it (--role), and let the policy hold it to the tenant.\n${revokeRole(role.name, app.name)}`,
    };
    return;
  }
}

function* ownAttributes({ appRole, server }: Catalog): Iterable<Observation> {
  for (const { danger, attribute } of attributeDangers(appRole, server.versionNumber)) {
    yield {
      object: `role "${appRole.name}"`,
      message: `The role ${danger}.`,
      fix: alterRole(appRole.name, attribute),
    };
  }
}

function dangersOf(role: CatalogRole, { server }: Catalog, context: RuleContext): string[] {
  const dangers = attributeDangers(role, server.versionNumber).map(({ danger }) => danger);
  if (role.superuser) dangers.push('is a superuser');
  if (role.bypassRls) dangers.push('has BYPASSRLS');
  if (SERVER_ACCESS_ROLES.has(role.name))
    dangers.push("reaches the server's files, the data of every tenant among them");
  const tables = existingTables(context);
  const owned = tables.filter(({ live }) => live.owner === role.name).map(({ path }) => `table "${path}"`);
  const schemas = new Set(
    tables.filter(({ live }) => live.schemaOwner === role.name).map(({ live }) => `schema "${live.schema}"`),
  );
  // PostgreSQL's stand-in for the owner of the database, whom RLS002 names.
  if (role.name !== 'pg_database_owner') owned.push(...schemas);
  if (server.databaseOwner === role.name) owned.push(`database "${server.database}"`);
  if (owned.length > 0) dangers.push(`owns ${list(owned)}`);
  return dangers;
}

const SERVER_ACCESS_ROLES = new Set([
  'pg_read_server_files',
  'pg_write_server_files',
  'pg_execute_server_program',
]);

function attributeDangers(role: CatalogRole, versionNumber: number): { danger: string; attribute: string }[] {
  const dangers: { danger: string; attribute: string }[] = [];
  if (role.replication)
    dangers.push({
      danger: 'has REPLICATION and may read the write-ahead log of every tenant',
      attribute: 'NOREPLICATION',
    });
  // PostgreSQL 16 took this power away.
  if (role.createRole && versionNumber < 160000) {
    dangers.push({
      danger: 'has CREATEROLE and may grant itself any role but a superuser',
      attribute: 'NOCREATEROLE',
    });
  }
  return dangers;
}

function reach({ inherited, settable }: CatalogRole): string {
  if (inherited) return 'inherits';
  return settable ? 'may SET ROLE to' : 'may grant itself';
}

function list(names: readonly string[]): string {
  const shown = names.slice(0, 3).join(', ');
  return names.length > 3 ? `${shown} and ${names.length - 3} more` : shown;
}
