import type { ConnectionOptions } from 'bullmq';

export declare const connection: ConnectionOptions;
export declare const userId: string;
export declare function isMember(tenantId: string, userId: string): Promise<boolean>;
export declare function sendInvoice(invoiceId: number): Promise<void>;
