import { request as httpRequest } from 'node:http';
import { text } from 'node:stream/consumers';
import { Controller, Get, type INestApplication } from '@nestjs/common';
import {
  firstOf,
  fromHeader,
  fromPath,
  fromSubdomain,
  fromUser,
} from '../../libs/rls-tenants/src/context/index.js';
import { PLATFORMS, startHttpApp, useHttpApp, who, type HttpApp } from './support/http-app.js';

let handled = 0;

@Controller()
class WhoController {
  @Get(['who', 'tenants/:tenantId/who', 'tenants/:tenantId/tasks/:taskId'])
  who(): string {
    handled++;
    return who();
  }
}

const controllers = [WhoController];

/** Sends the header lines as they are written, twice the same one included. */
async function send(app: HttpApp, path: string, headers: string[] = []): Promise<string> {
  const host = headers.includes('Host') ? [] : ['Host', 'localhost'];
  const request = httpRequest({
    port: app.port,
    host: '127.0.0.1',
    path,
    headers: [...host, ...headers, 'Connection', 'close'],
  });
  return new Promise((resolve, reject) => {
    request.once('error', reject);
    request.once('response', (response) => {
      text(response).then(
        (body) => resolve(response.statusCode === 200 ? body : String(response.statusCode)),
        reject,
      );
    });
    request.end();
  });
}

describe.each(PLATFORMS)('on %s', (platform) => {
  beforeEach(() => {
    handled = 0;
  });

  describe('fromHeader', () => {
    const app = useHttpApp(platform, { controllers, context: { resolveTenant: fromHeader('X-Tenant-Id') } });

    it.each<[string[], string]>([
      [['x-tenant-id', 'acme'], 'acme'],
      [['X-TENANT-ID', 'acme'], 'acme'],
      [['X-Tenant-Id', '  acme  '], 'acme'],
      [[], '403'],
      [['X-Tenant-Id', ''], '400'],
      [['X-Tenant-Id', '   '], '400'],
      [['X-Tenant-Id', 'acme', 'X-Tenant-Id', 'umbrella'], '400'],
      [['X-Tenant-Id', 'acme', 'x-tenant-id', 'acme'], '400'],
      [['X-Tenant-Id', 'acme, umbrella'], '400'],
      [['X-Tenant-Id', 'acme\tumbrella'], '400'],
    ])('%j gives %s', async (headers, expected) => {
      expect(await send(app.current, '/who', headers)).toBe(expected);
      expect(handled).toBe(expected === 'acme' ? 1 : 0);
    });
  });

  describe('fromSubdomain', () => {
    const app = useHttpApp(platform, {
      controllers,
      context: { resolveTenant: fromSubdomain({ baseDomain: 'example.com' }) },
    });

    it.each([
      ['acme.example.com', 'acme'],
      ['ACME.example.COM:8080', 'acme'],
      ['acme.example.com.', 'acme'],
      ['example.com', '403'],
      ['www.example.com', '403'],
      ['a.b.example.com', '403'],
      ['acme.example.com.evil.org', '403'],
      ['127.0.0.1', '403'],
      ['[::1]:3000', '403'],
      ["';--.example.com", '400'],
      ['.example.com', '400'],
    ])('host %s gives %s', async (host, expected) => {
      expect(await send(app.current, '/who', ['Host', host])).toBe(expected);
    });

    it('two hosts are refused', async () => {
      expect(await send(app.current, '/who', ['Host', 'a.example.com', 'Host', 'b.example.com'])).toBe('400');
    });

    it('X-Forwarded-Host of a proxy that is not trusted does not count', async () => {
      const headers = ['Host', 'acme.example.com', 'X-Forwarded-Host', 'umbrella.example.com'];
      expect(await send(app.current, '/who', headers)).toBe('acme');
    });
  });

  describe('fromPath', () => {
    const app = useHttpApp(platform, { controllers, context: { resolveTenant: fromPath('tenantId') } });

    it.each([
      ['/tenants/acme/who', 'acme'],
      ['/tenants/acme/tasks/7', 'acme'],
      ['/tenants/%61cme/who', 'acme'],
      ['/who', '403'],
      ['/tenants/undefined/who', '400'],
      ['/tenants/%00/who', '400'],
      ['/tenants/%20/who', '400'],
      ['/tenants/%E2%80%8Bacme/who', '400'],
      ['/tenants/%zz/who', '400'],
    ])('%s gives %s', async (path, expected) => {
      expect(await send(app.current, path)).toBe(expected);
    });

    it('a parameter that reaches for the prototype finds nothing', async () => {
      const app = await startHttpApp(platform, {
        controllers,
        context: { resolveTenant: fromPath('__proto__') },
      });
      try {
        expect(await send(app, '/tenants/acme/who')).toBe('403');
      } finally {
        await app.close();
      }
    });
  });

  describe('fromUser', () => {
    const authenticate = (app: INestApplication) => {
      app.use(
        (
          request: { headers: Record<string, string>; user?: object },
          _response: object,
          next: () => void,
        ) => {
          const tenantId = request.headers['x-user-of'];
          if (tenantId !== undefined) request.user = { tenantId: tenantId || undefined };
          next();
        },
      );
    };
    const app = useHttpApp(platform, {
      controllers,
      middleware: true,
      configure: authenticate,
      context: { resolveTenant: fromUser((user: { tenantId?: string }) => user.tenantId) },
    });

    it.each<[string[], string]>([
      [['X-User-Of', 'acme'], 'acme'],
      [['X-User-Of', ''], '403'],
      [['X-User-Of', 'null'], '400'],
      [['X-Tenant-Id', 'acme'], '403'],
    ])('%j gives %s', async (headers, expected) => {
      expect(await send(app.current, '/who', headers)).toBe(expected);
    });
  });

  describe('firstOf', () => {
    const app = useHttpApp(platform, {
      controllers,
      context: {
        resolveTenant: firstOf(fromHeader('x-tenant-id'), fromPath('tenantId')),
        authorize: (tenantId) => tenantId !== 'forbidden',
      },
    });

    it.each<[string, string[], string]>([
      ['/who', ['X-Tenant-Id', 'acme'], 'acme'],
      ['/tenants/umbrella/who', [], 'umbrella'],
      ['/tenants/umbrella/who', ['X-Tenant-Id', 'acme'], 'acme'],
      ['/tenants/umbrella/who', ['X-Tenant-Id', ''], '400'],
      ['/tenants/umbrella/who', ['X-Tenant-Id', 'forbidden'], '403'],
      ['/tenants/forbidden/who', ['X-Tenant-Id', 'acme'], 'acme'],
      ['/who', [], '403'],
    ])('%s with %j gives %s', async (path, headers, expected) => {
      expect(await send(app.current, path, headers)).toBe(expected);
    });
  });
});
