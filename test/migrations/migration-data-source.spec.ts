import { DataSource, type DataSourceOptions } from 'typeorm';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { RlsConfigurationError } from '../../libs/rls-tenants/src/errors.js';
import { migrationDataSourceOptions } from '../../libs/rls-tenants/src/migrations/index.js';

type PostgresOptions = Extract<DataSourceOptions, { type: 'postgres' }>;

let db: TestDatabase;
const PASSWORD = 'p@ss/w:rd %41?#';

beforeAll(async () => {
  db = await createTestDatabase();
  await db.asSuperuser(`ALTER ROLE ${db.roles.migrator} PASSWORD '${PASSWORD}'`);
});
afterAll(() => db.drop());

const credentials = () => ({ username: db.roles.migrator, password: PASSWORD });
const server = () => {
  const { hostname: host, port, username, password } = new URL(db.url('app'));
  return { host, port: Number(port), username, password, database: db.name };
};

describe('migrationDataSourceOptions', () => {
  it.each<[string, () => Partial<PostgresOptions>]>([
    ['a url', () => ({ url: db.url('app') })],
    [
      'a url with the login among its parameters',
      () => ({ url: `${db.url('app')}?user=${db.roles.app}&password=test` }),
    ],
    ['host and port', server],
    ['extra', () => ({ ...server(), extra: { user: db.roles.app, password: 'test', max: 2 } })],
    [
      'replication',
      () => ({
        replication: { master: { url: db.url('app') }, slaves: [{ url: 'postgres://absent.invalid/none' }] },
      }),
    ],
  ])('logs in as the migration role where the application has %s', async (_what, options) => {
    const application = { type: 'postgres', ...options() } as PostgresOptions;
    const dataSource = await new DataSource(
      migrationDataSourceOptions(application, credentials()),
    ).initialize();
    try {
      const rows: unknown = await dataSource.query(
        `SELECT current_user::text AS role, current_database()::text AS database, current_setting('application_name') AS name`,
      );
      expect(rows).toEqual([{ role: db.roles.migrator, database: db.name, name: 'rls-tenants migrations' }]);
      const pool = (dataSource.driver as unknown as { master: { options: { password: string } } }).master;
      expect(connectionPassword(pool.options)).toBe(PASSWORD);
    } finally {
      await dataSource.destroy();
    }
  });

  it('runs each migration in its own transaction, and none on its own', () => {
    const application: DataSourceOptions = {
      type: 'postgres',
      url: db.url('app'),
      migrationsTransactionMode: 'all',
    };
    expect(migrationDataSourceOptions(application, credentials())).toMatchObject({
      migrationsRun: false,
      migrationsTransactionMode: 'each',
    });
  });

  it.each(['synchronize', 'dropSchema', 'migrationsRun'])('refuses %s', (option) => {
    const application = { type: 'postgres', url: db.url('app'), [option]: true } as DataSourceOptions;
    expect(() => migrationDataSourceOptions(application, credentials())).toThrow(RlsConfigurationError);
  });

  describe('bounds the waits of every session', () => {
    const limits = async (application: Partial<PostgresOptions>, settings = {}) => {
      const options = { type: 'postgres', ...application } as PostgresOptions;
      const dataSource = await new DataSource(
        migrationDataSourceOptions(options, { ...credentials(), ...settings }),
      ).initialize();
      try {
        const [row] = (await dataSource.query(
          `SELECT current_setting('lock_timeout') AS lock, current_setting('statement_timeout') AS statement,
           current_setting('idle_in_transaction_session_timeout') AS idle, current_setting('application_name') AS name,
           current_setting('work_mem') AS memory`,
        )) as object[];
        return row;
      } finally {
        await dataSource.destroy();
      }
    };
    const bounded = { lock: '2s', statement: '30s', idle: '1min', name: 'rls-tenants migrations' };

    it('by default', async () => {
      expect(await limits(server())).toMatchObject(bounded);
    });

    it('as told; 0 is no limit, whatever the role or the database says', async () => {
      await db.asSuperuser(
        `ALTER ROLE ${db.roles.migrator} SET lock_timeout = '7s'; ALTER ROLE ${db.roles.migrator} SET statement_timeout = '7s'`,
      );
      const settings = { lockTimeoutMs: 0, statementTimeoutMs: 1_500 };
      expect(await limits({ url: db.url('app') }, settings)).toMatchObject({
        lock: '0',
        statement: '1500ms',
      });
      await db.asSuperuser(`ALTER ROLE ${db.roles.migrator} RESET ALL`);
    });

    it.each<[string, () => Partial<PostgresOptions>]>([
      [
        'extra',
        () => ({
          ...server(),
          extra: {
            lock_timeout: 60_000,
            statement_timeout: 5,
            query_timeout: 1,
            application_name: 'api',
            options: '-c work_mem=5MB -c lock_timeout=1h',
          },
        }),
      ],
      [
        'the url',
        () => ({
          url: `${db.url('app')}?lock_timeout=60000&statement_timeout=5&query_timeout=1&application_name=api&options=-c%20work_mem%3D5MB`,
        }),
      ],
    ])('over what the application has in %s, and keeps the rest of it', async (_where, application) => {
      expect(await limits(application())).toMatchObject({ ...bounded, memory: '5MB' });
    });

    it.each([-1, 1.5, Number.NaN, 2 ** 31])('but not by %p milliseconds', (lockTimeoutMs) => {
      const application: DataSourceOptions = { type: 'postgres', url: db.url('app') };
      expect(() => migrationDataSourceOptions(application, { ...credentials(), lockTimeoutMs })).toThrow(
        '`lockTimeoutMs` is',
      );
    });
  });

  it('refuses other databases, and urls it cannot put the login into', () => {
    expect(() => migrationDataSourceOptions({ type: 'sqljs' }, credentials())).toThrow('of type "sqljs"');
    const socket: DataSourceOptions = { type: 'postgres', url: 'postgres:///db?host=/tmp' };
    expect(() => migrationDataSourceOptions(socket, credentials())).toThrow('names no host');
    const application: DataSourceOptions = { type: 'postgres', url: db.url('app') };
    const fetched = { username: 'migrator', password: () => Promise.resolve('secret') };
    expect(() => migrationDataSourceOptions(application, fetched)).toThrow(
      'takes no function for a password',
    );
  });
});

/** The server trusts the loopback interface, so that a wrong password would not show. */
function connectionPassword({
  connectionString,
  password,
}: {
  connectionString?: string;
  password?: string;
}): string | undefined {
  return connectionString === undefined ? password : decodeURIComponent(new URL(connectionString).password);
}
