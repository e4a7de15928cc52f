import type { Type } from '@nestjs/common';

export declare class Members {
  has(tenantId: string, userId: string): Promise<boolean>;
}

export declare const MembersModule: Type;
