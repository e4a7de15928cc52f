import { Controller, Get, Module, type INestApplication, type LoggerService } from '@nestjs/common';
import { HealthCheck, HealthCheckService, TerminusModule, type HealthCheckResult } from '@nestjs/terminus';
import { Test } from '@nestjs/testing';
import { getDataSourceToken, TypeOrmModule } from '@nestjs/typeorm';
import pg from 'pg';
import request from 'supertest';
import { DataSource, type Logger } from 'typeorm';
import { fromUser, RlsTenantsModule, TenantOptional } from 'nestjs-rls-tenants';
import { RlsHealthIndicator, type IsolatedOptions } from 'nestjs-rls-tenants/health';
import { NOTES } from '../support/notes.js';
import { createProtectedDatabase, type ProtectedDatabase } from '../support/protected-database.js';

/** How the endpoint asks; a test sets it. */
let asks: IsolatedOptions = {};
/** What the endpoint's data source sent. */
const statements: string[] = [];
/** What Nest logged, with its level. */
const logged: string[] = [];

const sqlLog: Logger = {
  logQuery: (sql) => void statements.push(sql),
  logQueryError: () => {},
  logQuerySlow: () => {},
  logSchemaBuild: () => {},
  logMigration: () => {},
  log: () => {},
};

const nestLog: LoggerService = {
  log: (message: string, ...rest: string[]) => void logged.push(`${rest.at(-1)} log: ${message}`),
  warn: (message: string, ...rest: string[]) => void logged.push(`${rest.at(-1)} warn: ${message}`),
  error: (message: string, ...rest: string[]) => void logged.push(`${rest.at(-1)} error: ${message}`),
};

const indicatorLog = () => logged.filter((line) => line.startsWith(RlsHealthIndicator.name));

@Controller()
class HealthController {
  constructor(
    private readonly health: HealthCheckService,
    private readonly rls: RlsHealthIndicator,
  ) {}

  @TenantOptional()
  @Get('ready')
  @HealthCheck()
  ready(): Promise<HealthCheckResult> {
    return this.health.check([() => this.rls.isolated('tenant_isolation', asks)]);
  }
}

