import 'reflect-metadata';
import { TenantColumn, TenantScoped } from 'nestjs-rls-tenants';
import {
  Column,
  DataSource,
  Entity,
  Index,
  JoinColumn,
  ManyToOne,
  PrimaryGeneratedColumn,
  Unique,
} from 'typeorm';

/** Tables of one family reference the first of it. */
export const FAMILY = 10;

export function auditedTable(n: number): string {
  return `record_${n}`;
}

/** A data source with so many tenant-scoped entities. */
export function auditedSource(url: string, tables: number): DataSource {
  const entities: EntityClass[] = [];
  for (let n = 0; n < tables; n++) entities.push(entity(n, entities[n - (n % FAMILY)]));
  return new DataSource({ type: 'postgres', url, entities });
}

type EntityClass = new () => object;

/** An entity as an application writes it, with decorators that are applied by hand because its name is computed. */
function entity(n: number, parent: EntityClass | undefined): EntityClass {
  const table = auditedTable(n);
  const target = {
    [table]: class {
      declare readonly id: string;
    },
  }[table]!;
  const prototype = target.prototype;
  Entity(table)(target);
  TenantScoped()(target);
  PrimaryGeneratedColumn('uuid')(prototype, 'id');
  TenantColumn({ type: 'uuid' })(prototype, 'tenantId');
  Column({ type: 'text' })(prototype, 'name');
  Column({ type: 'timestamptz', name: 'created_at', default: () => 'now()' })(prototype, 'createdAt');
  Unique(`${table}_name_key`, ['tenantId', 'name'])(target);
  Index(`${table}_created_idx`, ['tenantId', 'createdAt'])(target);
  if (parent) {
    ManyToOne(() => parent)(prototype, 'parent');
    JoinColumn({ name: 'parent_id' })(prototype, 'parent');
  }
  return target;
}
