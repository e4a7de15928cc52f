import pg from 'pg';
import type { EmbeddedPostgres } from '../../libs/rls-tenants/src/testing/index.js';
import { startOwnServer } from '../docs/support/own-server.js';
import { B } from './audit-support.js';
import { createSealedNoteDatabase, type SealedNoteDatabase } from './sealed-support.js';

describe('RLS066 seal-in-log', () => {
  const shared = process.env.TEST_DATABASE_URL!;
  let server: EmbeddedPostgres;
  let db: SealedNoteDatabase;

  beforeAll(async () => {
    // A server that writes its log into a file, as most do.
    server = await startOwnServer({ logging_collector: 'on', log_filename: 'server.log' });
    process.env.TEST_DATABASE_URL = server.url;
    db = await createSealedNoteDatabase();
  });
  afterAll(async () => {
    await db.drop();
    process.env.TEST_DATABASE_URL = shared;
    await server.stop();
  });

  /** What an application sends for tenant B: the seal is a parameter. */
  const workAsB = async () => {
    const [seal] = /1\.first\.[^']*/.exec(await db.carried(B))!;
    const client = new pg.Client({ connectionString: db.url('app') });
    await client.connect();
    await client.query(
      `SELECT set_config('rls.current_tenant', $1, true), set_config('rls.seal', $2, true)`,
      [B, seal],
    );
    await client.end();
    // The log goes through a process of its own.
    await db.asSuperuser('SELECT pg_sleep(0.3)');
    return seal;
  };
  /** The app role looks for seals in the log, and puts on the last one. */
  const steal = async () => {
    const [row] = await db.as<{ log: string }>('app', `SELECT pg_read_file('log/server.log') AS log`);
    const seal = row!.log.match(/1\.first\.\d+\.\d+\.[0-9a-f]{64}/g)?.at(-1);
    if (seal === undefined) return [];
    return db.as<{ body: string }>(
      'app',
      `SET rls.current_tenant = '${B}'; SET rls.seal = '${seal}'; SELECT body FROM note`,
    );
  };
  const logged = async () => {
    const [row] = await db.asSuperuser<{ log: string }>(`SELECT pg_read_file('log/server.log') AS log`);
    return row!.log;
  };
  const configure = (settings: string) =>
    db.asSuperuser(
      settings
        .split(';')
        .map((one) => `ALTER DATABASE ${db.name} ${one}`)
        .join(';'),
    );
  const grantReading = () =>
    db.asSuperuser(`GRANT EXECUTE ON FUNCTION pg_read_file(text) TO ${db.roles.app}`);

  afterEach(() => db.asSuperuser(`ALTER DATABASE ${db.name} RESET ALL`));

  it('a log without statements is sound', async () => {
    await workAsB();
    expect(await db.findings()).toEqual([]);
  });

  it('a log with parameters that the app role can read is an error: it holds seals of other tenants', async () => {
    await configure(`SET log_statement = 'all'`);
    await grantReading();
    await workAsB();
    expect(await steal()).toEqual([{ body: 'b' }]);
    const { findings } = await db.audit();
    expect(findings).toMatchObject([{ ruleId: 'RLS066', severity: 'error' }]);
    expect(findings[0]!.message).toContain('pg_read_file(text)');

    await db.asSuperuser(findings[0]!.fix);
    await expect(steal()).rejects.toThrow('permission denied for function pg_read_file');
    expect(await db.findings()).toEqual([]);
    // Whoever else reads the log finds no seals in it any more.
    const before = (await logged()).length;
    const seal = await workAsB();
    const since = (await logged()).slice(before);
    expect(since).toContain(`set_config('rls.seal', $2, true)`);
    expect(since).not.toContain(seal);
  });

  it.each([
    ['log_min_duration_statement', 'SET log_min_duration_statement = 250'],
    ['log_transaction_sample_rate', 'SET log_transaction_sample_rate = 0.1'],
    ['log_parameter_max_length_on_error', 'SET log_parameter_max_length_on_error = -1'],
  ])('a log with parameters that others read is for information (%s)', async (setting, sql) => {
    await configure(sql);
    const { findings } = await db.audit();
    expect(findings).toMatchObject([
      { ruleId: 'RLS066', severity: 'info', message: expect.stringContaining(setting) },
    ]);
  });

  it('statements without their parameters are sound', async () => {
    await configure(`SET log_statement = 'all'; SET log_parameter_max_length = 0`);
    expect(await db.findings()).toEqual([]);
  });

  it('a member of pg_read_server_files is a reader', async () => {
    await configure(`SET log_statement = 'all'`);
    await db.asSuperuser(`GRANT pg_read_server_files TO ${db.roles.app}`);
    expect(await db.findings()).toEqual(['RLS003 critical', 'RLS066 error']);
    await db.asSuperuser(`REVOKE pg_read_server_files FROM ${db.roles.app}`);
  });

  it('a member of pg_monitor sees neither log nor seals in what others run', async () => {
    await db.asSuperuser(`GRANT pg_monitor TO ${db.roles.app}`);
    await expect(steal()).rejects.toThrow('permission denied');
    const seal = await workAsB();
    const activity = await db.as('app', 'SET ROLE pg_monitor; SELECT * FROM pg_stat_activity');
    expect(JSON.stringify(activity)).not.toContain(seal);
    expect(await db.findings()).toEqual([]);
    await db.asSuperuser(`REVOKE pg_monitor FROM ${db.roles.app}`);
  });
});
