import type { DataSource } from 'typeorm';
import type { Finding } from './finding.js';

/**
 * What can be known of a data source without its database: whether its driver can carry a tenant at all.
 */
export function checkDriver(dataSource: DataSource): Finding[] {
  const { type } = dataSource.options;
  const object = `data source of database "${dataSource.driver.database}"`;
  if (type !== 'postgres') {
    return [
      {
        ruleId: 'RLS090',
        title: 'driver-not-postgres',
        severity: 'critical',
        object,
        message: `Its type is "${type}": only PostgreSQL through "postgres" has the row-level security this library relies on.`,
        fix: `Set type: 'postgres' in its options, or leave the data source out of \`dataSources\` of RlsTenantsModule.`,
      },
    ];
  }
  if (hasProtocolAccess(dataSource)) return [];
  return [
    {
      ruleId: 'RLS091',
      title: 'driver-pg-native',
      severity: 'critical',
      object,
      message:
        'Its driver is pg-native, or another one without access to the protocol: no statement can carry a tenant.',
      fix: 'npm uninstall pg-native (TypeORM prefers it wherever it finds it), or pass `nativeDriver: false` and `driver: pg`.',
    },
  ];
}

/** The part of pg's client that carrying needs, which the JavaScript implementation has from its constructor on. */
interface ProtocolClient {
  connection?: Partial<Record<(typeof PROTOCOL_MESSAGES)[number], unknown>>;
}

const PROTOCOL_MESSAGES = ['parse', 'bind', 'execute', 'sync', 'query'] as const;

/** Asks a client that never connects, made by the class that TypeORM's pool makes its own with. */
function hasProtocolAccess(dataSource: DataSource): boolean {
  const driver = dataSource.driver as { postgres?: { Client?: new () => ProtocolClient } };
  try {
    const connection = new driver.postgres!.Client!().connection;
    return PROTOCOL_MESSAGES.every((message) => typeof connection?.[message] === 'function');
  } catch {
    return false;
  }
}
