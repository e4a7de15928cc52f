export declare function isActive(tenantId: string): Promise<boolean>;
