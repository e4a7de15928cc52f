import type { DataSource } from 'typeorm';
import { tenantTablesOf } from '../entities/tenant-tables.js';
import { runRules, withCatalogQuery, type AuditOptions } from './audit.js';
import { checkDriver } from './driver-check.js';
import { isFailure, type Finding } from './finding.js';

/** Options of {@link verifyIsolation}. */
export type VerifyIsolationOptions = Pick<AuditOptions, 'adminRole'>;

/**
 * Boot verification: everything for which an application must not start on this data source, each finding with what to
 * run. The rules are those of the audit; in front of them the driver is checked without its database. The login roles
 * of read replicas are audited as well.
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

  const tables = tenantTablesOf(dataSource);
  const findings = await withCatalogQuery(dataSource, async (query) => {
    const { adminRole } = options;
    const own = await runRules(query, tables, { adminRole, scope: 'declared' });
    const reports = [own];
    for (const role of replicaRoles(dataSource)) {
      if (role !== own.role)
        reports.push(await runRules(query, tables, { adminRole, role, scope: 'declared' }));
    }
    return reports.flatMap((report) => report.findings);
  });
  // What is wrong with a table is wrong whoever asks.
  return [...new Map(findings.map((finding) => [JSON.stringify(finding), finding])).values()].filter(
    isFailure,
  );
}

/** The logins of the replicas' pools, as pg works them out. Roles belong to the cluster, so the primary knows them. */
function replicaRoles(dataSource: DataSource): string[] {
  const { postgres, slaves } = dataSource.driver as unknown as {
    postgres: { Client: new (options: object) => { user: string } };
    slaves: { options: object }[];
  };
  return [...new Set(slaves.map(({ options }) => new postgres.Client(options).user))];
}
