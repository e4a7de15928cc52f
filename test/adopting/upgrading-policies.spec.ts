import { DataSource } from 'typeorm';
import {
  adminContext,
  isolateDataSource,
  tenantContext,
  type IsolationOptions,
} from '../../libs/rls-tenants/src/index.js';
import { A, B } from '../support/notes.js';
import { openGuide, type Guide } from './support/guide.js';

const TABLES = ['project', 'task', 'note'];

let guide: Guide;

beforeAll(async () => {
  guide = await openGuide('upgrading-policies');
  for (const table of TABLES) {
    const column = { project: 'name', task: 'title', note: 'body' }[table]!;
    await guide.db.asSuperuser(
      `INSERT INTO ${table} (tenant_id, ${column}) VALUES ('${A}', 'mine'), ('${B}', 'theirs')`,
    );
  }
});
afterAll(() => guide.close());

/** How many rows of each table a tenant and the admin see, as the application of step 2 does. */
async function seen(): Promise<{ tenant: number[]; admin: number[] }> {
  const { isolation } = guide.load('isolation') as { isolation: IsolationOptions };
  const dataSource = await isolateDataSource(
    await new DataSource(guide.dataSourceOptions()).initialize(),
    isolation,
  );
  const count = async () => {
    const counts: number[] = [];
    for (const table of TABLES) {
      const rows = (await dataSource.query(`SELECT id FROM ${table}`)) as unknown[];
      counts.push(rows.length);
    }
    return counts;
  };
  try {
    return { tenant: await tenantContext(A, count), admin: await adminContext('a report', count) };
  } finally {
    await dataSource.destroy();
  }
}

it('the guide leads from CASE, OR and a sub-select to policies that check-rls verifies, and back', async () => {
  const before = await guide.checkRls();
  expect(before.code).toBe(1);
  expect(before.stdout).toContain('policy-drift');

  await guide.migrate('1764000000001-admin-policies');
  expect(await seen()).toEqual({ tenant: [1, 1, 1], admin: [2, 2, 2] });
  await guide.migrate('1764000000002-tenant-policies');
  expect(await seen()).toEqual({ tenant: [1, 1, 1], admin: [2, 2, 2] });

  const { code, stdout, stderr } = await guide.checkRls(true);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const expression = /```text\n(.*)\n```/.exec(guide.page)![1]!;
  expect(stdout.split(expression)).toHaveLength(TABLES.length + 1);

  const asAdmin = `SELECT set_config('app.is_admin', 'true', true); SELECT id FROM project`;
  expect(await guide.db.as('app', asAdmin)).toEqual([]);
  await guide.revert();
  expect(await guide.db.as('app', asAdmin)).toHaveLength(2);
  expect(await seen()).toEqual({ tenant: [1, 1, 1], admin: [2, 2, 2] });
  const [policy] = await guide.db.asSuperuser(
    `SELECT FROM pg_policies WHERE policyname = 'project_isolation'`,
  );
  expect(policy).toBeDefined();
});
