import { readFileSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { DataSource } from 'typeorm';
import { dataSourceOptions } from '../../apps/demo/src/database/data-source-options.js';
import { prepareDatabase } from '../../apps/demo/src/database/prepare-database.js';
import { DEMO_ROLES } from '../../apps/demo/src/database/roles.js';
import { auditDataSource, AUDIT_RULES, isFailure } from '../../libs/rls-tenants/src/audit/index.js';
import { parseConfiguration } from '../../libs/rls-tenants/src/audit/configuration.js';
import { judgeReport, type JudgedReport } from '../../libs/rls-tenants/src/audit/report.js';
import { dropDemoDatabase } from '../demo/support/demo.js';

const CONFIGURATION = 'apps/demo/rls-tenants.config.json';

describe('the demo', () => {
  const database = `rls_demo_${randomUUID().slice(0, 8)}`;
  const serverUrl = process.env.TEST_DATABASE_URL!;
  let report: JudgedReport;

  beforeAll(async () => {
    const { appUrl } = await prepareDatabase(serverUrl, database);
    const dataSource = await new DataSource(dataSourceOptions(appUrl)).initialize();
    const configuration = parseConfiguration(
      readFileSync(CONFIGURATION, 'utf8'),
      CONFIGURATION,
      new Set(AUDIT_RULES.map(({ id }) => id)),
    );
    const found = await auditDataSource(dataSource, { adminRole: DEMO_ROLES.adminRole });
    report = judgeReport(found, { configuration });
    await dataSource.destroy();
  });
  afterAll(() => dropDemoDatabase(serverUrl, database));

  it('has no finding that fails an audit; what its enum costs is a warning', () => {
    expect(report.counts).toEqual({ tables: 4, joinTables: 1, recognised: 0 });
    expect(report.findings.filter(isFailure)).toEqual([]);
    expect(report.findings.map(({ ruleId, severity, object }) => `${ruleId} ${severity} ${object}`)).toEqual([
      'RLS073 warning index "public.task_tenant_status_idx"',
    ]);
  });

  it('accepts that an address is one person’s, for a reason, and nothing else', () => {
    expect(report.accepted).toHaveLength(1);
    expect(report.notes).toEqual([]);
  });
});
