import { DataSource } from 'typeorm';
import { isolateDataSource, tenantContext, type IsolationOptions } from '../../libs/rls-tenants/src/index.js';
import { catalogSnapshot } from '../migrations/catalog-snapshot.js';
import { underTraffic } from '../operations/support/traffic.js';
import { openGuide, type Guide } from './support/guide.js';

const MIGRATIONS = [
  '1764000000001-tenants',
  '1764000000002-tenant-columns',
  '1764000000003-fill-tenants',
  '1764000000004-member-keys',
  '1764000000005-project-keys',
  '1764000000006-task-keys',
  '1764000000007-protect',
];

let guide: Guide;

beforeEach(async () => {
  guide = await openGuide('from-no-multitenancy');
  await guide.db.asSuperuser(
    `INSERT INTO member (email, company) SELECT n || '@example.com', 'company ' || n % 3 FROM generate_series(1, 30) AS n;
     INSERT INTO project (name, "ownerId") SELECT n::text, n FROM generate_series(1, 30) AS n;
     INSERT INTO task (title, "projectId") SELECT n::text, 1 + n % 30 FROM generate_series(1, 1200) AS n`,
  );
});
afterEach(() => guide.close());

const tenantOf = async (company: string) =>
  (await guide.db.asSuperuser<{ id: string }>('SELECT id FROM tenant WHERE name = $1', [company]))[0]!.id;

it('the guide leads to policies that check-rls verifies, with every row at its owner’s company', async () => {
  await guide.migrate(...MIGRATIONS);
  const tenantId = await tenantOf('company 1');
  const isolation = guide.load('isolation') as { isolation: IsolationOptions };
  const options = { ...isolation.isolation, adminRole: guide.db.roles.admin };
  const dataSource = await isolateDataSource(
    await new DataSource(guide.dataSourceOptions()).initialize(),
    options,
  );
  const seen = await tenantContext(tenantId, () =>
    dataSource.query<
      unknown[]
    >(`SELECT company, count(*)::int AS tasks FROM task JOIN project ON project.id = "projectId"
      JOIN member ON member.id = "ownerId" GROUP BY company`),
  );
  await dataSource.destroy();
  expect(seen).toEqual([{ company: 'company 1', tasks: 400 }]);
  expect(await guide.db.asSuperuser('SELECT DISTINCT tenant_id FROM task')).toHaveLength(3);
  expect(await guide.db.asSuperuser(guide.sql[1]!)).toEqual([]);
  const { code, stdout, stderr } = await guide.checkRls(true);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toContain('All 3 RLS-protected tables verified.');
});

it('until the policies, code without a tenant context reads and writes, and step 4 finds what it wrote', async () => {
  await guide.migrate(...MIGRATIONS.slice(0, 2));
  const traffic = await underTraffic(
    guide.db.url('app'),
    {
      read: 'SELECT count(*) FROM task',
      write: `INSERT INTO task (title, "projectId") VALUES ('late', 1)`,
      pause: 5,
    },
    () => guide.migrate(MIGRATIONS[2]!),
  );
  expect(traffic.writes).toBeGreaterThan(3);
  await guide.db.as('app', `INSERT INTO task (title, "projectId") VALUES ('later', 1)`);
  expect(await guide.db.asSuperuser(guide.sql[1]!)).not.toEqual([]);
  await expect(guide.migrate(...MIGRATIONS.slice(3))).rejects.toThrow('has rows without a value');
});

it('the way back leaves the tables as they were', async () => {
  const relevant = async () => {
    const { relations, columns, constraints, indexes, policies } = await catalogSnapshot(guide.db);
    const others = (lines: string[] = []) => lines.filter((line) => !line.includes('migrations'));
    return [relations, columns, constraints, indexes, policies].map(others);
  };
  const before = await relevant();
  await guide.migrate(...MIGRATIONS);
  for (const _ of MIGRATIONS) await guide.revert();
  expect(await relevant()).toEqual(before);
});
