import {
  Body,
  Catch,
  Controller,
  Get,
  HttpException,
  Post,
  Query,
  StreamableFile,
  UseGuards,
  UseFilters,
  type ArgumentsHost,
  type CanActivate,
  type ExceptionFilter,
  type ExecutionContext,
  type PipeTransform,
} from '@nestjs/common';
import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import {
  AdminScoped,
  firstOf,
  fromHeader,
  fromUser,
  TenantOptional,
} from '../../libs/rls-tenants/src/context/index.js';
import { PLATFORMS, useHttpApp, who } from './support/http-app.js';

interface Stages {
  guard?: string;
  pipe?: string;
}
/** Whom each stage of the last request ran for. */
let stages: Stages & { handler?: string; filter?: string } = {};

class Guard implements CanActivate {
  async canActivate(): Promise<boolean> {
    stages.guard = who();
    await delay(1);
    return true;
  }
}

class Pipe implements PipeTransform {
  async transform(value: unknown): Promise<unknown> {
    await delay(1);
    stages.pipe = who();
    return value;
  }
}

@Catch(HttpException)
class Filter implements ExceptionFilter {
  catch(error: HttpException, host: ArgumentsHost): void {
    stages.filter = who();
    const response = host.switchToHttp().getResponse<{
      status(code: number): { send(body: unknown): void };
    }>();
    response.status(error.getStatus()).send(error.getResponse());
  }
}

/** Authenticates in a guard, as most applications do: after middleware, before interceptors. */
class AuthGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<{ headers: Record<string, string>; user?: object }>();
    request.user = { tenantId: request.headers['x-user-of'] };
    return true;
  }
}

async function* lines() {
  for (let line = 0; line < 5; line++) yield `${who()} ${'.'.repeat(64 * 1024)}\n`;
}

@UseGuards(Guard)
@UseFilters(Filter)
@Controller()
class StageController {
  @Get('who')
  async who(@Query('any', Pipe) _any?: string) {
    stages.handler = who();
    await delay(1);
    return stages;
  }

  @Post('who')
  post(@Body(Pipe) _body: object) {
    stages.handler = who();
    return stages;
  }

  @Get('fails')
  async fails(): Promise<never> {
    await delay(1);
    throw new HttpException('no', 418);
  }

  @Get('file')
  file() {
    return new StreamableFile(Readable.from(lines()));
  }

  @AdminScoped('report')
  @Get('admin')
  admin() {
    return who();
  }

  @TenantOptional()
  @Get('optional')
  optional() {
    return who();
  }

  @UseGuards(AuthGuard)
  @Get('guarded')
  guarded() {
    return who();
  }
}

const controllers = [StageController];

/** A request body whose pieces arrive one after the other. */
function slowly(...pieces: string[]): ReadableStream<Uint8Array> {
  return new ReadableStream({
    async pull(controller) {
      await delay(3);
      const piece = pieces.shift();
      if (piece === undefined) controller.close();
      else controller.enqueue(Buffer.from(piece));
    },
  });
}

