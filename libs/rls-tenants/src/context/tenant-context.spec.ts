import { setTimeout as delay } from 'node:timers/promises';
import { ClsServiceManager } from 'nestjs-cls';
import { InvalidTenantIdError, NoTenantContextError, RlsTenantsError } from '../errors.js';
import { TenantContext } from './tenant-context.service.js';
import {
  adminContext,
  currentTenantContext,
  requireTenantId,
  runIn,
  tenantContext,
  withoutTenant,
} from './tenant-context.js';

const NOBODY = { kind: 'nobody' };
const tenant = (tenantId: string) => ({ kind: 'tenant', tenantId });

function expectNobody(): void {
  expect(currentTenantContext()).toEqual(NOBODY);
}

describe('the tenant context', () => {
  afterEach(expectNobody);

  it('is nobody where none was entered', () => {
    expect(currentTenantContext()).toEqual(NOBODY);
    expect(requireTenantId).toThrow(NoTenantContextError);
  });

  it('holds inside, and returns what the function returns', () => {
    expect(tenantContext('a', () => [requireTenantId(), 1])).toEqual(['a', 1]);
    expect(tenantContext(7, requireTenantId)).toBe('7');
    expect(tenantContext(7n, requireTenantId)).toBe('7');
  });

  it('nests: tenant in tenant, admin in tenant in admin, nobody in between', () => {
    adminContext('outer', () => {
      tenantContext('a', () => {
        adminContext('inner', () => {
          expect(currentTenantContext()).toEqual({ kind: 'admin', reason: 'inner' });
          tenantContext('b', () => expect(currentTenantContext()).toEqual(tenant('b')));
          withoutTenant(() => expect(currentTenantContext()).toEqual(NOBODY));
          expect(currentTenantContext()).toEqual({ kind: 'admin', reason: 'inner' });
        });
        expect(currentTenantContext()).toEqual(tenant('a'));
      });
      expect(currentTenantContext()).toEqual({ kind: 'admin', reason: 'outer' });
    });
  });

  it('is restored on success, on early return and on a thrown error', async () => {
    const leaveEarly = () => {
      for (const id of ['b', 'c']) return tenantContext(id, requireTenantId);
      return undefined;
    };
    await tenantContext('a', async () => {
      expect(leaveEarly()).toBe('b');
      expect(requireTenantId()).toBe('a');
      expect(() =>
        tenantContext('b', () => {
          throw new Error('sync');
        }),
      ).toThrow('sync');
      expect(requireTenantId()).toBe('a');
      await expect(
        tenantContext('b', async () => {
          await delay(1);
          expect(requireTenantId()).toBe('b');
          throw new Error('async');
        }),
      ).rejects.toThrow('async');
      expect(requireTenantId()).toBe('a');
    });
  });

  it('stays with a promise that settles after the context was left', async () => {
    const late = tenantContext('a', async () => {
      await delay(5);
      return requireTenantId();
    });
    expect(currentTenantContext()).toEqual(NOBODY);
    await tenantContext('b', async () => {
      expect(await late).toBe('a');
      expect(requireTenantId()).toBe('b');
    });
  });

  it('keeps the tenants of Promise.all apart', async () => {
    const ids = Array.from({ length: 200 }, (_, index) => `t${index}`);
    const seen = await Promise.all(
      ids.map((id) =>
        tenantContext(id, async () => {
          const observed = [requireTenantId()];
          for (let step = 0; step < 5; step++) {
            await delay(Math.random() * 5);
            observed.push(requireTenantId());
          }
          return new Set(observed);
        }),
      ),
    );
    expect(seen).toEqual(ids.map((id) => new Set([id])));
  });

  it('goes along with timers, immediates and microtasks started inside', async () => {
    const seen = await tenantContext('a', () =>
      Promise.all([
        new Promise((resolve) => setTimeout(() => resolve(requireTenantId()), 1)),
        new Promise((resolve) => setImmediate(() => resolve(requireTenantId()))),
        new Promise((resolve) => process.nextTick(() => resolve(requireTenantId()))),
        new Promise((resolve) => queueMicrotask(() => resolve(requireTenantId()))),
      ]),
    );
    expect(seen).toEqual(['a', 'a', 'a', 'a']);
  });

  it('refuses a malformed tenant id before the function runs', () => {
    const fn = jest.fn();
    for (const value of ['', 'undefined', undefined, null, {}, [], Number.NaN, '\0']) {
      expect(() => tenantContext(value as string, fn)).toThrow(InvalidTenantIdError);
    }
    expect(fn).not.toHaveBeenCalled();
  });

  it('enters the admin context only for a reason', () => {
    const fn = jest.fn();
    for (const reason of ['', ' ', undefined, null, 1]) {
      expect(() => adminContext(reason as string, fn)).toThrow(RlsTenantsError);
    }
    expect(fn).not.toHaveBeenCalled();
    expect(() => adminContext('audit', requireTenantId)).toThrow(NoTenantContextError);
  });

  it('has states that cannot be changed, so that nobody can turn one tenant into another', () => {
    for (const state of [
      currentTenantContext(),
      tenantContext('a', currentTenantContext),
      adminContext('audit', currentTenantContext),
    ]) {
      expect(Object.isFrozen(state)).toBe(true);
    }
  });

  it('can be entered again with a state captured elsewhere', () => {
    const state = tenantContext('a', currentTenantContext);
    expect(runIn(state, currentTenantContext)).toBe(state);
  });
});

describe('beside other users of nestjs-cls', () => {
  const cls = ClsServiceManager.getClsService();

  it('their values stay readable inside, and values set inside stay inside', () => {
    cls.run(() => {
      cls.set('requestId', 'r1');
      tenantContext('a', () => {
        expect(cls.get('requestId')).toBe('r1');
        cls.set('requestId', 'r2');
        tenantContext('b', () => expect(cls.get('requestId')).toBe('r2'));
      });
      expect(cls.get('requestId')).toBe('r1');
    });
  });

  it('a nested run that inherits keeps the tenant, one that starts afresh is nobody', () => {
    tenantContext('a', () => {
      cls.run({ ifNested: 'inherit' }, () => expect(requireTenantId()).toBe('a'));
      cls.run({ ifNested: 'override' }, () => expect(currentTenantContext()).toEqual(NOBODY));
      cls.exit(() => expect(currentTenantContext()).toEqual(NOBODY));
      expect(requireTenantId()).toBe('a');
    });
  });
});

describe('TenantContext', () => {
  const context = new TenantContext({ tenantIdType: 'integer', resolveTenant: () => undefined });

  it('reads the state of its caller', () => {
    expect([context.current(), context.tenantId]).toEqual([NOBODY, undefined]);
    expect(() => context.requireTenantId()).toThrow(NoTenantContextError);
    context.run(7, () => {
      expect([context.current(), context.tenantId, context.requireTenantId()]).toEqual([
        tenant('7'),
        '7',
        '7',
      ]);
      context.runWithoutTenant(() => expect(context.tenantId).toBeUndefined());
      context.runAsAdmin('audit', () => {
        expect([context.current(), context.tenantId]).toEqual([
          { kind: 'admin', reason: 'audit' },
          undefined,
        ]);
      });
    });
  });

  it('refuses an id that is not of the configured type', () => {
    expect(() => context.run('acme', jest.fn())).toThrow(InvalidTenantIdError);
    expect(() => context.run(2 ** 31, jest.fn())).toThrow(InvalidTenantIdError);
  });
});
