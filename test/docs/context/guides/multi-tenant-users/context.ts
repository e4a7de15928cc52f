export type { Request } from 'express';

export declare class MembershipsService {
  has(userId: string | undefined, tenantId: string): Promise<boolean>;
}

export declare class Summaries {
  ofCurrentTenant(): Promise<object>;
}

export interface User {
  id: string;
  defaultTenantId: string;
}
