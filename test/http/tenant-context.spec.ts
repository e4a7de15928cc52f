import { setTimeout as delay } from 'node:timers/promises';
import {
  BadRequestException,
  Body,
  Catch,
  Controller,
  ForbiddenException,
  Get,
  HttpCode,
  HttpException,
  Post,
  UseFilters,
  type ArgumentsHost,
  type ExceptionFilter,
} from '@nestjs/common';
import { of, map, delay as later } from 'rxjs';
import {
  AdminScoped,
  adminContext,
  CurrentTenant,
  TenantOptional,
  tenantContext,
  WithTenant,
} from '../../libs/rls-tenants/src/context/index.js';
import { requireTenantId } from '../../libs/rls-tenants/src/context/tenant-context.js';
import {
  InvalidTenantIdError,
  NoTenantContextError,
  TenantAccessDeniedError,
} from '../../libs/rls-tenants/src/errors.js';
import { PLATFORMS, useHttpApp, who } from './support/http-app.js';

/** What handlers did, in this process. */
const handled: string[] = [];
/** What exception filters saw. */
const caught: { error: HttpException; by: string }[] = [];

@Catch(HttpException)
class RecordingFilter implements ExceptionFilter {
  catch(error: HttpException, host: ArgumentsHost): void {
    caught.push({ error, by: who() });
    const response = host.switchToHttp().getResponse<{
      status(code: number): { send(body: unknown): void };
    }>();
    response.status(error.getStatus()).send(error.getResponse());
  }
}

@Controller()
@UseFilters(RecordingFilter)
class WhoController {
  @Get('sync')
  sync(): string {
    handled.push('sync');
    return who();
  }

  @Get('async')
  async async(): Promise<string[]> {
    const seen = [who()];
    await delay(2);
    seen.push(who());
    await Promise.all([delay(1), delay(2)]);
    return [...seen, who()];
  }

  @Get('observable')
  observable() {
    return of(0).pipe(
      map(() => [who()]),
      later(2),
      map((seen) => [...seen, who()]),
    );
  }

  @Get('current')
  current(@CurrentTenant() tenantId: string): { tenantId: string } {
    return { tenantId };
  }

  @Get('nested')
  async nested(): Promise<string[]> {
    const seen = [who()];
    seen.push(await tenantContext('inner', async () => delay(1).then(who)));
    seen.push(await adminContext('why not', async () => delay(1).then(who)));
    seen.push(this.elsewhere('decorated'));
    return [...seen, who()];
  }

  @WithTenant((tenantId: string) => tenantId)
  elsewhere(_tenantId: string): string {
    return who();
  }

  @Get('nested-error')
  async nestedError(): Promise<string> {
    await tenantContext('inner', async () => {
      await delay(1);
      throw new Error('inside');
    }).catch(() => undefined);
    return who();
  }

  @Get('teapot')
  async teapot(): Promise<never> {
    await delay(1);
    throw new HttpException(who(), 418);
  }

  @Get('crash')
  crash(): never {
    throw new Error('secret detail');
  }

  @Post('body')
  @HttpCode(200)
  async body(@Body() body: object): Promise<unknown[]> {
    return [body, who()];
  }

  @TenantOptional()
  @Get('optional')
  optional(@CurrentTenant() tenantId: string | undefined): [string, string] {
    return [who(), tenantId ?? 'none'];
  }

  @TenantOptional()
  @Get('optional-in-need')
  optionalInNeed(): string {
    return requireTenantId();
  }

  @AdminScoped('monthly report')
  @Get('admin')
  async admin(): Promise<string> {
    await delay(1);
    return who();
  }

  @AdminScoped('no tenant id')
  @Get('admin-current')
  adminCurrent(@CurrentTenant() tenantId: string): string {
    handled.push('admin-current');
    return tenantId;
  }

  @TenantOptional()
  @AdminScoped('both')
  @Get('both')
  both(): string {
    return who();
  }

  @Get('other-tenant')
  otherTenant(): string {
    return tenantContext('malformed\0', who);
  }
}

@AdminScoped('the whole class')
@Controller('class')
class AdminController {
  @Get()
  who(): string {
    return who();
  }

  @TenantOptional()
  @Get('narrowed')
  narrowed(): string {
    return who();
  }
}

const controllers = [WhoController, AdminController];

