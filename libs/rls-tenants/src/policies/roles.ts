import { RlsConfigurationError } from '../errors.js';
import { SEQUENCE_PRIVILEGES, TABLE_PRIVILEGES } from './grants.js';
import { DEFAULT_ADMIN_ROLE, quoteIdentifier, quoteLiteral, quoteRole } from './identifiers.js';

/** The roles of one database, and the schemas that hold its tables. */
export interface RolesOptions {
  /** The login that serves requests, subject to row-level security. */
  appRole: string;
  /** The login that owns the tables and runs DDL. */
  migrationRole: string;
  /** The role whose policies see all rows. It cannot log in. Default `'rls_admin'`. */
  adminRole?: string;
  /**
   * The login of admin contexts, for a sealed tenant context: it may become the admin role, and the app role may not any
   * more. Default: the app role may.
   */
  adminLogin?: string | undefined;
  /** Default `['public']`. */
  schemas?: readonly string[];
  /**
   * Passwords for logins that do not exist yet, as SCRAM-SHA-256 verifiers, which say nothing about the password.
   * Without one the login is made without a password.
   */
  passwordVerifiers?: { readonly app?: string; readonly migration?: string; readonly adminLogin?: string };
}

/** One step of the set-up: what it is for, and the statement. */
export interface RolesStep {
  readonly comment: string;
  readonly sql: string;
}

const TABLES = TABLE_PRIVILEGES.join(', ');
const SEQUENCES = SEQUENCE_PRIVILEGES.join(', ');

/**
 * The statements that make the roles, with least privilege, in the database they run in. To be run in order, in one
 * transaction, as a superuser. Running them again changes nothing.
 *
 * They decide by the server's version themselves (PostgreSQL 14 to 18): the same text suits every server. The last one
 * raises an exception if the app role could still get around row-level security; with an `adminLogin`, also if it could
 * still become the admin role or get at the keys of the tenant seal.
 *
 * @throws RlsConfigurationError if the roles are not different ones.
 */
export function setupRolesSql(options: RolesOptions): RolesStep[] {
  const {
    appRole: app,
    migrationRole: migration,
    adminRole: admin = DEFAULT_ADMIN_ROLE,
    adminLogin,
    schemas = ['public'],
  } = options;
  if (adminLogin !== undefined && [app, migration, admin].includes(adminLogin)) {
    throw new RlsConfigurationError(
      `The admin contexts' login "${adminLogin}" is one of the other roles.`,
      'Give it a name of its own: no other role may reach the admin role as it does.',
    );
  }
  if (new Set([app, migration, admin]).size < 3) {
    throw new RlsConfigurationError(
      `The app role "${app}", the migration role "${migration}" and the admin role "${admin}" are not three roles.`,
      'Give each of them a name of its own.',
    );
  }
  const roles = { app, migration, admin, adminLogin };
  const verifiers = options.passwordVerifiers ?? {};
  return [
    {
      comment: 'The admin role: its policies see all rows, nobody logs in as it.',
      sql: createRoleSql(admin, 'NOLOGIN'),
    },
    { comment: 'The app role serves requests.', sql: createRoleSql(app, 'LOGIN NOINHERIT', verifiers.app) },
    {
      comment: 'The migration role owns the tables.',
      sql: createRoleSql(migration, 'LOGIN INHERIT', verifiers.migration),
    },
    ...(adminLogin === undefined
      ? []
      : [
          {
            comment: "The admin contexts' login.",
            sql: createRoleSql(adminLogin, 'LOGIN NOINHERIT', verifiers.adminLogin),
          },
        ]),
    ...membershipSteps(roles),
    ...databaseSteps(roles),
    ...schemas.flatMap((schema) => schemaSteps(schema, roles)),
    {
      comment: 'Prove that nothing lets the app role around row-level security.',
      sql: checkAppRoleSql(roles, schemas),
    },
  ];
}

interface Roles {
  readonly app: string;
  readonly migration: string;
  readonly admin: string;
  readonly adminLogin: string | undefined;
}

