import { Column, Entity, JoinTable, ManyToMany, ManyToOne, OneToMany, PrimaryGeneratedColumn } from 'typeorm';
import { adminContext } from '../../../libs/rls-tenants/src/context/index.js';
import { TenantColumn, TenantScoped } from '../../../libs/rls-tenants/src/entities/index.js';
import type { DataSource } from 'typeorm';
import { tenant } from '../../support/notes.js';
import { createProtectedDatabase, type ProtectedDatabase } from '../../support/protected-database.js';

// A parent organisation that reads the accounts and invoices of its two children, and somebody else. The documents of each
// of them are its own. Templates are everybody's.

@Entity()
@TenantScoped({ readableBySet: true })
export class Account {
  @PrimaryGeneratedColumn() id!: number;
  @TenantColumn() tenantId!: string;
  @Column({ type: 'text' }) name!: string;
  @OneToMany(() => Invoice, (invoice) => invoice.account) invoices!: Invoice[];
  @ManyToMany(() => Label) @JoinTable() labels!: Label[];
}

@Entity()
@TenantScoped({ readableBySet: true })
export class Invoice {
  @PrimaryGeneratedColumn() id!: number;
  @TenantColumn() tenantId!: string;
  @Column({ type: 'int' }) amount!: number;
  @ManyToOne(() => Account, (account) => account.invoices) account!: Account;
}

@Entity()
@TenantScoped({ readableBySet: true })
export class Label {
  @PrimaryGeneratedColumn() id!: number;
  @TenantColumn() tenantId!: string;
  @Column({ type: 'text' }) name!: string;
}

@Entity()
@TenantScoped()
export class Document {
  @PrimaryGeneratedColumn() id!: number;
  @TenantColumn() tenantId!: string;
  @Column({ type: 'text' }) title!: string;
}

export const SHARED = tenant(999);

@Entity()
@TenantScoped({ sharedTenant: SHARED })
export class Template {
  @PrimaryGeneratedColumn() id!: number;
  @TenantColumn() tenantId!: string;
  @Column({ type: 'text' }) title!: string;
}

/** Both: a parent reads the tariffs of its children, and everybody those of the library. */
@Entity()
@TenantScoped({ readableBySet: true, sharedTenant: SHARED })
export class Tariff {
  @PrimaryGeneratedColumn() id!: number;
  @TenantColumn() tenantId!: string;
  @Column({ type: 'text' }) title!: string;
}

export const ORGANISATIONS = [Account, Invoice, Label, Document, Template, Tariff];

export const PARENT = tenant(1);
export const NORTH = tenant(2);
export const SOUTH = tenant(3);
export const STRANGER = tenant(4);
export const ALL_TENANTS = [PARENT, NORTH, SOUTH, STRANGER];
export const FAMILY = [PARENT, NORTH, SOUTH];

/** Each tenant has one row of everything, and the shared tenant a template and a tariff. */
export async function createOrganisations(): Promise<ProtectedDatabase> {
  const db = await createProtectedDatabase(ORGANISATIONS);
  const values = (ids: readonly string[]) => ids.map((id) => `('${id}', '${nameOf(id)}')`).join(', ');
  const amounts = ALL_TENANTS.map((id, index) => `('${id}', ${(index + 1) * 10}, ${index + 1})`).join(', ');
  const links = ALL_TENANTS.map((id, index) => `('${id}', ${index + 1}, ${index + 1})`).join(', ');
  await db.asSuperuser(
    `INSERT INTO account (tenant_id, name) VALUES ${values(ALL_TENANTS)};
     INSERT INTO label (tenant_id, name) VALUES ${values(ALL_TENANTS)};
     INSERT INTO invoice (tenant_id, amount, "accountId") VALUES ${amounts};
     INSERT INTO account_labels_label (tenant_id, "accountId", "labelId") VALUES ${links};
     INSERT INTO document (tenant_id, title) VALUES ${values(ALL_TENANTS)};
     INSERT INTO template (tenant_id, title) VALUES ${values([...ALL_TENANTS, SHARED])};
     INSERT INTO tariff (tenant_id, title) VALUES ${values([...ALL_TENANTS, SHARED])}`,
  );
  return db;
}

const NAMES: Record<string, string> = {
  [PARENT]: 'parent',
  [NORTH]: 'north',
  [SOUTH]: 'south',
  [STRANGER]: 'stranger',
  [SHARED]: 'shared',
};

export function nameOf(tenantId: string): string {
  return NAMES[tenantId]!;
}

/** Whose rows of a table the current context sees by raw SQL, by name. */
export async function seenIn(
  manager: Pick<DataSource, 'query'>,
  table: string,
  where = '',
): Promise<string[]> {
  const rows: { tenant_id: string }[] = await manager.query(
    `SELECT tenant_id FROM ${table} ${where} ORDER BY tenant_id`,
  );
  return rows.map(({ tenant_id }) => nameOf(tenant_id));
}

/** The control: the rows that are there. */
export function everythingIn(dataSource: DataSource, table: string): Promise<string[]> {
  return adminContext('control', () => seenIn(dataSource, table));
}
