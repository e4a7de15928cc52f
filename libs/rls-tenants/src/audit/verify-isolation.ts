import type { DataSource } from 'typeorm';
import { Isolation } from '../connection/isolation.js';
import type { IsolationOptions } from '../connection/isolation.options.js';
import { tenantTablesOf } from '../entities/tenant-tables.js';
import { examineTables, withCatalogQuery, type AuditOptions, type Examination } from './audit.js';
import { checkDriver } from './driver-check.js';
import { isFailure, type Finding } from './finding.js';
import { checkAdminDataSource, checkSealMatches, trySeal } from './seal-check.js';

/** Options of {@link verifyIsolation}: as the data source is isolated, or will be. */
export type VerifyIsolationOptions = Pick<AuditOptions, 'adminRole'> &
  Pick<IsolationOptions, 'seal' | 'adminDataSource'>;

/**
 * Boot verification: everything for which an application must not start on this data source, each finding with what to
 * run. The rules are those of the audit; in front of them the driver is checked without its database. The login roles
 * of read replicas are audited as well.
 *
 * Application and database must agree about the tenant seal. On a data source that is isolated with one, the database
 * verifies a seal of the application's, too: whether both have the same keys nothing else can say.
 *
 * A data source without tenant-scoped entities is legal here: its role is checked all the same.
 *
 * @returns critical and error findings; none if it is safe to start.
 */
export async function verifyIsolation(
  dataSource: DataSource,
  options: VerifyIsolationOptions = {},
): Promise<Finding[]> {
  const driverFindings = checkDriver(dataSource);
  if (driverFindings.length > 0) return driverFindings;

  const { seal, adminDataSource } = Isolation.get(dataSource)?.options ?? options;
  const examinations = await examineLogins(dataSource, options);
  const [own] = examinations;
  const findings = [
    ...examinations.flatMap(({ report }) => report.findings),
    ...checkSealMatches(dataSource, own, seal !== undefined),
    ...(adminDataSource?.isInitialized
      ? await checkAdminDataSource(adminDataSource, own.context.adminRoles, own.report.role)
      : []),
    ...(own.catalog.seals.length > 0 ? await trySeal(dataSource) : []),
  ];
  // What is wrong with a table is wrong whoever asks.
  return [...new Map(findings.map((finding) => [JSON.stringify(finding), finding])).values()].filter(
    isFailure,
  );
}

/** The data source's own login first, then those of its replicas. */
async function examineLogins(
  dataSource: DataSource,
  { adminRole }: VerifyIsolationOptions,
): Promise<[Examination, ...Examination[]]> {
  const tables = tenantTablesOf(dataSource);
  return withCatalogQuery(dataSource, async (query) => {
    const own = await examineTables(query, tables, { adminRole, scope: 'declared' });
    const others: Examination[] = [];
    for (const role of replicaRoles(dataSource)) {
      if (role !== own.report.role)
        others.push(await examineTables(query, tables, { adminRole, role, scope: 'declared' }));
    }
    return [own, ...others];
  });
}

/** The logins of the replicas' pools, as pg works them out. Roles belong to the cluster, so the primary knows them. */
function replicaRoles(dataSource: DataSource): string[] {
  const { postgres, slaves } = dataSource.driver as unknown as {
    postgres: { Client: new (options: object) => { user: string } };
    slaves: { options: object }[];
  };
  return [...new Set(slaves.map(({ options }) => new postgres.Client(options).user))];
}