/**
 * Creates the role, or takes from an existing one every attribute that gets it around row-level security. Attributes are
 * altered only where they differ: an administrator who is no superuser may not mention SUPERUSER at all.
 */
function createRoleSql(role: string, attributes: string, passwordVerifier?: string): string {
  const password = passwordVerifier === undefined ? '' : ` PASSWORD ${quoteLiteral(passwordVerifier)}`;
  const wanted = attributes.split(' ').map((attribute) => {
    const on = !attribute.startsWith('NO');
    return `${attribute.endsWith('LOGIN') ? 'rolcanlogin' : 'rolinherit'} <> ${on}`;
  });
  const name = quoteRole(role);
  return doBlock(`
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = ${quoteLiteral(role)}) THEN
    CREATE ROLE ${name} ${attributes}${password};
  END IF;
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = ${quoteLiteral(role)} AND (${wanted.join(' OR ')})) THEN
    ALTER ROLE ${name} ${attributes};
  END IF;
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = ${quoteLiteral(role)}
      AND (rolsuper OR rolbypassrls OR rolcreatedb OR rolcreaterole OR rolreplication)) THEN
    ALTER ROLE ${name} NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION;
  END IF;`);
}

/**
 * A role that inherits the admin role gets its policies and sees everything, so the app role may become the admin role
 * (SET ROLE) and does not inherit it. PostgreSQL 16 keeps that with the membership; before, NOINHERIT does it.
 */
function membershipSteps({ app, migration, admin, adminLogin }: Roles): RolesStep[] {
  const sql = (member: string, inherit: 'TRUE' | 'FALSE') => {
    const grant = `GRANT ${quoteRole(admin)} TO ${quoteRole(member)}`;
    return doBlock(`
  IF current_setting('server_version_num')::int >= 160000 THEN
    EXECUTE ${quoteLiteral(`${grant} WITH INHERIT ${inherit}, SET TRUE`)};
  ELSE
    EXECUTE ${quoteLiteral(grant)};
  END IF;`);
  };
  const become: RolesStep[] =
    adminLogin === undefined
      ? [
          {
            comment: 'The app role may become the admin role, and does not inherit its policies.',
            sql: sql(app, 'FALSE'),
          },
        ]
      : [
          {
            comment:
              "The admin contexts' login may become the admin role, and does not inherit its policies.",
            sql: sql(adminLogin, 'FALSE'),
          },
          { comment: 'The app role may not.', sql: revokeMembershipSql(app, admin) },
        ];
  return [
    ...become,
    {
      comment: 'The migration role inherits them: backfills and constraint checks see all rows.',
      sql: sql(migration, 'TRUE'),
    },
  ];
}

/** Since PostgreSQL 16 a membership is one for each of those who granted it. Before, the last of them took over. */
function revokeMembershipSql(member: string, role: string): string {
  const revoke = `REVOKE ${quoteRole(role)} FROM ${quoteRole(member)}`;
  // format() reads a percent sign in a role's name as one of its own.
  const literal = quoteLiteral(`${revoke.replaceAll('%', '%%')} GRANTED BY %s CASCADE`);
  return doBlock(
    `
  IF current_setting('server_version_num')::int >= 160000 THEN
    FOR statement IN
      SELECT format(${literal}, grantor::regrole) FROM pg_auth_members
      WHERE roleid = ${quoteLiteral(quoteRole(role))}::regrole AND member = ${quoteLiteral(quoteRole(member))}::regrole
    LOOP
      EXECUTE statement;
    END LOOP;
  ELSIF EXISTS (SELECT FROM pg_auth_members
      WHERE roleid = ${quoteLiteral(quoteRole(role))}::regrole AND member = ${quoteLiteral(quoteRole(member))}::regrole) THEN
    ${revoke} CASCADE;
  END IF;`,
    'statement text;',
  );
}

