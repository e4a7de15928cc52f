import { Module, type LoggerService } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { TypeOrmModule } from '@nestjs/typeorm';
import type { DataSource } from 'typeorm';
import { fromUser, RlsTenantsModule, type RlsTenantsOptions } from 'nestjs-rls-tenants';
import { verifyIsolation } from '../../libs/rls-tenants/src/audit/index.js';
import { tenantContext } from '../../libs/rls-tenants/src/context/index.js';
import { alterPolicySql, tenantTablePredicate } from '../../libs/rls-tenants/src/policies/index.js';
import { tenantTablesOf } from '../../libs/rls-tenants/src/entities/index.js';
import { A, Note, NOTES } from '../support/notes.js';
import { createProtectedDatabase, type ProtectedDatabase } from '../support/protected-database.js';
import { createSealedDatabase, newSealKey, type SealedDatabase } from '../support/sealed-database.js';

describe('boot verification of a sealed application', () => {
  let db: SealedDatabase;

  beforeAll(async () => {
    db = await createSealedDatabase(NOTES);
  });
  afterAll(() => db.drop());

  /** Starts and stops an application; what it warned of meanwhile. */
  const boot = async (options: Partial<RlsTenantsOptions> = {}, database: ProtectedDatabase = db) => {
    const warnings: string[] = [];
    const silent = () => {};
    const logger: LoggerService = {
      log: silent,
      error: silent,
      warn: (message: string) => void warnings.push(message),
    };
    const connection = { type: 'postgres', entities: NOTES, retryAttempts: 0 } as const;
    const adminUrl = new URL(database.url());
    adminUrl.username = db.adminLogin;
    adminUrl.password = 'test';
    @Module({
      imports: [
        TypeOrmModule.forRoot({ ...connection, url: database.url('app') }),
        TypeOrmModule.forRoot({ ...connection, name: 'admin', url: adminUrl.toString() }),
        RlsTenantsModule.forRoot({
          tenantIdType: 'uuid',
          resolveTenant: fromUser(() => undefined),
          adminRole: database.roles.admin,
          seal: { keys: [db.key] },
          adminDataSource: 'admin',
          ...options,
        }),
      ],
    })
    class AppModule {}
    const module = await Test.createTestingModule({ imports: [AppModule] })
      .setLogger(logger)
      .compile();
    await module.close();
    return warnings;
  };

  it('starts where the database takes its seals', async () => {
    expect(await boot({ verifyOnBoot: 'warn' })).toEqual([]);
    await boot();
  });

  it('refuses to start without the option `seal`: the policies would refuse each statement', async () => {
    const { seal: _seal, ...unsealed } = { seal: undefined };
    await expect(boot({ ...unsealed, seal: undefined as never })).rejects.toThrow(
      /RLS092 seal-mismatch \(critical\)[^]*take a tenant with a seal only[^]*Fix: .*option `seal/,
    );
  });

  it('refuses to start with a key that the database does not have', async () => {
    await expect(boot({ seal: { keys: [newSealKey('other')] } })).rejects.toThrow(
      /RLS093 seal-refused \(critical\)[^]*key "other" is unknown to the database[^]*Fix: .*seal-keys/,
    );
  });

  it('refuses to start with another secret under the same id', async () => {
    await expect(boot({ seal: { keys: [newSealKey(db.key.id)] } })).rejects.toThrow(
      /RLS093[^]*another key "first"/,
    );
  });

  it('only warns where it is told to', async () => {
    const warnings = await boot({ seal: { keys: [newSealKey('other')] }, verifyOnBoot: 'warn' });
    expect(warnings.join('\n')).toContain('RLS093 seal-refused');
  });

  it('refuses to start where the app role can become the admin role, which without a seal it should', async () => {
    await db.asSuperuser(`GRANT ${db.roles.admin} TO ${db.roles.app}`);
    await expect(boot()).rejects.toThrow(/RLS063 seal-admin-within-reach \(critical\)/);
    await db.asSuperuser(`REVOKE ${db.roles.admin} FROM ${db.roles.app}`);
    await boot();
  });

  it('refuses to start where the admin contexts’ login cannot become the admin role', async () => {
    await db.asSuperuser(`REVOKE ${db.roles.admin} FROM ${db.adminLogin}`);
    await expect(boot()).rejects.toThrow(
      new RegExp(`RLS094 admin-login-unfit \\(error\\) role "${db.adminLogin}"[^]*Fix: GRANT`),
    );
    await db.asSuperuser(`GRANT ${db.roles.admin} TO ${db.adminLogin}`);
    await boot();
  });

  it('starts while policies are plain still: an application is sealed before its tables are', async () => {
    const tables = tenantTablesOf(await db.plain());
    const alter = async (sealed: boolean) => {
      for (const table of tables) {
        const suffix = table.kind === 'entity' ? 'tenant_isolation_policy' : 'm2m_rls_policy';
        const predicate = tenantTablePredicate({ ...table, sealed });
        await db.as('migrator', alterPolicySql(table.table, `${table.table}_${suffix}`, predicate));
      }
    };
    await alter(false);
    expect(await boot({ verifyOnBoot: 'warn' })).toEqual([]);
    // So does one that is not, until the first table is.
    await boot({ seal: undefined as never });
    await alter(true);
  });

  it('refuses to start sealed on a database without a seal: nothing would ask for it', async () => {
    const plain = await createProtectedDatabase(NOTES);
    await plain.asSuperuser(`GRANT ${plain.roles.admin} TO ${db.adminLogin}`);
    await expect(boot({}, plain)).rejects.toThrow(
      /RLS092 seal-mismatch[^]*has nothing that verifies the seals of rls\.current_tenant[^]*Fix: .*installSeal\(\)/,
    );
    await plain.asSuperuser(`REVOKE ${plain.roles.admin} FROM ${db.adminLogin}`);
    await plain.drop();
  });

  describe('verifyIsolation() at run time, as the health indicator asks', () => {
    const verify = async (dataSource: DataSource) =>
      (await verifyIsolation(dataSource, { adminRole: db.roles.admin })).map(
        ({ ruleId, message }) => `${ruleId}: ${message}`,
      );

    it('knows how the data source is isolated, and finds nothing where all is well', async () => {
      expect(await verify(await db.isolated())).toEqual([]);
    });

    it('finds that the key is gone from the database', async () => {
      const key = newSealKey('short');
      await db.addKey(key);
      const dataSource = await db.isolated({ seal: { keys: [key] } });
      expect(await verify(dataSource)).toEqual([]);
      await tenantContext(A, () => dataSource.getRepository(Note).save({ body: 'of A' }));
      await db.as('migrator', `DELETE FROM rls.seal_key WHERE id = 'short'`);
      await expect(tenantContext(A, () => dataSource.query('SELECT * FROM note'))).rejects.toThrow('unknown');
      expect(await verify(dataSource)).toEqual([expect.stringMatching(/^RLS093: .*key "short" is unknown/)]);
    });

    it('finds a data source that is not sealed, isolated or not', async () => {
      expect(await verify(await db.plain())).toEqual([expect.stringMatching(/^RLS092/)]);
    });
  });
});
