import {
  Column,
  CreateDateColumn,
  DeleteDateColumn,
  Entity,
  JoinColumn,
  JoinTable,
  ManyToMany,
  ManyToOne,
  OneToOne,
  PrimaryColumn,
  PrimaryGeneratedColumn,
  Unique,
  VersionColumn,
} from 'typeorm';
import { TenantColumn, TenantScoped } from '../../../libs/rls-tenants/src/entities/index.js';
import type { TenantIdType } from '../../../libs/rls-tenants/src/context/tenant-id.js';

/** The tenants' own table. */
@Entity()
export class Organisation {
  @PrimaryColumn('uuid') id!: string;
  @Column({ type: 'text' }) name!: string;
}

@Entity()
@TenantScoped()
export class Customer {
  @PrimaryGeneratedColumn() id!: number;
  @TenantColumn() tenantId!: string;
  @ManyToOne(() => Organisation) @JoinColumn({ name: 'tenant_id' }) organisation!: Organisation;
  @Column({ type: 'varchar', length: 10 }) name!: string;
}

/** A global table. */
@Entity()
export class Currency {
  @PrimaryColumn({ type: 'char', length: 3 }) code!: string;
}

@Entity()
@TenantScoped()
export class Shipment {
  @PrimaryGeneratedColumn() id!: number;
  @TenantColumn() tenantId!: string;
}

@Entity()
@TenantScoped({ joinTables: 'exists' })
export class Label {
  @PrimaryGeneratedColumn() id!: number;
  @TenantColumn() tenantId!: string;
  @Column({ type: 'text' }) text!: string;
  @ManyToMany(() => Customer) @JoinTable() customers!: Customer[];
}

@Entity()
@TenantScoped()
@Unique(['tenantId', 'number'])
export class Invoice {
  @PrimaryGeneratedColumn() id!: number;
  @TenantColumn() tenantId!: string;
  @Column({ type: 'text' }) number!: string;
  @Column({ type: 'numeric', precision: 10, scale: 2 }) amount!: string;
  @Column({ type: 'enum', enum: ['draft', 'sent'] }) status!: string;
  @Column({ type: 'jsonb' }) lines!: object;
  @Column({ type: 'boolean' }) paid!: boolean;
  @Column({ type: 'text', nullable: true }) remark!: string | null;
  @CreateDateColumn() createdAt!: Date;
  @VersionColumn() version!: number;
  @DeleteDateColumn() deletedAt!: Date | null;
  @ManyToOne(() => Customer, { nullable: false }) customer!: Customer;
  @ManyToOne(() => Invoice, { nullable: true }) replaces!: Invoice | null;
  @ManyToOne(() => Currency, { nullable: false }) currency!: Currency;
  @OneToOne(() => Shipment) @JoinColumn() shipment!: Shipment;
  @ManyToMany(() => Label) @JoinTable() labels!: Label[];
}

/** The tenant column is part of the key, and relations name it. */
@Entity()
@TenantScoped()
export class Room {
  @TenantColumn({ primary: true }) tenantId!: string;
  @PrimaryColumn('integer') number!: number;
}

@Entity()
@TenantScoped()
export class Booking {
  @TenantColumn({ primary: true }) tenantId!: string;
  @PrimaryColumn({ type: 'text' }) code!: string;
  @Column({ name: 'room_number', type: 'integer' }) roomNumber!: number;
  @ManyToOne(() => Room)
  @JoinColumn([
    { name: 'tenant_id', referencedColumnName: 'tenantId' },
    { name: 'room_number', referencedColumnName: 'number' },
  ])
  room!: Room;
}

export const SHOP = [Organisation, Customer, Currency, Invoice, Shipment, Label, Room, Booking];

/** One plain entity for a type of tenant ids. */
export function documentOf(type: TenantIdType) {
  @Entity({ name: 'document' })
  @TenantScoped()
  class Document {
    @PrimaryGeneratedColumn() id!: number;
    @TenantColumn({ type }) tenantId!: string | number;
    @Column({ type: 'text' }) title!: string;
  }
  return Document;
}
