import { Module, type LoggerService } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { TypeOrmModule } from '@nestjs/typeorm';
import type { Logger } from 'typeorm';
import { fromUser, RlsTenantsModule, type RlsTenantsOptions } from 'nestjs-rls-tenants';
import { formatFindings, verifyIsolation } from '../../libs/rls-tenants/src/audit/index.js';
import { A, NOTES } from '../support/notes.js';
import { createProtectedDatabase, type ProtectedDatabase } from '../support/protected-database.js';

describe('verifyOnBoot', () => {
  let db: ProtectedDatabase;

  beforeAll(async () => {
    db = await createProtectedDatabase(NOTES);
  });
  afterAll(() => db.drop());

  /** Starts and stops an application; what it logged and sent meanwhile. */
  const boot = async (verifyOnBoot: NonNullable<RlsTenantsOptions['verifyOnBoot']>) => {
    const warnings: string[] = [];
    const statements: string[] = [];
    const nestLog: LoggerService = {
      log: () => {},
      error: () => {},
      warn: (message: string) => void warnings.push(message),
    };
    const ignore = () => {};
    const sqlLog: Logger = {
      logQuery: (sql) => void statements.push(sql),
      logQueryError: ignore,
      logQuerySlow: ignore,
      logSchemaBuild: ignore,
      logMigration: ignore,
      log: ignore,
    };
    @Module({
      imports: [
        TypeOrmModule.forRoot({
          type: 'postgres',
          url: db.url('app'),
          entities: NOTES,
          retryAttempts: 0,
          logging: true,
          logger: sqlLog,
        }),
        RlsTenantsModule.forRoot({
          tenantIdType: 'uuid',
          resolveTenant: fromUser(() => undefined),
          adminRole: db.roles.admin,
          verifyOnBoot,
        }),
      ],
    })
    class AppModule {}
    const module = await Test.createTestingModule({ imports: [AppModule] })
      .setLogger(nestLog)
      .compile();
    await module.close();
    return { warnings, statements };
  };

  it.each<[string, string, () => [breakIt: string, mendIt: string]]>([
    [
      'another policy admits more rows',
      'RLS009',
      () => ['CREATE POLICY everyone ON note FOR SELECT USING (true)', 'DROP POLICY everyone ON note'],
    ],
    [
      'the app role has a tenant before it asks for one',
      'RLS011',
      () => [
        `ALTER ROLE ${db.roles.app} SET rls.current_tenant = '${A}'`,
        `ALTER ROLE ${db.roles.app} RESET rls.current_tenant`,
      ],
    ],
    [
      'the app role may empty a table',
      'RLS026',
      () => [`GRANT TRUNCATE ON note TO ${db.roles.app}`, `REVOKE TRUNCATE ON note FROM ${db.roles.app}`],
    ],
    [
      'rows may be without a tenant',
      'RLS043',
      () => [
        'ALTER TABLE note ALTER tenant_id DROP NOT NULL',
        'ALTER TABLE note ALTER tenant_id SET NOT NULL',
      ],
    ],
    [
      'a table is missing',
      'RLS082',
      () => ['ALTER TABLE note_tags_tag RENAME TO gone', 'ALTER TABLE gone RENAME TO note_tags_tag'],
    ],
  ])("'warn' starts where %s, and logs what check-rls would say", async (_hole, ruleId, change) => {
    const [breakIt, mendIt] = change();
    await db.asSuperuser(breakIt);
    try {
      const findings = await verifyIsolation(await db.plain(), { adminRole: db.roles.admin });
      expect(new Set(findings.map((finding) => finding.ruleId))).toEqual(new Set([ruleId]));
      expect((await boot('warn')).warnings).toEqual([formatFindings(findings)]);
      await expect(boot('error')).rejects.toThrow(ruleId);
    } finally {
      await db.asSuperuser(mendIt);
    }
  });

  it('says nothing where it is safe, and with off does not even look', async () => {
    const verified = await boot('warn');
    expect(verified.warnings).toEqual([]);
    const unverified = await boot('off');
    const audit = verified.statements.length - unverified.statements.length;
    expect(audit).toBeGreaterThan(0);
    expect(audit).toBeLessThanOrEqual(11);
  });
});
