import type { Repository } from 'typeorm';
import type { TenantContext } from 'nestjs-rls-tenants';

export declare const parentId: string;
export declare const organisations: { childrenOf(tenantId: string): Promise<string[]> };
export declare const tenants: TenantContext;
export declare const invoices: Repository<{ id: string }>;
