import { Controller, Get, Injectable, Logger, Param, Req } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { getDataSourceToken, InjectRepository, TypeOrmModule } from '@nestjs/typeorm';
import type { INestApplication } from '@nestjs/common';
import request from 'supertest';
import type { DataSource, Repository } from 'typeorm';
import {
  adminContext,
  fromUser,
  InvalidTenantIdError,
  RlsConfigurationError,
  RlsTenantsModule,
  TenantAccessDeniedError,
  TenantContext,
  tenantContext,
  type RlsTenantsOptions,
} from '../../libs/rls-tenants/src/index.js';
import { currentTenantContext } from '../../libs/rls-tenants/src/context/tenant-context.js';
import { A, B, Note, NOTES, tenant } from '../support/notes.js';
import { createProtectedDatabase, type ProtectedDatabase } from '../support/protected-database.js';

const C = tenant(3);

interface User {
  tenantId: string;
  tenants: string[];
}
type UserRequest = { user: User };

// Alice works for A and B, Carol for C alone.
const USERS: Record<string, User> = {
  alice: { tenantId: A, tenants: [A, B] },
  carol: { tenantId: C, tenants: [C] },
};

@Injectable()
class NotesService {
  constructor(@InjectRepository(Note) private readonly notes: Repository<Note>) {}

  async bodies(): Promise<string[]> {
    return (await this.notes.find({ order: { id: 'ASC' } })).map(({ body }) => body);
  }

  /** A statement with nothing of TypeORM's around it: isolated by the policy alone. */
  async raw(): Promise<string[]> {
    const rows: { body: string }[] = await this.notes.query('SELECT body FROM note ORDER BY id');
    return rows.map(({ body }) => body);
  }
}

@Controller()
class NotesController {
  constructor(
    private readonly service: NotesService,
    private readonly tenants: TenantContext,
  ) {}

  @Get('of/:tenantId')
  async of(@Param('tenantId') tenantId: string, @Req() req: UserRequest) {
    const before = await this.service.raw();
    const found = await this.tenants.switchTo(tenantId, req, async () => [
      ...(await this.service.bodies()),
      ...(await this.service.raw()),
    ]);
    return { before, found, after: await this.service.raw() };
  }
}

