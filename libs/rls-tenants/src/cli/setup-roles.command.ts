import { Command, CommandRunner, Help, Option } from 'nest-commander';
import pg from 'pg';
import { RlsConfigurationError } from '../errors.js';
import { DEFAULT_ADMIN_ROLE, quoteIdentifier, setupRolesSql, type RolesOptions } from '../policies/index.js';
import { scramVerifier } from './scram-sha-256.js';

/** Options of `rls-tenants setup-roles`. */
export interface SetupRolesCommandOptions {
  appRole?: string;
  migrationRole?: string;
  adminRole?: string;
  adminLogin?: string;
  schema?: string[];
  apply?: boolean;
  url?: string;
}

/** Where the passwords of new logins come from: never from the command line, which every user of the machine can read. */
const PASSWORD_VARIABLES = {
  app: 'RLS_APP_PASSWORD',
  migration: 'RLS_MIGRATION_PASSWORD',
  adminLogin: 'RLS_ADMIN_LOGIN_PASSWORD',
} as const;

/**
 * `rls-tenants setup-roles`: prints the SQL that makes the app role, the migration role and the admin role (and, for a
 * sealed tenant context, the login of admin contexts) with least privilege, or applies it in one transaction. It throws what keeps it from running (exit code 2).
 */
@Command({
  name: 'setup-roles',
  description: 'Print, or apply as a superuser, the roles with least privilege',
})
export class SetupRolesCommand extends CommandRunner {
  async run(_arguments: string[], options: SetupRolesCommandOptions = {}): Promise<void> {
    const roles = rolesOf(options);
    process.stdout.write(options.apply ? await apply(roles, options.url) : script(roles));
  }

  @Option({
    flags: '--app-role <name>',
    description: 'login that serves requests, subject to row-level security',
  })
  parseAppRole(name: string): string {
    return name;
  }

  @Option({ flags: '--migration-role <name>', description: 'login that owns the tables and runs migrations' })
  parseMigrationRole(name: string): string {
    return name;
  }

  @Option({
    flags: '--admin-role <name>',
    description: 'role whose policies see all rows; it cannot log in',
    defaultValue: DEFAULT_ADMIN_ROLE,
  })
  parseAdminRole(name: string): string {
    return name;
  }

  @Option({
    flags: '--admin-login <name>',
    description:
      'login of admin contexts, for a sealed tenant context: it may become the admin role, and the app role no longer may',
  })
  parseAdminLogin(name: string): string {
    return name;
  }

  @Option({
    flags: '--schema <names>',
    description: 'schema of the tables (default: public); repeat it, or separate several by commas',
  })
  parseSchema(names: string, previous: string[] = []): string[] {
    return [...previous, ...names.split(',').map((name) => name.trim())];
  }

  @Option({ flags: '--apply', description: 'run the SQL, in one transaction, instead of printing it' })
  parseApply(): boolean {
    return true;
  }

  @Option({
    flags: '--url <url>',
    description:
      "database to apply it to, as a superuser (default: psql's environment, PGHOST, PGUSER, PGPASSWORD …)",
  })
  parseUrl(url: string): string {
    return url;
  }

  @Help('after')
  help(): string {
    return `
Running it again changes nothing. The SQL suits PostgreSQL 14 to 18.

With --apply, logins that do not exist yet get their passwords from the environment:
  ${PASSWORD_VARIABLES.app}        the app role's
  ${PASSWORD_VARIABLES.migration}  the migration role's
  ${PASSWORD_VARIABLES.adminLogin}  that of --admin-login
Without them, set the passwords in psql with \\password.

Examples:
  $ rls-tenants setup-roles --app-role app --migration-role migrator > roles.sql
  $ rls-tenants setup-roles --app-role app --migration-role migrator | psql -v ON_ERROR_STOP=1 mydb
  $ PGPASSWORD=… ${PASSWORD_VARIABLES.app}=… rls-tenants setup-roles --app-role app --migration-role migrator \\
      --schema public,billing --apply --url postgres://postgres@db.example.com/mydb
  $ rls-tenants setup-roles --app-role app --migration-role migrator --admin-login app_admin > sealed.sql

With --admin-login, deploy applications with \`adminDataSource\` before you apply it: afterwards the app role serves no
admin context.

Exit codes: 0 done, 2 could not run.`;
  }
}

