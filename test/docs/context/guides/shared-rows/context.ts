import type { Repository } from 'typeorm';

export declare const templates: Repository<{ id: string; tenantId: string; title: string }>;
