import {
  Controller,
  Get,
  Logger,
  Param,
  UseGuards,
  type CanActivate,
  type INestApplication,
} from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { ClientProxyFactory, MessagePattern, Transport, type ClientProxy } from '@nestjs/microservices';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import type { AddressInfo } from 'node:net';
import { lastValueFrom } from 'rxjs';
import {
  InvalidTenantIdError,
  InvalidTenantTokenError,
  MigrationLockError,
  NoTenantContextError,
  RlsConfigurationError,
  RlsTenantsExceptionFilter,
  RlsViolationError,
  TenantAccessDeniedError,
  TenantOptional,
} from '../../libs/rls-tenants/src/index.js';
import type { ProtectedDatabase } from '../support/protected-database.js';
import {
  A,
  B,
  createNotesDatabase,
  listen,
  Notes,
  ownersInDatabase,
  rootModule,
} from './support/notes-app.js';

const SECRETS = ['a secret of table "note"', 'a secret hint'] as const;

const ERRORS = {
  InvalidTenantIdError: [InvalidTenantIdError, 400, 'Invalid tenant'],
  InvalidTenantTokenError: [InvalidTenantTokenError, 401, 'Unauthorized'],
  TenantAccessDeniedError: [TenantAccessDeniedError, 403, 'Tenant access denied'],
  NoTenantContextError: [NoTenantContextError, 403, 'No tenant'],
  RlsViolationError: [RlsViolationError, 403, 'Access denied'],
  RlsConfigurationError: [RlsConfigurationError, 500, 'Internal server error'],
  MigrationLockError: [MigrationLockError, 500, 'Internal server error'],
} as const;
type Name = keyof typeof ERRORS;

function fail(name: Name): never {
  throw new ERRORS[name][0](...SECRETS);
}

class FailingGuard implements CanActivate {
  canActivate(): never {
    return fail('RlsViolationError');
  }
}

@TenantOptional()
@Controller()
class FailingController {
  constructor(private readonly notes: Notes) {}

  @Get('fail/:name')
  fail(@Param('name') name: Name): never {
    return fail(name);
  }

  @UseGuards(FailingGuard)
  @Get('guarded')
  guarded(): string {
    return 'never';
  }

  @Get('steal')
  async steal(): Promise<void> {
    await this.notes.steal(B);
  }

  @Get('owners')
  owners(): Promise<string[]> {
    return this.notes.owners();
  }

  @MessagePattern('fail')
  failMessage(name: Name): never {
    return fail(name);
  }
}

const ADAPTERS = { express: () => new ExpressAdapter(), fastify: () => new FastifyAdapter() };
const REGISTRATIONS = { 'as APP_FILTER': true, 'by useGlobalFilters()': false };

describe('RlsTenantsExceptionFilter', () => {
  let db: ProtectedDatabase;
  let warnings: string[] = [];
  let errors: string[] = [];

  beforeAll(async () => {
    db = await createNotesDatabase();
  });
  afterAll(() => db.drop());

  beforeEach(() => {
    warnings = [];
    errors = [];
    const into =
      (log: () => string[]) =>
      (...parts: unknown[]) =>
        void log().push(parts.map(String).join(' '));
    jest.spyOn(Logger.prototype, 'warn').mockImplementation(into(() => warnings));
    jest.spyOn(Logger.prototype, 'error').mockImplementation(into(() => errors));
  });
  afterEach(() => jest.restoreAllMocks());

  describe.each(['express', 'fastify'] as const)('over HTTP on %s', (platform) => {
    describe.each(['as APP_FILTER', 'by useGlobalFilters()'] as const)('%s', (registration) => {
      let app: INestApplication;
      let url: string;

      beforeAll(async () => {
        const providers = REGISTRATIONS[registration]
          ? [{ provide: APP_FILTER, useClass: RlsTenantsExceptionFilter }]
          : [];
        const started = await listen(
          rootModule(db, { controllers: [FailingController], providers }),
          (created) => {
            if (REGISTRATIONS[registration]) return;
            created.useGlobalFilters(new RlsTenantsExceptionFilter(created.getHttpAdapter()));
          },
          ADAPTERS[platform](),
        );
        app = started.app;
        url = `http://127.0.0.1:${started.port}`;
      });
      afterAll(() => app.close());

      const get = (path: string) => fetch(url + path, { headers: { 'x-tenant-id': A } });

      it.each(Object.keys(ERRORS) as Name[])('a %s is its status and one word', async (name) => {
        const [, status, message] = ERRORS[name];
        const response = await get(`/fail/${name}`);
        expect(response.status).toBe(status);
        const body = await response.text();
        expect(JSON.parse(body)).toMatchObject({ statusCode: status, message });
        expect(body).not.toMatch(/secret|note|hint/);
      });

      it('what a guard throws is answered as well', async () => {
        const response = await get('/guarded');
        expect([response.status, await response.text()]).toEqual([
          403,
          expect.stringContaining('Access denied'),
        ]);
      });

      it('a write that the policy refuses is a 403 that names nothing, and the log has it all', async () => {
        const response = await get('/steal');
        expect(response.status).toBe(403);
        expect(await response.text()).not.toMatch(/note|policy|row-level|INSERT|0000-4000/i);
        expect(errors.join()).toMatch(/RlsViolationError: .*note.*row-level security/s);
        expect(await db.asSuperuser(`SELECT FROM note WHERE body = 'stolen'`)).toEqual([]);
        expect(await (await get('/owners')).json()).toEqual([A]);
        expect(await ownersInDatabase(db)).toEqual([A, B]);
      });
    });
  });

  describe('over RPC', () => {
    let app: INestApplication;
    let client: ClientProxy;

    beforeAll(async () => {
      ({ app } = await listen(
        rootModule(db, {
          controllers: [FailingController],
          providers: [{ provide: APP_FILTER, useClass: RlsTenantsExceptionFilter }],
        }),
      ));
      const host = '127.0.0.1';
      const service = app.connectMicroservice(
        { transport: Transport.TCP, options: { host, port: 0 } },
        { inheritAppConfig: true },
      );
      await app.startAllMicroservices();
      const { port } = service.unwrap<{ address(): AddressInfo }>().address();
      client = ClientProxyFactory.create({ transport: Transport.TCP, options: { host, port } });
    });
    afterAll(async () => {
      client.close();
      await app.close();
    });

    it.each(Object.keys(ERRORS) as Name[])('a %s is an error with one word', async (name) => {
      const message = ERRORS[name][2];
      const answer = lastValueFrom(client.send('fail', name));
      await expect(answer).rejects.toEqual({ status: 'error', message });
      expect([...warnings, ...errors].join()).toContain(`${name}: ${SECRETS.join(' ')}`);
    });
  });

  it('logs what callers did wrong as a warning, and everything else as an error with its stack', async () => {
    const { app, port } = await listen(rootModule(db, { controllers: [FailingController] }), (created) =>
      created.useGlobalFilters(new RlsTenantsExceptionFilter(created.getHttpAdapter())),
    );
    await fetch(`http://127.0.0.1:${port}/fail/RlsConfigurationError`);
    await app.close();
    expect(warnings).toEqual([]);
    expect(errors.join()).toMatch(/RlsConfigurationError: a secret of table "note" a secret hint.*at /s);
  });
});
