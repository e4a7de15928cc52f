import type {
  BeforeQueryEvent,
  EntitySubscriberInterface,
  InsertEvent,
  QueryRunner,
  UpdateEvent,
} from 'typeorm';
import { currentTenantContext } from '../context/tenant-context.js';
import { refuseTenantMove, stampTenant } from '../entities/index.js';
import { carryOn } from './carrying-client.js';
import type { Isolation } from './isolation.js';
import type { PgClient } from './pg-internals.js';

/**
 * The TypeORM subscriber of an isolated data source: makes the connection of each query runner carry the tenant
 * setting, fills the tenant column of what is inserted, and refuses to move a row to another tenant.
 *
 * `isolateDataSource()` and the module add it; it is not meant for the `subscribers` option.
 */
export class TenantSubscriber implements EntitySubscriberInterface {
  constructor(private readonly isolation: Isolation) {}

  /** Before each statement of a query runner; by now the runner has its connection. */
  beforeQuery({ queryRunner }: BeforeQueryEvent): void {
    const client = (queryRunner as QueryRunner & { databaseConnection?: PgClient }).databaseConnection;
    if (client) carryOn(client, this.isolation);
  }

  /** @throws RlsViolationError if the entity names another tenant than the context; NoTenantContextError without one. */
  beforeInsert({ metadata, entity }: InsertEvent<object>): void {
    const state = currentTenantContext();
    try {
      stampTenant(metadata, entity, state);
    } catch (error) {
      throw this.isolation.refused(error as Error, state);
    }
  }

  /** @throws RlsViolationError if the update would change the tenant column. */
  beforeUpdate({ metadata, entity, databaseEntity, updatedColumns }: UpdateEvent<object>): void {
    const state = currentTenantContext();
    try {
      refuseTenantMove(metadata, entity, databaseEntity, updatedColumns, state);
    } catch (error) {
      throw this.isolation.refused(error as Error, state);
    }
  }
}
