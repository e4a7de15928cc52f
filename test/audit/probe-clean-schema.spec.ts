import { DataSource } from 'typeorm';
import { createRolesDatabase, type RolesDatabase } from '../roles/roles-support.js';
import { SERVER_VERSION } from '../support/database.js';
import { A, B } from './audit-support.js';
import { cleanSchema, FILLED, rowsOf } from './clean-schema-support.js';
import { probeAs, probeFindings } from './probe-support.js';

jest.setTimeout(60_000);

let db: RolesDatabase;
const urlOf = (role: string) => {
  const url = new URL(db.url());
  url.username = role;
  return url.toString();
};

beforeAll(async () => {
  db = await createRolesDatabase();
  await db.setup();
  const url = urlOf(db.names.migrationRole);
  const migrator = await new DataSource({ type: 'postgres', url }).initialize();
  const runner = migrator.createQueryRunner();
  for (const migration of cleanSchema(db.names, SERVER_VERSION >= 150000)) await migration.up(runner);
  await runner.release();
  await migrator.destroy();
  for (const tenantId of [A, B]) {
    const rows = FILLED.map((table) => rowsOf(tenantId, table));
    await db.asSuperuser([`INSERT INTO workspace VALUES ('${tenantId}', 'w')`, ...rows].join(';'));
  }
});
afterAll(() => db.drop());

/** Before PostgreSQL 15 the schema's views read as their owner, who inherits the admin role. */
const isOwnersView = (finding: string) => SERVER_VERSION < 150000 && finding.includes(' view "');

it.each(['read', 'write'] as const)(
  'a clean schema of 60 tables: a probe that %ss finds nothing but tables without rows',
  async (mode) => {
    const report = await probeAs(urlOf(db.names.appRole), { mode, adminRole: db.names.adminRole });
    const found = probeFindings(report).filter((finding) => !isOwnersView(finding));
    const empty = report.probe!.inconclusive.map(({ object }) => `PRB022 ${object}`);
    expect(found).toEqual([...new Set(empty)].sort());
    expect(new Set(report.probe!.inconclusive.map(({ reason }) => reason))).toEqual(
      new Set(['no row of a tenant is known to be there']),
    );
    // One object in eight at most is such a table.
    expect(empty.length).toBeGreaterThan(0);
    expect(new Set(empty).size * 8).toBeLessThanOrEqual(report.probe!.probed.length);
    expect(Math.min(...report.probe!.probed.map(({ probes }) => probes))).toBeGreaterThan(0);
  },
);
