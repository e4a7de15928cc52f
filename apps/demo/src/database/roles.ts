import { createHmac } from 'node:crypto';

/** The roles of the demo's database: who serves requests, who owns the tables, and whose policy sees all rows. */
export const DEMO_ROLES = {
  appRole: 'demo_app',
  migrationRole: 'demo_migrator',
  adminRole: 'rls_admin',
} as const;

/** The two roles that log in. */
export type DemoLogin = typeof DEMO_ROLES.appRole | typeof DEMO_ROLES.migrationRole;

/** The app role's connection string for one database of the server. */
export function appRoleUrl(serverUrl: string, database: string): string {
  const url = databaseUrl(serverUrl, database);
  url.username = DEMO_ROLES.appRole;
  url.password = loginPassword(serverUrl, DEMO_ROLES.appRole);
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