function rolesOf(options: SetupRolesCommandOptions): RolesOptions {
  const { appRole, migrationRole, adminRole = DEFAULT_ADMIN_ROLE, adminLogin, url, apply } = options;
  const { schema = ['public'] } = options;
  if (appRole === undefined || migrationRole === undefined) {
    throw new RlsConfigurationError(
      `No ${appRole === undefined ? '--app-role' : '--migration-role'} is given.`,
      'Name the logins that serve requests and run migrations: --app-role app --migration-role migrator.',
    );
  }
  if (url !== undefined && !apply) {
    throw new RlsConfigurationError('--url is given without --apply.', 'Printing the SQL needs no database.');
  }
  return { appRole, migrationRole, adminRole, adminLogin, schemas: schema };
}

/** The SQL as a script for psql. */
function script(roles: RolesOptions): string {
  const steps = setupRolesSql(roles).map(({ comment, sql }) => `-- ${comment}\n${sql};\n`);
  const passwords = [roles.appRole, roles.migrationRole, ...loginOf(roles)].map(
    (role) => `--   \\password ${onOneLine(quoteIdentifier(role))}\n`,
  );
  return `BEGIN;\n\n${steps.join('\n')}\nCOMMIT;\n\n-- Then give new logins their passwords, in psql:\n${passwords.join('')}`;
}

/** Applies the SQL, and says what it did. */
async function apply(roles: RolesOptions, url: string | undefined): Promise<string> {
  const passwordVerifiers = verifiersFromEnvironment();
  const client = new pg.Client(url === undefined ? {} : { connectionString: url });
  client.on('notice', ({ message }) => process.stderr.write(`${message}\n`));
  await client.connect();
  try {
    await client.query('BEGIN');
    const { rows } = await client.query<{ name: string }>('SELECT rolname::text AS name FROM pg_roles');
    for (const { sql } of setupRolesSql({ ...roles, passwordVerifiers })) await client.query(sql);
    await client.query('COMMIT');
    return report(roles, new Set(rows.map(({ name }) => name)), passwordVerifiers, client.database);
  } catch (error) {
    throw withHint(error);
  } finally {
    await client.end();
  }
}

function verifiersFromEnvironment(): NonNullable<RolesOptions['passwordVerifiers']> {
  const entries = Object.entries(PASSWORD_VARIABLES).flatMap(([login, variable]) => {
    const password = process.env[variable];
    return password === undefined ? [] : [[login, scramVerifier(password, variable)]];
  });
  return Object.fromEntries(entries) as NonNullable<RolesOptions['passwordVerifiers']>;
}

function loginOf({ adminLogin }: RolesOptions): string[] {
  return adminLogin === undefined ? [] : [adminLogin];
}

function report(
  roles: RolesOptions,
  before: ReadonlySet<string>,
  passwords: NonNullable<RolesOptions['passwordVerifiers']>,
  database: string | undefined,
): string {
  const { appRole, migrationRole, adminRole = DEFAULT_ADMIN_ROLE, schemas = ['public'] } = roles;
  const line = (kind: string, role: string, password: string) =>
    `${kind} role ${quoteIdentifier(role)}: ${before.has(role) ? 'existed' : `created${password}`}\n`;
  const login = (verifier: string | undefined) =>
    verifier === undefined ? ' without a password: set it in psql with \\password' : '';
  return (
    line('app', appRole, login(passwords.app)) +
    line('migration', migrationRole, login(passwords.migration)) +
    line('admin', adminRole, '') +
    loginOf(roles)
      .map((name) => line('admin login', name, login(passwords.adminLogin)))
      .join('') +
    `The roles are ready in database ${quoteIdentifier(database ?? '')}, schema ${schemas.map(quoteIdentifier).join(', ')}.\n`
  );
}

/** The last statement of the set-up refuses with a hint, which is worth more than the error's stack. */
function withHint(error: unknown): unknown {
  if (!(error instanceof pg.DatabaseError) || error.hint === undefined) return error;
  return new RlsConfigurationError(error.message, error.hint, { cause: error });
}

function onOneLine(text: string): string {
  return text.replaceAll(/[\r\n]+/g, ' ');
}
