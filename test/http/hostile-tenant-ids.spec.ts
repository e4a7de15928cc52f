import { Body, Controller, Get, HttpCode, Post, Query } from '@nestjs/common';
import { TenantOptional, type TenantRequest } from '../../libs/rls-tenants/src/context/index.js';
import { TENANT_ID_TYPES } from '../../libs/rls-tenants/src/context/tenant-id.js';
import { HOSTILE_TENANT_IDS } from '../support/hostile-tenant-ids.js';
import { PLATFORMS, useHttpApp } from './support/http-app.js';

const handler = jest.fn();

@Controller()
class AnyController {
  @Post('need')
  @HttpCode(200)
  need(@Body() _body: object): void {
    handler();
  }

  @TenantOptional()
  @Post('optional')
  @HttpCode(200)
  optional(@Body() _body: object): void {
    handler();
  }

  @TenantOptional()
  @Get('query')
  query(@Query() _query: object): void {
    handler();
  }
}

const members = new Set(['member', '42', '00000000-0000-4000-8000-000000000042']);

describe.each(PLATFORMS)('on %s, a hostile tenant id', (platform) => {
  describe.each(TENANT_ID_TYPES)('where tenants are of type %s', (tenantIdType) => {
    const resolveTenant = (request: TenantRequest) =>
      (request.body as { tenantId?: string })?.tenantId ?? (request.query as { tenantId?: string })?.tenantId;
    const authorize = jest.fn((tenantId: string) => members.has(tenantId));
    const app = useHttpApp(platform, {
      controllers: [AnyController],
      context: { tenantIdType, resolveTenant, authorize },
    });
    const post = (path: string, tenantId: unknown) =>
      app.current.get(path, undefined, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ tenantId }),
      });

    beforeEach(() => {
      handler.mockClear();
      authorize.mockClear();
    });

    it('control: the id of a member reaches the handler', async () => {
      const member = tenantIdType === 'text' ? 'member' : tenantIdType === 'uuid' ? [...members][2] : 42;
      expect((await post('/need', member)).status).toBe(200);
      expect((await app.current.get(`/query?tenantId=${member}`)).status).toBe(200);
      expect(handler).toHaveBeenCalledTimes(2);
    });

    it.each(HOSTILE_TENANT_IDS)('in a JSON body is refused: $name', async ({ value, wellFormedFor }) => {
      const isWellFormed = wellFormedFor.includes(tenantIdType);
      for (const path of ['/need', '/optional']) {
        const response = await post(path, value);
        expect(response.status).toBe(isWellFormed ? 403 : 400);
        const { message } = (await response.json()) as { message: string };
        // Fastify's own parser refuses a body with a `__proto__`, before anybody asks for its tenant.
        expect(message).toMatch(
          isWellFormed
            ? /^Tenant access denied$/
            : /^(?:Invalid tenant|Body is not valid JSON.*|Object contains forbidden prototype property)$/,
        );
      }
      expect(authorize).toHaveBeenCalledTimes(isWellFormed ? 2 : 0);
      expect(handler).not.toHaveBeenCalled();
    });

    it.each(HOSTILE_TENANT_IDS.filter(({ value }) => typeof value === 'string' && value.length < 8_000))(
      'in the query is refused: $name',
      async ({ value }) => {
        // Lone surrogates cannot be encoded: they arrive as the replacement character.
        const encoded = new URLSearchParams({ tenantId: value as string }).toString();
        const response = await app.current.get(`/query?${encoded}`);
        expect([400, 403]).toContain(response.status);
        expect(handler).not.toHaveBeenCalled();
      },
    );

    it.each([
      '?tenantId=42&tenantId=member',
      '?tenantId[]=42',
      '?tenantId[$ne]=1',
      '?tenantId=%ED%A0%80',
      '?tenantId=%C0%80',
      '?tenantId=%FF',
      '?tenantId',
    ])('in the raw query is refused: %s', async (query) => {
      const response = await app.current.get(`/query${query}`);
      // Express' parser knows no brackets: for it this is another parameter, and the request has no tenant.
      const isMissing = query.includes('[');
      expect(isMissing ? [200] : [400, 403]).toContain(response.status);
      expect(handler).toHaveBeenCalledTimes(isMissing ? 1 : 0);
    });
  });
});
