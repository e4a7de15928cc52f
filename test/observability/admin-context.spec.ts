import { setTimeout as delay } from 'node:timers/promises';
import { Controller, Get, Injectable, type INestApplication } from '@nestjs/common';
import {
  AdminScoped,
  adminContext,
  TenantContext,
  tenantContext,
  withoutTenant,
  type AdminContextEndedEvent,
  type AdminContextEvent,
} from '../../libs/rls-tenants/src/index.js';
import { of, throwError } from 'rxjs';
import type { ProtectedDatabase } from '../support/protected-database.js';
import { A, B, createNotesDatabase, listen, Notes, rootModule } from '../transports/support/notes-app.js';
import { publishedBy } from './support/events.js';

const ENTERED = 'rls-tenants:admin-context';
const ENDED = 'rls-tenants:admin-context-ended';

/** `file:line` of whoever calls this. */
function here(): string {
  const holder: { stack?: string } = {};
  Error.captureStackTrace(holder, here);
  return /(\/[^\s(]+:\d+):\d+/.exec(holder.stack!)![1]!;
}

@Injectable()
class Reports {
  place = '';

  constructor(
    private readonly tenants: TenantContext,
    private readonly notes: Notes,
  ) {}

  owners(): Promise<string[]> {
    // prettier-ignore
    return this.tenants.runAsAdmin('a report', () => { this.place = here(); return this.notes.owners(); });
  }
}

@Controller()
class ReportsController {
  constructor(
    private readonly reports: Reports,
    private readonly notes: Notes,
  ) {}

  @Get('all')
  @AdminScoped('all notes')
  async all(): Promise<string[]> {
    await delay(20);
    return this.notes.owners();
  }

  @Get('failing')
  @AdminScoped('will fail')
  failing(): Promise<never> {
    return Promise.reject(new Error('failed'));
  }

  @Get('stream')
  @AdminScoped('a stream of notes')
  stream() {
    return of('x');
  }

  @Get('report')
  report(): Promise<string[]> {
    return this.reports.owners();
  }

  @Get('own')
  own(): Promise<string[]> {
    return this.notes.owners();
  }
}

describe('An admin context', () => {
  describe('of code', () => {
    it('is published with its reason, its caller and the tenant context it is entered from', async () => {
      let place = '';
      const { events } = await publishedBy<AdminContextEvent>(ENTERED, () =>
        tenantContext(A, () => {
          void [(place = here()), adminContext('nightly run', () => undefined)];
        }),
      );
      expect(place).toMatch(/admin-context\.spec\.ts:\d+$/);
      expect(events).toEqual([
        {
          event: 'admin context',
          reason: 'nightly run',
          caller: place,
          from: { kind: 'tenant', tenantId: A },
        },
      ]);
    });

    it('is published before it begins, in the context that surrounds it', async () => {
      const order: string[] = [];
      const { published } = await publishedBy(ENTERED, () =>
        tenantContext(A, () => adminContext('inner', () => order.push('inside'))),
      );
      expect(published.map((one) => one.in)).toEqual([{ kind: 'tenant', tenantId: A }]);
      expect(order).toEqual(['inside']);
    });

    it('says its caller behind an await, too', async () => {
      const work = async () => {
        await delay(1);
        return adminContext('later', async () => 1);
      };
      const { events } = await publishedBy<AdminContextEvent>(ENTERED, work);
      expect(events[0]?.caller).toMatch(/admin-context\.spec\.ts:\d+$/);
    });

    it('is published each time, inside of another one as well', async () => {
      const { events } = await publishedBy<AdminContextEvent>(ENTERED, () =>
        adminContext('outer', () =>
          adminContext('inner', () => withoutTenant(() => adminContext('third', () => 1))),
        ),
      );
      expect(events.map(({ reason, from }) => [reason, from])).toEqual([
        ['outer', { kind: 'nobody' }],
        ['inner', { kind: 'admin', reason: 'outer' }],
        ['third', { kind: 'nobody' }],
      ]);
    });

    it('is not published if it is refused for want of a reason', async () => {
      const { events } = await publishedBy(ENTERED, () =>
        expect(() => adminContext(' ', () => 1)).toThrow('needs a reason'),
      );
      expect(events).toEqual([]);
    });

    it.each<[string, () => unknown, boolean, unknown]>([
      ['returns', () => 1, false, 1],
      [
        'throws',
        () => {
          throw new Error('failed');
        },
        true,
        'failed',
      ],
      ['resolves', () => delay(20, 2), false, 2],
      ['rejects', () => delay(20).then(() => Promise.reject(new Error('failed'))), true, 'failed'],
    ])('that %s is published as ended', async (_name, fn, failed, value) => {
      const { events } = await publishedBy<AdminContextEndedEvent>(ENDED, async () => {
        const run = async () => adminContext('short', fn);
        expect(await run().catch((error: Error) => error.message)).toBe(value);
      });
      expect(events).toEqual([
        {
          event: 'admin context ended',
          reason: 'short',
          caller: expect.stringMatching(/admin-context\.spec\.ts:\d+$/),
          from: { kind: 'nobody' },
          durationMs: expect.any(Number),
          failed,
        },
      ]);
    });

    it('that ends lasts as long as its promise', async () => {
      const { events } = await publishedBy<AdminContextEndedEvent>(ENDED, () =>
        adminContext('long', () => delay(30)),
      );
      expect(events[0]!.durationMs).toBeGreaterThan(25);
    });

    it('returns and throws what its function does, whoever listens', async () => {
      const failure = new Error('failed');
      await publishedBy(ENDED, async () => {
        expect(adminContext('value', () => 1)).toBe(1);
        await expect(adminContext('promise', async () => 2)).resolves.toBe(2);
        await expect(adminContext('error', () => Promise.reject(failure))).rejects.toBe(failure);
        const errors: unknown[] = [];
        adminContext('Observable', () => throwError(() => failure)).subscribe({
          error: (error) => errors.push(error),
        });
        expect(errors).toEqual([failure]);
      });
    });
  });

  describe('of an application', () => {
    let db: ProtectedDatabase;
    let app: INestApplication;
    let url: string;

    beforeAll(async () => {
      db = await createNotesDatabase();
      const started = await listen(
        rootModule(db, { controllers: [ReportsController], providers: [Reports] }),
      );
      app = started.app;
      url = `http://127.0.0.1:${started.port}`;
    });
    afterAll(async () => {
      await app.close();
      await db.drop();
    });

    const get = async (path: string, tenantId?: string) => {
      const response = await fetch(url + path, { headers: tenantId ? { 'x-tenant-id': tenantId } : {} });
      return response.json();
    };

    it('names the handler marked @AdminScoped', async () => {
      let owners: unknown;
      const { events } = await publishedBy<AdminContextEvent>(ENTERED, async () => {
        owners = await get('/all');
      });
      expect(owners).toEqual([A, B]); // it is an admin context indeed
      expect(events).toEqual([
        {
          event: 'admin context',
          reason: 'all notes',
          caller: 'ReportsController.all',
          from: { kind: 'nobody' },
        },
      ]);
    });

    it('ends with the handler', async () => {
      const { events } = await publishedBy<AdminContextEndedEvent>(ENDED, async () => {
        await get('/all');
        await get('/failing');
        await fetch(`${url}/stream`);
      });
      expect(events.map(({ caller, failed }) => [caller, failed])).toEqual([
        ['ReportsController.all', false],
        ['ReportsController.failing', true],
        ['ReportsController.stream', false],
      ]);
      expect(events[0]!.durationMs).toBeGreaterThan(15);
    });

    it('of two tenants at once names each of them, and the service that entered it', async () => {
      const { events } = await publishedBy<AdminContextEvent>(ENTERED, () =>
        Promise.all([A, B, A, B].map((tenantId) => get('/report', tenantId))),
      );
      const { place } = app.get(Reports);
      expect(events.map(({ caller }) => caller)).toEqual([place, place, place, place]);
      const from = events.map((event) =>
        event.from.kind === 'tenant' ? event.from.tenantId : event.from.kind,
      );
      expect(from.toSorted()).toEqual([A, A, B, B]);
    });

    it('is nothing that a tenant’s request enters', async () => {
      const { events } = await publishedBy(ENTERED, async () => {
        expect(await get('/own', A)).toEqual([A]);
      });
      expect(events).toEqual([]);
    });
  });
});
