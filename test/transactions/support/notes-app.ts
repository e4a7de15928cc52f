import type { DynamicModule, INestApplication } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import type { RlsTenantsOptions } from '../../../libs/rls-tenants/src/index.js';
import { A, B } from '../../support/notes.js';
import { createProtectedDatabase, type ProtectedDatabase } from '../../support/protected-database.js';
import { NOTES } from '../../support/notes.js';
import { sealDatabase, type SealedDatabase } from '../../support/sealed-database.js';

/** The propagation modes; both libraries call them by these names. */
export const PROPAGATION = [
  'REQUIRED',
  'REQUIRES_NEW',
  'NESTED',
  'SUPPORTS',
  'NOT_SUPPORTED',
  'MANDATORY',
  'NEVER',
] as const;
export type Propagation = (typeof PROPAGATION)[number];

/** A service whose methods are decorated with `@Transactional()`, one for each mode; each runs `fn`. */
export type Transactions = Record<Propagation, <T>(fn: () => Promise<T>) => Promise<T>> & {
  SERIALIZABLE<T>(fn: () => Promise<T>): Promise<T>;
};

/** A singleton that queries in the surrounding transaction, as the library's users write it, and never names a tenant. */
export interface TransactionalNotes {
  add(body: string): Promise<unknown>;
  /** Inserts by raw SQL, and says for whom. */
  addForeign(tenantId: string): Promise<unknown>;
  find(): Promise<{ tenantId: string; body: string }[]>;
  /** As `find`, by raw SQL that names no tenant. */
  raw(): Promise<{ tenantId: string; body: string }[]>;
  /** The number of the transaction that this statement runs in. */
  transactionId(): Promise<string>;
  isolationLevel(): Promise<string>;
}

/** An application under test. */
export interface TransactionalApp {
  db: ProtectedDatabase;
  app: INestApplication;
  url: string;
  notes: TransactionalNotes;
  transactions: Transactions;
}

/** Connections of the application: each of two tenants at once may hold one and ask for another, and no more. */
export const POOL_SIZE = 3;

/** Whether policies ask for a seal. */
export type Form = 'plain' | 'sealed';

/** A protected database with one note of each tenant. */
export async function createNotesDatabase(form: Form = 'plain'): Promise<ProtectedDatabase> {
  const db = await createProtectedDatabase(NOTES);
  await db.asSuperuser(`INSERT INTO note (tenant_id, body) VALUES ('${A}', 'seed'), ('${B}', 'seed')`);
  return form === 'sealed' ? sealDatabase(db) : db;
}

/** What an application needs beside, if its database is sealed. */
export function sealingOf(db: ProtectedDatabase): {
  imports: DynamicModule[];
  options: Pick<RlsTenantsOptions, 'seal' | 'adminDataSource'>;
} {
  if (!('key' in db)) return { imports: [], options: {} };
  const { key, adminDataSource } = db as SealedDatabase;
  return {
    imports: [TypeOrmModule.forRoot({ ...adminDataSource.options, name: 'admin', retryAttempts: 0 })],
    options: { seal: { keys: () => [key] }, adminDataSource: 'admin' },
  };
}

/** The notes there really are, as `<tenant> <body>`: what a superuser sees. The seed of {@link createNotesDatabase} is left out. */
export async function storedNotes({ db }: Pick<TransactionalApp, 'db'>): Promise<string[]> {
  const rows = await db.asSuperuser<{ tenant_id: string; body: string }>(
    "SELECT tenant_id, body FROM note WHERE body <> 'seed' ORDER BY tenant_id, body",
  );
  return rows.map(({ tenant_id, body }) => `${letterOf(tenant_id)} ${body}`);
}

/** Leaves nothing but the seed. */
export async function clear({ db }: Pick<TransactionalApp, 'db'>): Promise<void> {
  await db.asSuperuser("DELETE FROM note WHERE body <> 'seed'");
}

/** A tenant in one letter. */
export function letterOf(tenantId: string): string {
  return tenantId === A ? 'A' : tenantId === B ? 'B' : tenantId;
}
