import 'reflect-metadata';
import { getMetadataArgsStorage } from 'typeorm';
import type { TenantIdType } from '../context/tenant-id.js';
import { RlsConfigurationError } from '../errors.js';
import { currentTenantSql, DEFAULT_TENANT_COLUMN, DEFAULT_TENANT_SETTING } from '../policies/index.js';
import { installMetadataCompletion } from './metadata-hook.js';
import { registerTenantColumn } from './tenant-registry.js';

/** Options of `@TenantColumn()`. */
export interface TenantColumnOptions {
  /** The PostgreSQL type of tenant ids. Default: `'uuid'` for a `string` property, `'integer'` for a `number`. */
  type?: TenantIdType;
  /** The column's name, as TypeORM's `@Column({ name })` takes it. Default `'tenant_id'`. */
  name?: string;
  /** Makes the column part of the primary key, in front of the columns declared after it. Default `false`. */
  primary?: boolean;
  /** The PostgreSQL custom setting that fills the column. Default `'rls.current_tenant'`. */
  tenantSetting?: string;
}

const INFERRED_TYPES = new Map<unknown, TenantIdType>([
  [String, 'uuid'],
  [Number, 'integer'],
]);

/**
 * Declares the tenant column of a tenant-scoped entity: NOT NULL, and filled by a column default that reads the tenant
 * setting, so that raw SQL inserts are filled as well. `@Column()` is not needed beside it.
 *
 * The property may share its column with a relation to the tenants' own table:
 * `@ManyToOne(() => Tenant) @JoinColumn({ name: 'tenant_id' }) tenant`.
 *
 * @throws RlsConfigurationError if the type is neither given nor inferable, or the tenant setting is malformed.
 */
export function TenantColumn(options: TenantColumnOptions = {}): PropertyDecorator {
  installMetadataCompletion();
  return (prototype, property) => {
    const target = prototype.constructor;
    const propertyName = String(property);
    const tenantIdType = options.type ?? inferType(prototype, propertyName);
    const tenantSetting = options.tenantSetting ?? DEFAULT_TENANT_SETTING;
    const defaultSql = currentTenantSql(tenantIdType, tenantSetting);
    getMetadataArgsStorage().columns.push({
      target,
      propertyName,
      mode: 'regular',
      options: {
        type: tenantIdType,
        name: options.name ?? DEFAULT_TENANT_COLUMN,
        nullable: false,
        primary: options.primary ?? false,
        default: () => defaultSql,
      },
    });
    registerTenantColumn(target, propertyName, { tenantIdType, tenantSetting });
  };
}

function inferType(prototype: object, propertyName: string): TenantIdType {
  const designType: unknown = Reflect.getMetadata('design:type', prototype, propertyName);
  const type = INFERRED_TYPES.get(designType);
  if (type) return type;
  throw new RlsConfigurationError(
    `The type of the tenant column ${prototype.constructor.name}.${propertyName} cannot be inferred.`,
    "Name it: @TenantColumn({ type: 'uuid' }), or 'integer', 'bigint', 'text'.",
  );
}