/**
 * TEMPORARY is taken from PUBLIC: a temporary table has no policies and outlives the request on a pooled connection, so
 * that what one tenant's statement put there, another tenant's could read; and it hides a table of the same name.
 */
function databaseSteps({ app, migration, adminLogin }: Roles): RolesStep[] {
  const onDatabase = (statement: (database: string) => string) =>
    doBlock(`\n  EXECUTE format(${quoteLiteral(statement('%I'))}, current_database());`);
  // format() reads a percent sign in a role's name as one of its own.
  const literal = (role: string) => quoteRole(role).replaceAll('%', '%%');
  const logins = [app, migration, ...(adminLogin === undefined ? [] : [adminLogin])];
  return [
    {
      comment: 'Temporary tables have no policies and outlive a request on a pooled connection.',
      sql: onDatabase((database) => `REVOKE TEMPORARY ON DATABASE ${database} FROM PUBLIC, ${literal(app)}`),
    },
    {
      comment: adminLogin === undefined ? 'Both logins may connect.' : 'The three logins may connect.',
      sql: onDatabase(
        (database) => `GRANT CONNECT ON DATABASE ${database} TO ${logins.map(literal).join(', ')}`,
      ),
    },
    {
      comment: 'Only the migration role makes schemas and extensions.',
      sql: onDatabase(
        (database) => `GRANT CREATE, TEMPORARY ON DATABASE ${database} TO ${literal(migration)}`,
      ),
    },
  ];
}

/** A new owner takes over what the former one was granted, so ownership changes before anything is granted. */
function schemaSteps(schemaName: string, roles: Roles): RolesStep[] {
  const schema = quoteIdentifier(schemaName);
  const [app, migration, admin] = [quoteRole(roles.app), quoteRole(roles.migration), quoteRole(roles.admin)];
  const future = `ALTER DEFAULT PRIVILEGES FOR ROLE ${migration} IN SCHEMA ${schema}`;
  return [
    {
      comment: 'The schema of the tables.',
      sql: `CREATE SCHEMA IF NOT EXISTS ${schema} AUTHORIZATION ${migration}`,
    },
    {
      comment: 'The migration role alters what it owns.',
      sql: `GRANT USAGE, CREATE ON SCHEMA ${schema} TO ${migration}`,
    },
    {
      comment: 'Tables belong to the migration role. Views do not: they would show all its rows.',
      sql: takeOwnershipSql(schemaName, roles),
    },
    {
      comment: 'Only the migration role creates objects.',
      sql: `REVOKE CREATE ON SCHEMA ${schema} FROM PUBLIC, ${app}, ${admin}`,
    },
    {
      comment: 'The app role and the admin role use the schema.',
      sql: `GRANT USAGE ON SCHEMA ${schema} TO ${app}, ${admin}`,
    },
    {
      comment: 'TRUNCATE, TRIGGER, REFERENCES and MAINTAIN reach past row-level security.',
      sql: revokePastRlsSql(`ON ALL TABLES IN SCHEMA ${schema} FROM PUBLIC, ${app}, ${admin}`),
    },
    {
      comment:
        'Existing tables. Views and partitions are left out: they do not have the policies of their tables.',
      sql: grantTablesSql(schemaName, roles),
    },
    {
      comment: 'Existing sequences: use them, do not set them.',
      sql: `REVOKE UPDATE ON ALL SEQUENCES IN SCHEMA ${schema} FROM PUBLIC, ${app}, ${admin}`,
    },
    {
      comment: 'Existing sequences.',
      sql: `GRANT ${SEQUENCES} ON ALL SEQUENCES IN SCHEMA ${schema} TO ${app}, ${admin}`,
    },
    {
      comment: 'Future tables: nothing that reaches past row-level security,',
      sql: revokePastRlsSql(`ON TABLES FROM PUBLIC, ${app}, ${admin}`, `${future} `),
    },
    {
      comment: '… and what serving requests takes.',
      sql: `${future} GRANT ${TABLES} ON TABLES TO ${app}, ${admin}`,
    },
    {
      comment: 'Future sequences.',
      sql: `${future} GRANT ${SEQUENCES} ON SEQUENCES TO ${app}, ${admin}`,
    },
  ];
}

