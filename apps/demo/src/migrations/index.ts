import { CreateSchema1764000000000 } from './1764000000000-create-schema.js';
import { ProtectTenants1764000000001 } from './1764000000001-protect-tenants.js';

/** The migrations, oldest first. */
export const migrations = [CreateSchema1764000000000, ProtectTenants1764000000001];
