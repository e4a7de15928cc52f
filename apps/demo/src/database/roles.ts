import { createHmac } from 'node:crypto';

/**
 * The roles of the demo's database: who serves requests, who owns the tables, whose policy sees all rows, who may become
 * that one (the app role may not), and who runs what visitors type into the console.
 */
export const DEMO_ROLES = {
  appRole: 'demo_app',
  migrationRole: 'demo_migrator',
  adminRole: 'rls_admin',
  adminLogin: 'demo_admin',
  consoleRole: 'demo_console',
} as const;

/** The roles that log in. */
export type DemoLogin = Exclude<(typeof DEMO_ROLES)[keyof typeof DEMO_ROLES], 'rls_admin'>;

export const DEMO_LOGINS = Object.values(DEMO_ROLES).filter(
  (role): role is DemoLogin => role !== DEMO_ROLES.adminRole,
);

/** A login's connection string for one database of the server. */
export function loginUrl(serverUrl: string, database: string, login: DemoLogin): string {
  const url = databaseUrl(serverUrl, database);
  url.username = login;
  url.password = loginPassword(serverUrl, login);
  return url.toString();
}

/** The server's own login, for another database. */
export function databaseUrl(serverUrl: string, database: string): URL {
  const url = new URL(serverUrl);
  url.pathname = `/${encodeURIComponent(database)}`;
  return url;
}

/**
 * A login's password: derived from the server's credentials, so that every process on the same server agrees on it,
 * nothing is stored, and nobody can guess it who could not log in as superuser anyway.
 */
export function loginPassword(serverUrl: string, login: DemoLogin): string {
  const { username, password } = new URL(serverUrl);
  return createHmac('sha256', `${username}:${password}`).update(login).digest('base64url');
}
