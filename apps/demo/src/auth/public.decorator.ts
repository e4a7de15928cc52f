import { applyDecorators, SetMetadata } from '@nestjs/common';
import { TenantOptional } from 'nestjs-rls-tenants';

export const IS_PUBLIC = 'demo:public';

/** A handler that anybody may call: no token, and therefore no tenant. */
export const Public = () => applyDecorators(SetMetadata(IS_PUBLIC, true), TenantOptional());