/**
 * Gives the migration role the schema's tables, sequences, enums and domains, but for those of extensions. Not the views:
 * a view reads with its owner's rights, and the migration role's rights see all rows. A schema that the app role owns
 * goes to the migration role as well, because a schema's owner may drop everything in it.
 */
function takeOwnershipSql(schema: string, { app, migration }: Roles): string {
  const [inSchema, owner] = [quoteLiteral(schema), quoteLiteral(quoteRole(migration))];
  return doBlock(
    `
  IF EXISTS (SELECT FROM pg_namespace WHERE nspname = ${inSchema} AND nspowner = ${quoteLiteral(quoteRole(app))}::regrole) THEN
    ALTER SCHEMA ${quoteIdentifier(schema)} OWNER TO ${quoteRole(migration)};
  END IF;
  FOR statement IN
    SELECT format('ALTER TABLE %I.%I OWNER TO %s', nspname, relname, ${owner})
    FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
    WHERE nspname = ${inSchema} AND relkind IN ('r', 'p', 'S') AND relowner <> ${owner}::regrole
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
        AND (d.deptype = 'e' OR relkind = 'S' AND d.deptype IN ('a', 'i')))
    UNION ALL
    SELECT format('ALTER TYPE %I.%I OWNER TO %s', nspname, typname, ${owner})
    FROM pg_type t JOIN pg_namespace n ON n.oid = typnamespace
    WHERE nspname = ${inSchema} AND typtype IN ('e', 'd') AND typowner <> ${owner}::regrole
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e')
  LOOP
    RAISE NOTICE '%', statement;
    EXECUTE statement;
  END LOOP;`,
    'statement text;',
  );
}

/** SELECT and the like on a schema's tables: not on views, partitions and the tables of extensions. */
function grantTablesSql(schema: string, { app, admin }: Roles): string {
  return doBlock(
    `
  FOR statement IN
    SELECT format('GRANT ${TABLES} ON TABLE %I.%I TO %s', nspname, relname, ${quoteLiteral(`${quoteRole(app)}, ${quoteRole(admin)}`)})
    FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
    WHERE nspname = ${quoteLiteral(schema)} AND relkind IN ('r', 'p') AND NOT relispartition
      AND NOT EXISTS (SELECT FROM pg_depend d
        WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
  LOOP
    EXECUTE statement;
  END LOOP;`,
    'statement text;',
  );
}

function revokePastRlsSql(onFrom: string, prefix = ''): string {
  const revoke = (privileges: string) => `${prefix}REVOKE ${privileges} ${onFrom}`;
  return doBlock(`
  ${revoke('TRUNCATE, REFERENCES, TRIGGER')};
  IF current_setting('server_version_num')::int >= 170000 THEN
    EXECUTE ${quoteLiteral(revoke('MAINTAIN'))};
  END IF;`);
}