describe('RlsHealthIndicator', () => {
  let db: ProtectedDatabase;
  let app: INestApplication;

  beforeAll(async () => {
    db = await createProtectedDatabase(NOTES);
  });
  afterAll(() => db.drop());

  /** Starts the application with a data source for each connection string. */
  const start = async (...urls: string[]) => {
    const names = urls.map((_, index) => (index === 0 ? 'default' : `other${index}`));
    @Module({
      imports: [
        TerminusModule.forRoot({ logger: false }),
        ...urls.map((url, index) =>
          TypeOrmModule.forRoot({
            ...(index > 0 && { name: names[index]! }),
            type: 'postgres',
            url,
            entities: NOTES,
            poolSize: 2,
            retryAttempts: 0,
            logging: true,
            logger: sqlLog,
          }),
        ),
        RlsTenantsModule.forRoot({
          tenantIdType: 'uuid',
          resolveTenant: fromUser(() => undefined),
          adminRole: db.roles.admin,
          dataSources: names,
        }),
      ],
      providers: [RlsHealthIndicator],
      controllers: [HealthController],
    })
    class AppModule {}
    const module = await Test.createTestingModule({ imports: [AppModule] })
      .setLogger(nestLog)
      .compile();
    app = await module.createNestApplication().init();
    statements.length = 0;
    logged.length = 0;
  };

  beforeEach(() => {
    asks = { maxAgeMs: 0, timeoutMs: 5_000 };
  });
  afterEach(() => app?.close());

  const ready = async () => {
    const { status, body } = await request(app.getHttpServer()).get('/ready');
    return { status, detail: (body as HealthCheckResult).details.tenant_isolation };
  };

  it('is up while tenants are isolated, down from when they are not, and up again', async () => {
    await start(db.url('app'));
    expect(await ready()).toEqual({ status: 200, detail: { status: 'up' } });
    await db.as(
      'migrator',
      'ALTER TABLE note DISABLE ROW LEVEL SECURITY; ALTER TABLE tag DISABLE ROW LEVEL SECURITY; ALTER TABLE notebook NO FORCE ROW LEVEL SECURITY',
    );
    // Ids and numbers: strangers may read this.
    const down = { status: 'down', findings: { RLS004: 2, RLS005: 1 }, unchecked: 0 };
    expect(await ready()).toEqual({ status: 503, detail: down });
    expect(await ready()).toEqual({ status: 503, detail: down });
    await db.as(
      'migrator',
      'ALTER TABLE note ENABLE ROW LEVEL SECURITY; ALTER TABLE tag ENABLE ROW LEVEL SECURITY; ALTER TABLE notebook FORCE ROW LEVEL SECURITY',
    );
    expect(await ready()).toEqual({ status: 200, detail: { status: 'up' } });
    // What is wrong and what to run is said once, to those who read the log.
    expect(indicatorLog()).toEqual([
      expect.stringMatching(
        new RegExp(
          `error: The data source "default" of database "${db.name}" does not isolate its tenants:\nRLS004 [^]*Fix: ALTER TABLE "public"."note" ENABLE`,
        ),
      ),
      expect.stringContaining('isolates its tenants again'),
    ]);
  });

  it('sees a role that was given too much while the application runs', async () => {
    await start(db.url('app'));
    await db.asSuperuser(`ALTER ROLE ${db.roles.app} BYPASSRLS`);
    expect(await ready()).toMatchObject({ status: 503, detail: { findings: { RLS001: 1 } } });
    await db.asSuperuser(`ALTER ROLE ${db.roles.app} NOBYPASSRLS`);
    expect(await ready()).toMatchObject({ status: 200 });
  });

  it('sends nothing while the last audit is young enough', async () => {
    await start(db.url('app'));
    asks = { maxAgeMs: 60_000, timeoutMs: 5_000 };
    await ready();
    const audit = statements.length;
    expect(audit).toBeGreaterThan(0);
    for (let call = 0; call < 20; call++) expect((await ready()).status).toBe(200);
    expect(statements).toHaveLength(audit);
    // Control: where it is too old, the database is asked again.
    await db.as('migrator', 'ALTER TABLE note DISABLE ROW LEVEL SECURITY');
    expect((await ready()).status).toBe(200);
    asks = { maxAgeMs: 1, timeoutMs: 5_000 };
    expect((await ready()).status).toBe(503);
    expect(statements).toHaveLength(2 * audit);
    await db.as('migrator', 'ALTER TABLE note ENABLE ROW LEVEL SECURITY');
  });

  it('audits once for all who ask at the same time', async () => {
    await start(db.url('app'));
    await app.listen(0);
    await ready();
    const audit = statements.splice(0).length;
    const answers = await Promise.all(Array.from({ length: 20 }, () => ready()));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect(statements.length).toBeLessThan(3 * audit);
  });

  it('is down when an audit does not end in time, and does not start another one', async () => {
    await start(db.url('app'));
    asks = { maxAgeMs: 0, timeoutMs: 50 };
    const dataSource = app.get<DataSource>(getDataSourceToken());
    const busy = [dataSource.createQueryRunner(), dataSource.createQueryRunner()];
    for (const runner of busy) await runner.connect();
    const late = { status: 503, detail: { status: 'down', findings: {}, unchecked: 1 } };
    for (let call = 0; call < 5; call++) expect(await ready()).toEqual(late);
    expect((dataSource.driver as unknown as { master: { waitingCount: number } }).master.waitingCount).toBe(
      1,
    );
    for (const runner of busy) await runner.release();
    asks = { maxAgeMs: 0, timeoutMs: 5_000 };
    expect((await ready()).status).toBe(200);
    expect(indicatorLog()[0]).toMatch(/warn: .* could not be audited: no answer within 50 ms$/);
  });

  it('is down while a protected table is locked against readers, and up afterwards', async () => {
    await start(db.url('app'));
    asks = { maxAgeMs: 0, timeoutMs: 100 };
    const migrator = new pg.Client({ connectionString: db.url('migrator') });
    await migrator.connect();
    try {
      await migrator.query('BEGIN; LOCK TABLE note IN ACCESS EXCLUSIVE MODE');
      expect(await ready()).toMatchObject({ status: 503, detail: { unchecked: 1 } });
      await migrator.query('ROLLBACK');
      asks = { maxAgeMs: 0, timeoutMs: 5_000 };
      expect((await ready()).status).toBe(200);
    } finally {
      await migrator.end();
    }
  });

  it('is down where the database cannot be reached, and up when it can', async () => {
    await start(db.url('app'));
    await db.asSuperuser(`ALTER ROLE ${db.roles.app} NOLOGIN`);
    await db.asSuperuser('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1', [
      db.roles.app,
    ]);
    try {
      const { status, detail } = await ready();
      expect({ status, detail }).toEqual({
        status: 503,
        detail: { status: 'down', findings: {}, unchecked: 1 },
      });
    } finally {
      await db.asSuperuser(`ALTER ROLE ${db.roles.app} LOGIN`);
    }
    expect((await ready()).status).toBe(200);
    expect(indicatorLog()).toHaveLength(2);
  });

  it('asks every data source of the module', async () => {
    const login = `reports_${db.name}`;
    await db.asSuperuser(`CREATE ROLE ${login} LOGIN PASSWORD 'test' NOINHERIT`);
    const reports = new URL(db.url('app'));
    reports.username = login;
    try {
      await start(db.url('app'), reports.toString());
      expect((await ready()).status).toBe(200);
      await db.asSuperuser(`ALTER ROLE ${login} BYPASSRLS`);
      expect(await ready()).toMatchObject({ status: 503, detail: { findings: { RLS001: 1 } } });
      expect(indicatorLog()).toEqual([expect.stringContaining('The data source "other1"')]);
      await db.as('migrator', 'ALTER TABLE note DISABLE ROW LEVEL SECURITY');
      expect(await ready()).toMatchObject({ detail: { findings: { RLS001: 1, RLS004: 2 } } });
    } finally {
      await app.close();
      await db.asSuperuser(`ALTER TABLE note ENABLE ROW LEVEL SECURITY; DROP ROLE ${login}`);
    }
  });
});
