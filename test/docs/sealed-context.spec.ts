import { randomBytes } from 'node:crypto';
import { DataSource } from 'typeorm';
import { isolateDataSource, type IsolationOptions } from '../../libs/rls-tenants/src/connection/index.js';
import { adminContext, tenantContext } from '../../libs/rls-tenants/src/context/index.js';
import {
  installSeal,
  protectTable,
  sealKeys,
  sealTable,
  setupRolesSql,
  type RlsOperation,
} from '../../libs/rls-tenants/src/migrations/index.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { A, B } from '../support/notes.js';
import { fencesOf, pageText } from './support/pages.js';

const SELECT = 'SELECT body FROM note ORDER BY body';

/** The order of steps of the guide: what works at each of them, sealed and not, and on the way back. */
describe('a live schema, moved step by step and back', () => {
  let db: TestDatabase;
  let migrator: DataSource;
  const opened: DataSource[] = [];
  const keys = [{ id: 'first', secret: randomBytes(32) }];
  const adminLogin = () => `app_admin_${db.name}`;

  beforeAll(async () => {
    db = await createTestDatabase();
    migrator = await connect(db.url('migrator'));
    for (const { sql } of setupRolesSql(roles())) await db.asSuperuser(sql);
    await migrator.query(
      'CREATE TABLE note (id serial PRIMARY KEY, tenant_id uuid NOT NULL, body text NOT NULL)',
    );
    await operate(
      'up',
      protectTable({ table: 'note', tenantIdType: 'uuid', appRole: db.roles.app, adminRole: db.roles.admin }),
    );
    const plain = await application();
    for (const [tenantId, body] of [
      [A, 'of A'],
      [B, 'of B'],
    ] as const)
      await tenantContext(tenantId, () => plain.query('INSERT INTO note (body) VALUES ($1)', [body]));
  });
  afterAll(async () => {
    for (const dataSource of opened) await dataSource.destroy();
    await db.asSuperuser(`DROP OWNED BY ${adminLogin()}; DROP ROLE ${adminLogin()}`);
    await db.drop();
  });

  it('1: the database has login, functions and keys, and nothing has changed for a plain application', async () => {
    const [roleSql] = fencesOf(pageText('docs/guides/sealed-context.md')).filter(({ text }) =>
      text.startsWith('CREATE ROLE'),
    );
    await db.asSuperuser(
      roleSql!.text.replaceAll('app_admin', adminLogin()).replaceAll('rls_admin', db.roles.admin),
    );
    await db.asSuperuser(`ALTER ROLE ${adminLogin()} PASSWORD 'test'`);
    await operate('up', installSeal({ appRole: db.roles.app, adminRole: db.roles.admin }));
    await operate('up', sealKeys({ keys: () => keys }));

    expect(await readBy(await application())).toEqual(['of A']);
  });

  it('2: a sealed application works beside a plain one, and its admin contexts have their own login', async () => {
    const sealed = await sealedApplication();

    expect(await readBy(sealed)).toEqual(['of A']);
    expect(await adminBy(sealed)).toEqual(['of A', 'of B']);
    expect(await readBy(await application())).toEqual(['of A']);
  });

  it('3: with the policy sealed, the sealed application works and the plain one is refused', async () => {
    await operate('up', sealTable({ table: 'note', tenantIdType: 'uuid' }));

    expect(await readBy(await sealedApplication())).toEqual(['of A']);
    await expect(readBy(await application())).rejects.toMatchObject({
      message: 'Seal refused: the tenant was set without a seal.',
    });
  });

  it('4: with the membership gone, admin contexts go on, and SQL cannot become the admin', async () => {
    for (const { sql } of setupRolesSql({ ...roles(), adminLogin: adminLogin() })) await db.asSuperuser(sql);
    const sealed = await sealedApplication();

    expect(await adminBy(sealed)).toEqual(['of A', 'of B']);
    await expect(tenantContext(A, () => sealed.query(`SET ROLE ${db.roles.admin}`))).rejects.toMatchObject({
      message: expect.stringContaining('permission denied to set role'),
    });
  });

  it('back: policies first, then the membership; a plain application works again', async () => {
    await operate('down', sealTable({ table: 'note', tenantIdType: 'uuid' }));
    for (const { sql } of setupRolesSql(roles())) await db.asSuperuser(sql);
    const plain = await application();
    expect(await readBy(plain)).toEqual(['of A']);
    expect(await adminBy(plain)).toEqual(['of A', 'of B']);

    await operate('down', installSeal({ appRole: db.roles.app, adminRole: db.roles.admin }));
    expect(await readBy(plain)).toEqual(['of A']);
  });

  const roles = () => ({
    appRole: db.roles.app,
    migrationRole: db.roles.migrator,
    adminRole: db.roles.admin,
  });

  async function connect(url: string): Promise<DataSource> {
    const dataSource = await new DataSource({ type: 'postgres', url }).initialize();
    opened.push(dataSource);
    return dataSource;
  }

  async function application(options: Partial<IsolationOptions> = {}): Promise<DataSource> {
    return isolateDataSource(await connect(db.url('app')), {
      tenantIdType: 'uuid',
      adminRole: db.roles.admin,
      ...options,
    });
  }

  async function sealedApplication(): Promise<DataSource> {
    const url = new URL(db.url());
    url.username = adminLogin();
    url.password = 'test';
    return application({ seal: { keys }, adminDataSource: await connect(url.href) });
  }

  async function operate(direction: 'up' | 'down', operation: RlsOperation): Promise<void> {
    const queryRunner = migrator.createQueryRunner();
    try {
      await operation[direction](queryRunner);
    } finally {
      await queryRunner.release();
    }
  }
});

const bodies = (rows: { body: string }[]) => rows.map(({ body }) => body);

async function readBy(dataSource: DataSource): Promise<string[]> {
  return bodies(await tenantContext(A, () => dataSource.query(SELECT)));
}

async function adminBy(dataSource: DataSource): Promise<string[]> {
  return bodies(await adminContext('control', () => dataSource.query(SELECT)));
}