describe.each(PLATFORMS)('on %s, TenantContextInterceptor', (platform) => {
  beforeEach(() => {
    handled.length = 0;
    caught.length = 0;
  });

  describe('with a tenant in a header', () => {
    const app = useHttpApp(platform, { controllers });

    it.each([
      ['/sync', 'acme'],
      ['/async', ['acme', 'acme', 'acme']],
      ['/observable', ['acme', 'acme']],
      ['/current', { tenantId: 'acme' }],
      ['/optional', ['acme', 'acme']],
      ['/nested', ['acme', 'inner', 'admin: why not', 'decorated', 'acme']],
      ['/nested-error', 'acme'],
    ])('%s runs for the tenant', async (path, expected) => {
      const response = await app.current.get(path, 'acme');
      expect(response.status).toBe(200);
      const text = await response.text();
      expect(typeof expected === 'string' ? text : JSON.parse(text)).toEqual(expected);
    });

    it('a handler keeps its tenant after its body was parsed', async () => {
      const response = await app.current.get('/body', 'acme', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ text: 'x'.repeat(60_000) }),
      });
      expect(await response.json()).toEqual([expect.anything(), 'acme']);
    });

    it.each([
      ['/admin', 'admin: monthly report'],
      ['/both', 'admin: both'],
      ['/class', 'admin: the whole class'],
    ])('@AdminScoped: %s runs as admin, with or without a tenant', async (path, expected) => {
      for (const tenantId of [undefined, 'acme', '']) {
        const response = await app.current.get(path, tenantId);
        expect([response.status, await response.text()]).toEqual([200, expected]);
      }
    });

    it("a method's decorator narrows its class's @AdminScoped", async () => {
      expect(await (await app.current.get('/class/narrowed', 'acme')).text()).toBe('acme');
      expect(await (await app.current.get('/class/narrowed')).text()).toBe('nobody');
    });

    it('@CurrentTenant() refuses the admin context, which has no tenant id', async () => {
      expect((await app.current.get('/admin-current', 'acme')).status).toBe(403);
      expect(handled).toEqual([]);
    });

    it('a request without a tenant is refused before its handler runs', async () => {
      const response = await app.current.get('/sync');
      expect([response.status, await response.json()]).toEqual([
        403,
        { statusCode: 403, error: 'Forbidden', message: 'No tenant' },
      ]);
      expect(handled).toEqual([]);
      expect(caught[0]?.error).toBeInstanceOf(ForbiddenException);
      expect(caught[0]?.error.cause).toBeInstanceOf(NoTenantContextError);
    });

    it('@TenantOptional: a request without a tenant runs for nobody', async () => {
      expect(await (await app.current.get('/optional')).json()).toEqual(['nobody', 'none']);
    });

    it('@TenantOptional: a handler that needs a tenant after all is a 403', async () => {
      expect((await app.current.get('/optional-in-need')).status).toBe(403);
      expect((await app.current.get('/optional-in-need', 'acme')).status).toBe(200);
    });

    it.each(['/sync', '/optional'])('a malformed tenant is a 400 for %s and is not echoed', async (path) => {
      for (const tenantId of ['', 'undefined', 'a'.repeat(256)]) {
        const response = await app.current.get(path, tenantId);
        expect([response.status, await response.json()]).toEqual([
          400,
          { statusCode: 400, error: 'Bad Request', message: 'Invalid tenant' },
        ]);
      }
      expect(handled).toEqual([]);
      expect(caught[0]?.error).toBeInstanceOf(BadRequestException);
      expect(caught[0]?.error.cause).toBeInstanceOf(InvalidTenantIdError);
    });

    it('a malformed tenant that a handler enters is a 400', async () => {
      expect((await app.current.get('/other-tenant', 'acme')).status).toBe(400);
    });

    it('errors of a handler pass unchanged, and its exception filter runs outside its context', async () => {
      const teapot = await app.current.get('/teapot', 'acme');
      expect([teapot.status, await teapot.text()]).toEqual([418, 'acme']);
      expect(caught.map(({ by }) => by)).toEqual(['nobody']);
      const crash = await app.current.get('/crash', 'acme');
      expect(crash.status).toBe(500);
      expect(await crash.text()).not.toContain('secret detail');
      expect(await (await app.current.get('/sync', 'acme')).text()).toBe('acme');
    });
  });

  describe("with onMissingTenant 'empty'", () => {
    const app = useHttpApp(platform, { controllers, context: { onMissingTenant: 'empty' } });

    it('a request without a tenant runs for nobody', async () => {
      expect(await (await app.current.get('/sync')).text()).toBe('nobody');
      expect((await app.current.get('/current')).status).toBe(403);
    });

    it('a malformed tenant is refused all the same', async () => {
      expect((await app.current.get('/sync', '')).status).toBe(400);
    });
  });

  describe('with authorize', () => {
    const authorize = jest.fn();
    const app = useHttpApp(platform, { controllers, context: { tenantIdType: 'uuid', authorize } });
    const ACME = '6f1c2d3e-00aa-4000-8000-000000000001';

    beforeEach(() => authorize.mockReset());

    it('asks for the normalized id, with the request', async () => {
      authorize.mockImplementation((_tenantId, request: { url: string }) => request.url === '/sync');
      const response = await app.current.get('/sync', ACME.toUpperCase());
      expect(await response.text()).toBe(ACME);
      expect(authorize).toHaveBeenCalledTimes(1);
      expect(authorize).toHaveBeenCalledWith(ACME, expect.anything());
    });

    it.each([false, undefined, null, 0, 'yes', 1, {}])(
      'anything but true, such as %p, is a 403',
      async (answer) => {
        for (const value of [answer, Promise.resolve(answer)]) {
          authorize.mockReturnValue(value);
          for (const path of ['/sync', '/optional']) {
            const response = await app.current.get(path, ACME);
            expect(response.status).toBe(403);
            expect(await response.text()).not.toContain(ACME);
          }
        }
        expect(handled).toEqual([]);
        expect(caught[0]?.error.cause).toBeInstanceOf(TenantAccessDeniedError);
      },
    );

    it('does not ask for a malformed id', async () => {
      expect((await app.current.get('/sync', "'; DROP TABLE note; --")).status).toBe(400);
      expect(authorize).not.toHaveBeenCalled();
    });

    it('an authorize that throws is an error, never a yes', async () => {
      authorize.mockImplementation(() => {
        throw new Error('the membership service is down');
      });
      const response = await app.current.get('/sync', ACME);
      expect(response.status).toBe(500);
      expect(await response.text()).not.toContain('membership');
      authorize.mockRejectedValue(new HttpException('Try again', 503));
      expect((await app.current.get('/sync', ACME)).status).toBe(503);
      expect(handled).toEqual([]);
    });

    it('runs for nobody', async () => {
      const seen: string[] = [];
      authorize.mockImplementation(async () => {
        await delay(1);
        return seen.push(who()) > 0;
      });
      await app.current.get('/sync', ACME);
      expect(seen).toEqual(['nobody']);
    });
  });

  describe('with a resolver of your own', () => {
    const resolveTenant = jest.fn();
    const app = useHttpApp(platform, { controllers, context: { resolveTenant, tenantIdType: 'bigint' } });

    beforeEach(() => resolveTenant.mockReset());

    it.each([7, 7n, '7', Promise.resolve(7)])('takes %p', async (tenantId) => {
      resolveTenant.mockReturnValue(tenantId);
      expect(await (await app.current.get('/sync')).text()).toBe('7');
    });

    it('is asked once a request, and for @AdminScoped not at all', async () => {
      resolveTenant.mockReturnValue(7);
      await app.current.get('/sync');
      expect(resolveTenant).toHaveBeenCalledTimes(1);
      await app.current.get('/admin');
      expect(resolveTenant).toHaveBeenCalledTimes(1);
    });

    it('its error passes, and the handler does not run', async () => {
      resolveTenant.mockRejectedValue(new HttpException('Payment required', 402));
      expect((await app.current.get('/sync')).status).toBe(402);
      resolveTenant.mockImplementation(() => {
        throw new TypeError('secret detail');
      });
      const response = await app.current.get('/optional');
      expect(response.status).toBe(500);
      expect(await response.text()).not.toContain('secret');
      expect(handled).toEqual([]);
    });
  });
});

describe('@AdminScoped', () => {
  it.each(['', ' ', undefined])('needs a reason: %p is refused when the class is defined', (reason) => {
    expect(() => AdminScoped(reason as string)).toThrow('needs a reason');
  });
});
