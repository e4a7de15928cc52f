import { Controller, Get, Injectable, Module } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { getDataSourceToken, InjectRepository, TypeOrmModule } from '@nestjs/typeorm';
import request from 'supertest';
import type { DataSource, Repository } from 'typeorm';
import {
  fromHeader,
  fromUser,
  RlsConfigurationError,
  RlsTenantsModule,
  TenantContext,
  tenantContext,
  type RlsTenantsOptions,
} from '../libs/rls-tenants/src/index.js';
import { A, B, Note, NOTES } from './support/notes.js';
import { inheritSql } from './support/database.js';
import { createProtectedDatabase, type ProtectedDatabase } from './support/protected-database.js';

@Injectable()
class NotesService {
  constructor(
    @InjectRepository(Note) private readonly notes: Repository<Note>,
    private readonly context: TenantContext,
  ) {}

  async bodies(): Promise<string[]> {
    return (await this.notes.find()).map(({ body }) => body);
  }

  bodiesOf(tenantId: string): Promise<string[]> {
    return this.context.run(tenantId, () => this.bodies());
  }
}

@Controller('notes')
class NotesController {
  constructor(private readonly service: NotesService) {}

  @Get() list(): Promise<string[]> {
    return this.service.bodies();
  }
}

describe('RlsTenantsModule', () => {
  let db: ProtectedDatabase;
  let options: RlsTenantsOptions;

  beforeAll(async () => {
    db = await createProtectedDatabase(NOTES);
    await db.asSuperuser(`INSERT INTO note (tenant_id, body) VALUES ('${A}', 'a'), ('${B}', 'b')`);
    options = {
      tenantIdType: 'uuid',
      adminRole: db.roles.admin,
      resolveTenant: fromHeader('x-tenant'),
      authorize: () => true,
    };
  });
  afterAll(() => db.drop());

  function application(rls: ReturnType<typeof RlsTenantsModule.forRoot>, url = db.url('app')) {
    @Module({
      imports: [
        TypeOrmModule.forRoot({ type: 'postgres', url, entities: NOTES, poolSize: 3, retryAttempts: 0 }),
        TypeOrmModule.forFeature([Note]),
        rls,
      ],
      providers: [NotesService],
      controllers: [NotesController],
    })
    class AppModule {}
    return Test.createTestingModule({ imports: [AppModule] }).compile();
  }

  it('gives singletons with plain repositories the rows of the request’s tenant', async () => {
    const module = await application(RlsTenantsModule.forRoot(options));
    const app = await module.createNestApplication().init();
    const bodies = (tenantId: string) => request(app.getHttpServer()).get('/notes').set('x-tenant', tenantId);
    const answers = await Promise.all(Array.from({ length: 30 }, (_, n) => bodies(n % 2 ? A : B)));
    expect(answers.map(({ body }) => body)).toEqual(answers.map((_, n) => (n % 2 ? ['a'] : ['b'])));
    expect((await request(app.getHttpServer()).get('/notes')).status).toBe(403);
    expect(await app.get(NotesService).bodiesOf(B)).toEqual(['b']);
    expect(await tenantContext(A, () => app.get(NotesService).bodies())).toEqual(['a']);
    await app.close();
  });

  it('takes its options from other providers', async () => {
    const module = await application(RlsTenantsModule.forRootAsync({ useFactory: async () => options }));
    expect(await module.get(NotesService).bodiesOf(A)).toEqual(['a']);
    await module.close();
  });

  it('refuses a tenant that the caller chooses, without authorize', async () => {
    const unauthorized = { tenantIdType: 'uuid', resolveTenant: fromHeader('x-tenant') } as const;
    expect(() => RlsTenantsModule.forRoot(unauthorized)).toThrow(RlsConfigurationError);
    await expect(
      application(RlsTenantsModule.forRootAsync({ useFactory: () => unauthorized })),
    ).rejects.toThrow(RlsConfigurationError);
  });

  it('refuses options that contradict the entities', async () => {
    const other = RlsTenantsModule.forRoot({ ...options, tenantIdType: 'integer', verifyOnBoot: 'off' });
    await expect(application(other)).rejects.toThrow(/tenants of type uuid/);
  });

  describe('boot verification', () => {
    const verified = () =>
      RlsTenantsModule.forRoot({
        tenantIdType: 'uuid',
        adminRole: db.roles.admin,
        resolveTenant: fromUser(() => A),
      });

    it.each<[string, () => [string, string], RegExp]>([
      [
        'RLS is not enabled',
        () => ['ALTER TABLE note DISABLE ROW LEVEL SECURITY', 'ALTER TABLE note ENABLE ROW LEVEL SECURITY'],
        /RLS004/,
      ],
      [
        'RLS is not forced',
        () => ['ALTER TABLE note NO FORCE ROW LEVEL SECURITY', 'ALTER TABLE note FORCE ROW LEVEL SECURITY'],
        /RLS005/,
      ],
      [
        'a policy is missing',
        () => [
          'ALTER POLICY tag_tenant_isolation_policy ON tag RENAME TO gone',
          'ALTER POLICY gone ON tag RENAME TO tag_tenant_isolation_policy',
        ],
        /RLS080/,
      ],
      [
        'the app role has BYPASSRLS',
        () => [`ALTER ROLE ${db.roles.app} BYPASSRLS`, `ALTER ROLE ${db.roles.app} NOBYPASSRLS`],
        /RLS001/,
      ],
      [
        'the app role is a superuser',
        () => [`ALTER ROLE ${db.roles.app} SUPERUSER`, `ALTER ROLE ${db.roles.app} NOSUPERUSER`],
        /RLS001/,
      ],
      [
        'the app role owns a tenant table',
        () => [`ALTER TABLE tag OWNER TO ${db.roles.app}`, `ALTER TABLE tag OWNER TO ${db.roles.migrator}`],
        /RLS002/,
      ],
      [
        'the app role inherits the admin role',
        () => [
          inheritSql(db.roles.app, db.roles.admin, true),
          inheritSql(db.roles.app, db.roles.admin, false),
        ],
        /RLS003/,
      ],
    ])('refuses to start where %s', async (_name, change, message) => {
      const [breakIt, mendIt] = change();
      await db.asSuperuser(breakIt);
      try {
        const error = await application(verified()).then(
          () => undefined,
          (reason: Error) => reason,
        );
        expect(error).toBeInstanceOf(RlsConfigurationError);
        expect(error!.message).toMatch(message);
      } finally {
        await db.asSuperuser(mendIt);
      }
      const healthy = await application(verified());
      await healthy.close();
    });

    it('refuses the superuser’s own login', async () => {
      await expect(application(verified(), db.url())).rejects.toThrow(/RLS001/);
    });

    it('isolates every data source it is told to', async () => {
      const second = await Test.createTestingModule({
        imports: [
          TypeOrmModule.forRoot({ type: 'postgres', url: db.url('app'), entities: NOTES }),
          TypeOrmModule.forRoot({ name: 'reports', type: 'postgres', url: db.url('app'), entities: NOTES }),
          RlsTenantsModule.forRoot({ ...options, dataSources: ['default', 'reports'] }),
        ],
      }).compile();
      for (const name of ['default', 'reports']) {
        const dataSource = second.get<DataSource>(getDataSourceToken(name), { strict: false });
        expect(await tenantContext(B, () => dataSource.query('SELECT body FROM note'))).toEqual([
          { body: 'b' },
        ]);
      }
      await second.close();
    });
  });
});