describe('a user of several tenants', () => {
  let db: ProtectedDatabase;
  let app: INestApplication;
  let asked: { who: string; tenantId: string }[];
  let options: RlsTenantsOptions;

  beforeAll(async () => {
    db = await createProtectedDatabase(NOTES);
    await db.asSuperuser(
      `INSERT INTO note (tenant_id, body) VALUES ('${A}', 'of A'), ('${B}', 'of B'), ('${C}', 'of C')`,
    );
    options = {
      tenantIdType: 'uuid',
      adminRole: db.roles.admin,
      resolveTenant: fromUser((user: User) => user.tenantId),
      authorize: (tenantId: string, { user }: UserRequest) => {
        asked.push({ who: currentTenantContext().kind, tenantId });
        return user.tenants.includes(tenantId);
      },
    };
    const module = await Test.createTestingModule({
      imports: [
        TypeOrmModule.forRoot({ type: 'postgres', url: db.url('app'), entities: NOTES, poolSize: 2 }),
        TypeOrmModule.forFeature([Note]),
        RlsTenantsModule.forRoot(options),
      ],
      controllers: [NotesController],
      providers: [NotesService],
    }).compile();
    app = module.createNestApplication({ logger: false });
    app.use((req: UserRequest & { headers: Record<string, string> }, _res: unknown, next: () => void) => {
      req.user = USERS[req.headers['x-user']!]!;
      next();
    });
    await app.init();
  });
  afterAll(async () => {
    await app.close();
    await db.drop();
  });
  let log: jest.SpyInstance;
  let warn: jest.SpyInstance;
  beforeEach(() => {
    asked = [];
    log = jest.spyOn(Logger.prototype, 'log').mockImplementation();
    warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation();
  });
  afterEach(() => jest.restoreAllMocks());

  const get = (user: string, path: string) =>
    request(app.getHttpServer() as never)
      .get(path)
      .set('x-user', user);
  const switches = (spy: jest.SpyInstance): unknown[] =>
    spy.mock.calls.map(([record]: [unknown]) => record).filter((record) => isSwitch(record));
  const isSwitch = (record: unknown) => (record as { event?: string } | null)?.event === 'tenant switch';
  const alice = { user: USERS.alice };

  it('the control: all three notes exist', async () => {
    const dataSource = app.get<DataSource>(getDataSourceToken());
    expect(
      await adminContext('control', () => dataSource.query('SELECT body FROM note ORDER BY id')),
    ).toEqual([{ body: 'of A' }, { body: 'of B' }, { body: 'of C' }]);
  });

  it('switches to another of their tenants: that tenant alone inside, their own before and after', async () => {
    const response = await get('alice', `/of/${B}`).expect(200);
    expect(response.body).toEqual({ before: ['of A'], found: ['of B', 'of B'], after: ['of A'] });
  });

  it('`authorize` is asked for the tenant they switch to, for nobody', async () => {
    await get('alice', `/of/${B}`).expect(200);
    expect(asked).toEqual([
      { who: 'nobody', tenantId: A },
      { who: 'nobody', tenantId: B },
    ]);
  });

  it('is refused a tenant of somebody else with 403, whose body does not say which', async () => {
    const response = await get('alice', `/of/${C}`).expect(403);
    expect(response.text).not.toContain(C);
    await get('carol', `/of/${A}`).expect(403);
  });

  it('is refused what is no tenant id with 400, before `authorize` is asked for it', async () => {
    await get('alice', '/of/1%20OR%201=1').expect(400);
    expect(asked.map(({ tenantId }) => tenantId)).toEqual([A]);
    expect([...switches(log), ...switches(warn)]).toEqual([]);
  });

  it('two users at once each see the tenant that they switched to', async () => {
    const all = await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        n % 2 ? get('alice', `/of/${B}`).expect(200) : get('carol', `/of/${C}`).expect(200),
      ),
    );
    for (const [n, response] of all.entries()) {
      const expected = n % 2 ? ['of B', 'of B'] : ['of C', 'of C'];
      expect((response.body as { found: string[] }).found).toEqual(expected);
    }
  });

  it('writes one line for a switch, and one for a refusal: from where and to which tenant', async () => {
    await get('alice', `/of/${B}`).expect(200);
    await get('alice', `/of/${C}`).expect(403);
    const from = { kind: 'tenant', tenantId: A };
    expect(switches(log)).toEqual([{ event: 'tenant switch', from, to: B, allowed: true }]);
    expect(switches(warn)).toEqual([{ event: 'tenant switch', from, to: C, allowed: false }]);
  });

  it('may switch from an admin context, which ends there, and is logged with its reason', async () => {
    const seen = await adminContext('support', () =>
      app.get(TenantContext).switchTo(B, alice, () => app.get(NotesService).raw()),
    );
    expect(seen).toEqual(['of B']);
    expect(switches(log)).toEqual([
      { event: 'tenant switch', from: { kind: 'admin', reason: 'support' }, to: B, allowed: true },
    ]);
  });

  describe('is refused, without running the function,', () => {
    const run = jest.fn();
    afterEach(() => {
      if (run.mock.calls.length > 0) throw new Error('The function ran.');
    });
    const refusal = (context: TenantContext, tenantId: unknown, of: unknown) =>
      tenantContext(A, () => context.switchTo(tenantId as string, of, run)).catch((error: unknown) => error);

    it.each([undefined, null, 'a request'])('where there is no request: %p', async (of) => {
      expect(await refusal(app.get(TenantContext), B, of)).toBeInstanceOf(RlsConfigurationError);
      expect(asked).toEqual([]);
    });

    it('where no `authorize` is configured', async () => {
      const { authorize: _, ...without } = options;
      expect(await refusal(new TenantContext(without), B, alice)).toBeInstanceOf(RlsConfigurationError);
    });

    it.each([undefined, null, '', {}, [A]])('for %p as a tenant id', async (tenantId) => {
      expect(await refusal(app.get(TenantContext), tenantId, alice)).toBeInstanceOf(InvalidTenantIdError);
    });

    it('where `authorize` gives something truthy that is not true', async () => {
      const context = new TenantContext({ ...options, authorize: () => 'yes' as unknown as boolean });
      expect(await refusal(context, B, alice)).toBeInstanceOf(TenantAccessDeniedError);
    });

    it('where `authorize` fails, with its error, and the refusal is logged', async () => {
      const failure = new Error('the directory is down');
      const context = new TenantContext({ ...options, authorize: () => Promise.reject(failure) });
      expect(await refusal(context, B, alice)).toBe(failure);
      expect(switches(warn)).toHaveLength(1);
    });
  });
});