/** What the statements before could not know or undo: other memberships, inherited ownership, earlier grantors. */
function checkAppRoleSql({ app, migration, admin, adminLogin }: Roles, schemas: readonly string[]): string {
  const name = quoteLiteral(app);
  const inSchemas = schemas.map(quoteLiteral).join(', ');
  const refuse = (condition: string, message: string, hint: string) => `
  IF ${condition} THEN
    RAISE EXCEPTION USING MESSAGE = ${quoteLiteral(message)}, HINT = ${quoteLiteral(hint)};
  END IF;`;
  return doBlock(
    [
      refuse(
        `pg_has_role(${name}, ${quoteLiteral(migration)}, 'MEMBER')`,
        `The app role "${app}" is a member of the migration role "${migration}", which owns the tables.`,
        'Revoke that membership.',
      ),
      refuse(
        `pg_has_role(${name}, ${quoteLiteral(admin)}, 'USAGE')`,
        `The app role "${app}" inherits the admin role "${admin}" and would see all rows.`,
        'Revoke its other memberships through which it does; pg_auth_members lists them.',
      ),
      refuse(
        `pg_has_role(${name}, ${quoteLiteral(admin)}, 'MEMBER WITH ADMIN OPTION')`,
        `The app role "${app}" administers the admin role "${admin}" and could let itself inherit it.`,
        `REVOKE ADMIN OPTION FOR ${quoteRole(admin)} FROM ${quoteRole(app)}, as the role that granted it.`,
      ),
      refuse(
        `EXISTS (SELECT FROM pg_roles WHERE (rolsuper OR rolbypassrls) AND pg_has_role(${name}, oid, 'MEMBER'))`,
        `The app role "${app}" may become a role that bypasses row-level security.`,
        'Revoke its membership in superusers and in roles with BYPASSRLS.',
      ),
      refuse(
        `EXISTS (SELECT FROM pg_namespace WHERE nspname IN (${inSchemas}) AND pg_has_role(${name}, nspowner, 'MEMBER'))`,
        `The app role "${app}" owns a schema and could drop its tables.`,
        `ALTER SCHEMA … OWNER TO ${quoteRole(migration)}, or ALTER DATABASE … OWNER TO it.`,
      ),
      ...(adminLogin === undefined ? [] : sealedRefusals({ app, admin, adminLogin }, refuse)),
    ].join(''),
  );
}

/** Roles of PostgreSQL's own whose members read or write tables, or the files that hold them, whatever is granted. */
const PAST_GRANTS = [
  'pg_read_all_data',
  'pg_write_all_data',
  'pg_read_server_files',
  'pg_write_server_files',
  'pg_execute_server_program',
];

/** Under a seal nothing may lead the app role to the admin role, or to the keys: whoever has those seals what he likes. */
function sealedRefusals(
  { app, admin, adminLogin }: { readonly app: string; readonly admin: string; readonly adminLogin: string },
  refuse: (condition: string, message: string, hint: string) => string,
): string[] {
  const [name, login, role] = [app, adminLogin, admin].map(quoteLiteral);
  return [
    refuse(
      `pg_has_role(${name}, ${login}, 'MEMBER')`,
      `The app role "${app}" is a member of "${adminLogin}", the login of admin contexts.`,
      'Revoke that membership.',
    ),
    refuse(
      `pg_has_role(${name}, ${role}, 'MEMBER')`,
      `The app role "${app}" may still become the admin role "${admin}".`,
      'Revoke its other memberships through which it does; pg_auth_members lists them.',
    ),
    refuse(
      `EXISTS (SELECT FROM pg_roles WHERE rolcreaterole AND pg_has_role(${name}, oid, 'MEMBER'))`,
      `The app role "${app}" may become a role with CREATEROLE, and let itself become others.`,
      'Revoke that membership.',
    ),
    refuse(
      `EXISTS (SELECT FROM pg_roles WHERE rolname IN (${PAST_GRANTS.map(quoteLiteral).join(', ')}) AND pg_has_role(${name}, oid, 'MEMBER'))`,
      `The app role "${app}" is a member of a role that gets at every table, the keys of the tenant seal included.`,
      `Revoke its membership in ${PAST_GRANTS.join(', ')}.`,
    ),
    refuse(
      `pg_has_role(${login}, ${role}, 'USAGE')`,
      `The login of admin contexts "${adminLogin}" inherits the admin role "${admin}", and would see all rows in every context.`,
      'Revoke its other memberships through which it does; pg_auth_members lists them.',
    ),
  ];
}

/** An anonymous block, in dollar quotes that its body does not hold. */
function doBlock(body: string, declarations = ''): string {
  let tag = '$rls$';
  for (let n = 1; body.includes(tag); n++) tag = `$rls${n}$`;
  return `DO ${tag}\n${declarations === '' ? '' : `DECLARE ${declarations}\n`}BEGIN${body}\nEND\n${tag}`;
}
