import 'reflect-metadata';
import { RLSConnection } from '@avallone-io/rls';
import { DataSource, EntitySchema } from 'typeorm';
import { serve } from '../../../dist/bench/support/serve.js';
import { taskOptions, typeormOperations } from '../typeorm.mjs';
import { versionsOf } from '../versions.mjs';

const variant = process.argv[2];
const isPlain = variant === 'plain';
const Task = new EntitySchema(taskOptions(isPlain ? 'plain' : 'avallone'));
const connectionsOfTenants = new Map();
let dataSource;

const connectionFor = {
  plain: () => dataSource,
  'per-request': scopedTo,
  'per-tenant': (tenantId) => {
    if (!connectionsOfTenants.has(tenantId)) connectionsOfTenants.set(tenantId, scopedTo(tenantId));
    return connectionsOfTenants.get(tenantId);
  },
}[variant];

function scopedTo(tenantId) {
  return new RLSConnection(dataSource, { tenantId, actorId: 1 });
}

serve({
  versions: versionsOf(import.meta.url, ['@avallone-io/rls', 'typeorm', 'pg']),
  async open({ url, poolSize }) {
    dataSource = new DataSource({
      type: 'postgres',
      url,
      poolSize,
      entities: [Task],
      installExtensions: false,
    });
    await dataSource.initialize();
  },
  close: () => dataSource.destroy(),
  operations: typeormOperations({
    run: (tenantId, work) => work(connectionFor(tenantId).getRepository(Task)),
    transaction: (tenantId, work) =>
      connectionFor(tenantId).transaction((manager) => work(manager.getRepository(Task))),
    ...(isPlain && { conditions: (tenantId) => ({ tenantId }) }),
  }),
});
