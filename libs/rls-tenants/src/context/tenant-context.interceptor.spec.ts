import 'reflect-metadata';
import type { ExecutionContext } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { defer, firstValueFrom, of } from 'rxjs';
import { AdminScoped } from './admin-scoped.decorator.js';
import { TenantContextInterceptor } from './tenant-context.interceptor.js';
import { currentTenantContext, tenantContext, type TenantContextState } from './tenant-context.js';

class Handlers {
  @AdminScoped('queue maintenance')
  admin(): void {}
  plain(): void {}
}

describe.each(['rpc', 'some-other-transport'])(
  'TenantContextInterceptor on %s, where no request can be resolved',
  (type) => {
    const resolveTenant = jest.fn();
    const interceptor = new TenantContextInterceptor(
      { tenantIdType: 'text', resolveTenant },
      new Reflector(),
    );
    const next = { handle: () => defer(() => of(currentTenantContext())) };

    const handle = async (name: keyof Handlers): Promise<TenantContextState> => {
      const context = {
        getType: () => type,
        getClass: () => Handlers,
        getHandler: () => Object.getOwnPropertyDescriptor(Handlers.prototype, name)?.value as () => void,
      };
      const result = await interceptor.intercept(context as unknown as ExecutionContext, next);
      return (await firstValueFrom(result)) as TenantContextState;
    };

    afterEach(() => {
      if (resolveTenant.mock.calls.length > 0) throw new Error('The resolver was asked for a tenant.');
    });

    it('a handler runs in the context that surrounds it, which is nobody if none was entered', async () => {
      expect(await handle('plain')).toEqual({ kind: 'nobody' });
      expect(await tenantContext('a', () => handle('plain'))).toEqual({ kind: 'tenant', tenantId: 'a' });
    });

    it('@AdminScoped holds', async () => {
      expect(await tenantContext('a', () => handle('admin'))).toEqual({
        kind: 'admin',
        reason: 'queue maintenance',
      });
    });
  },
);