describe.each(PLATFORMS)('on %s, TenantContextMiddleware', (platform) => {
  const resolveTenant = jest.fn(fromHeader('x-tenant-id'));
  const authorize = jest.fn(async (tenantId: string) => {
    await delay(1);
    return tenantId !== 'forbidden';
  });
  const app = useHttpApp(platform, { controllers, middleware: true, context: { resolveTenant, authorize } });

  beforeEach(() => {
    stages = {};
    resolveTenant.mockClear();
    authorize.mockClear();
  });

  it('gives guards, pipes and handler the tenant, and resolves it once', async () => {
    const response = await app.current.get('/who?any=1', 'acme');
    expect(await response.json()).toEqual({ guard: 'acme', pipe: 'acme', handler: 'acme' });
    expect(resolveTenant).toHaveBeenCalledTimes(1);
    expect(authorize).toHaveBeenCalledTimes(1);
  });

  it('does so behind a body that arrives piece by piece', async () => {
    const response = await app.current.get('/who', 'acme', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: slowly('{"text":"', 'x'.repeat(1000), 'y'.repeat(1000), '"}'),
      duplex: 'half',
    });
    expect(await response.json()).toEqual({ guard: 'acme', pipe: 'acme', handler: 'acme' });
  });

  it('gives exception filters the tenant', async () => {
    expect((await app.current.get('/fails', 'acme')).status).toBe(418);
    expect(stages.filter).toBe('acme');
  });

  it('holds until the end of a streamed response', async () => {
    const bodies = await Promise.all(
      ['acme', 'umbrella'].map(async (tenantId) => (await app.current.get('/file', tenantId)).text()),
    );
    expect(bodies.map((body) => [...new Set(body.match(/^\w+/gm))])).toEqual([['acme'], ['umbrella']]);
  });

  it('@AdminScoped wins over the tenant of the middleware', async () => {
    expect(await (await app.current.get('/admin', 'acme')).text()).toBe('admin: report');
    expect(await (await app.current.get('/admin')).text()).toBe('admin: report');
  });

  it('without a tenant runs guards for nobody, and only optional handlers', async () => {
    const refused = await app.current.get('/who');
    expect(refused.status).toBe(403);
    expect(stages).toEqual({ guard: 'nobody', filter: 'nobody' });
    expect(await (await app.current.get('/optional')).text()).toBe('nobody');
    expect(await (await app.current.get('/optional', 'acme')).text()).toBe('acme');
  });

  it.each([
    ['', 400, 'Invalid tenant'],
    ['undefined', 400, 'Invalid tenant'],
    ['forbidden', 403, 'Tenant access denied'],
  ])('refuses %p with %i before any guard runs', async (tenantId, status, message) => {
    for (const path of ['/who', '/optional', '/admin']) {
      const response = await app.current.get(path, tenantId);
      expect(response.status).toBe(status);
      expect(await response.json()).toEqual(expect.objectContaining({ statusCode: status, message }));
    }
    expect(stages).toEqual({});
  });

  it('an error of the resolver passes, and nothing behind it runs', async () => {
    resolveTenant.mockImplementationOnce(() => {
      throw new HttpException('Payment required', 402);
    });
    expect((await app.current.get('/who', 'acme')).status).toBe(402);
    authorize.mockRejectedValueOnce(new Error('secret detail'));
    const response = await app.current.get('/who', 'acme');
    expect(response.status).toBe(500);
    expect(await response.text()).not.toContain('secret');
    expect(stages).toEqual({});
  });
});

describe('on express, a middleware that waits for the body by itself', () => {
  const app = useHttpApp('express', {
    controllers,
    middleware: true,
    behindMiddleware: (request, _response, next) => request.on('data', () => undefined).on('end', next),
  });

  it('does not lose the tenant of those behind it', async () => {
    const response = await app.current.get('/who', 'acme', {
      method: 'POST',
      headers: { 'content-type': 'application/octet-stream' },
      body: slowly('some', 'bytes', 'in', 'pieces'),
      duplex: 'half',
    });
    expect(await response.json()).toEqual({ guard: 'acme', pipe: 'acme', handler: 'acme' });
  });
});

describe.each(PLATFORMS)('on %s, the middleware before a guard that authenticates', (platform) => {
  const app = useHttpApp(platform, {
    controllers,
    middleware: true,
    context: {
      resolveTenant: firstOf(
        fromUser((user: { tenantId?: string }) => user.tenantId),
        fromHeader('x-tenant-id'),
      ),
    },
  });

  it('finds nobody, and the interceptor asks again once the user is known', async () => {
    const response = await app.current.get('/guarded', undefined, { headers: { 'x-user-of': 'acme' } });
    expect(await response.text()).toBe('acme');
    expect(stages.guard).toBe('nobody');
  });

  it('what it found stands', async () => {
    const response = await app.current.get('/guarded', 'umbrella', { headers: { 'x-user-of': 'acme' } });
    expect(await response.text()).toBe('umbrella');
  });
});
