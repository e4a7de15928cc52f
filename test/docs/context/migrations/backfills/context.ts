import { Column, Entity, PrimaryGeneratedColumn, type Repository } from 'typeorm';
import { TenantColumn, TenantScoped } from 'nestjs-rls-tenants';
import type PgBoss from 'pg-boss';

export { InjectQueue } from '@nestjs/bullmq';
export { Queue } from 'bullmq';

@Entity()
@TenantScoped()
export class Article {
  @PrimaryGeneratedColumn() id!: number;
  @TenantColumn() tenantId!: string;
  @Column() words!: number;
}

export interface Finding {
  id: number;
  status: string;
}

export declare const boss: PgBoss;
export declare const signal: AbortSignal;
export declare function words(text: unknown): number;
export declare const findings: Repository<Finding>;
export declare const changed: Finding[];
export declare const summaries: Repository<{ id: number }>;
export declare const report: object;
export declare function rowsOf(from: object): { id: number }[];
