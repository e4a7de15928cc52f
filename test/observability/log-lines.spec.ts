import { Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { ConsoleLogger, Controller, Get, Logger, Req, type INestApplication } from '@nestjs/common';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import {
  AdminScoped,
  adminContext,
  logTenantEvents,
  tenantContext,
  tenantLogFields,
  TenantOptional,
} from '../../libs/rls-tenants/src/index.js';
import type { ProtectedDatabase } from '../support/protected-database.js';
import {
  A,
  B,
  createNotesDatabase,
  inTurn,
  listen,
  Notes,
  rootModule,
} from '../transports/support/notes-app.js';

type Line = Record<string, unknown>;

/** A destination that keeps the lines it is written. */
function lines(): { stream: Writable; written: Line[] } {
  const written: Line[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      for (const line of chunk.toString().split('\n').filter(Boolean)) written.push(JSON.parse(line) as Line);
      done();
    },
  });
  return { stream, written };
}

/** Nest's own logger, with the fields in each JSON line. */
class TenantLogger extends ConsoleLogger {
  constructor() {
    super({ json: true, colors: false });
  }

  protected override getJsonLogObject(...args: Parameters<ConsoleLogger['getJsonLogObject']>) {
    return { ...super.getJsonLogObject(...args), ...tenantLogFields() };
  }
}

@Controller()
class LoggingController {
  constructor(private readonly notes: Notes) {}

  @Get('own')
  async own(@Req() request: { log: { info(fields: object, text: string): void } }): Promise<string[]> {
    await delay(Math.random() * 5);
    const owners = await this.notes.owners();
    request.log.info({ owners }, 'own');
    return owners;
  }

  @Get('all')
  @AdminScoped('all notes')
  async all(@Req() request: { log: { info(fields: object, text: string): void } }): Promise<string[]> {
    const owners = await this.notes.owners();
    request.log.info({ owners }, 'all');
    return owners;
  }

  @Get('nobody')
  @TenantOptional()
  nobody(@Req() request: { log: { info(fields: object, text: string): void } }): string {
    request.log.info({}, 'nobody');
    return 'nobody';
  }

  @Get('steal')
  async steal(): Promise<void> {
    await this.notes.steal(B);
  }
}

describe('Log lines', () => {
  it('say whom the call chain acts for', () => {
    expect(tenantLogFields()).toEqual({ 'rls.context': 'nobody' });
    expect(tenantContext(A, tenantLogFields)).toEqual({ 'rls.context': 'tenant', 'rls.tenant': A });
    expect(adminContext('why', tenantLogFields)).toEqual({ 'rls.context': 'admin', 'rls.reason': 'why' });
  });

  describe('of an application', () => {
    const { stream, written } = lines();
    let db: ProtectedDatabase;
    let app: INestApplication;
    let url: string;

    beforeAll(async () => {
      db = await createNotesDatabase();
      // Fastify's logger is pino.
      const adapter = new FastifyAdapter({ logger: { stream, mixin: () => tenantLogFields() } });
      const started = await listen(
        rootModule(db, { controllers: [LoggingController] }),
        () => undefined,
        adapter,
      );
      app = started.app;
      url = `http://127.0.0.1:${started.port}`;
    });
    afterAll(async () => {
      await app.close();
      await db.drop();
    });
    beforeEach(() => {
      written.length = 0;
    });

    const get = (path: string, tenantId?: string) =>
      fetch(url + path, { headers: tenantId ? { 'x-tenant-id': tenantId } : {} });
    const logged = (msg: string) => written.filter((line) => line['msg'] === msg);

    it('of pino have the fields of their own request, of two tenants at once', async () => {
      await Promise.all(inTurn.map((tenantId) => get('/own', tenantId)));
      expect(logged('own')).toHaveLength(inTurn.length);
      expect(new Set(logged('own').map((line) => line['rls.tenant']))).toEqual(new Set([A, B]));
      for (const line of logged('own')) {
        expect(line).toMatchObject({ 'rls.context': 'tenant', owners: [line['rls.tenant']] });
      }
    });

    it('of pino name the admin with the reason, and nobody', async () => {
      await get('/all');
      await get('/nobody');
      expect(logged('all')).toEqual([
        expect.objectContaining({ 'rls.context': 'admin', 'rls.reason': 'all notes', owners: [A, B] }),
      ]);
      expect(logged('nobody')).toEqual([expect.objectContaining({ 'rls.context': 'nobody' })]);
      expect(logged('nobody')[0]).not.toHaveProperty('rls.tenant');
    });

    describe('of Nest’s Logger', () => {
      let output: string;

      beforeEach(() => {
        output = '';
        jest.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
          output += String(chunk);
          return true;
        });
        jest.spyOn(process.stderr, 'write').mockReturnValue(true);
        Logger.overrideLogger(new TenantLogger());
      });
      afterEach(() => {
        jest.restoreAllMocks();
        Logger.overrideLogger(false);
      });
      const json = () =>
        output
          .trim()
          .split('\n')
          .filter(Boolean)
          .map((line) => JSON.parse(line) as Line);

      it('have the fields', () => {
        tenantContext(A, () => new Logger('Tasks').log('hello'));
        expect(json()).toEqual([
          expect.objectContaining({
            message: 'hello',
            context: 'Tasks',
            'rls.context': 'tenant',
            'rls.tenant': A,
          }),
        ]);
      });

      it('are one for each admin context, refused statement and violation', async () => {
        const stop = logTenantEvents();
        try {
          await get('/all');
          await get('/steal', A);
          await app
            .get(Notes)
            .all()
            .catch(() => undefined);
          await tenantContext(A, () => adminContext('nightly run', async () => undefined));
        } finally {
          stop();
        }
        const events = json().filter(({ context }) => context === 'RlsTenants');
        expect(events.map(({ level, message }) => ({ level, ...(message as Line) }))).toEqual([
          {
            level: 'log',
            event: 'admin context',
            reason: 'all notes',
            caller: 'LoggingController.all',
            from: { kind: 'nobody' },
          },
          {
            level: 'warn',
            event: 'violation',
            context: { kind: 'tenant', tenantId: A },
            error: 'RlsViolationError',
            message: 'new row violates row-level security policy for table "note"',
          },
          {
            level: 'warn',
            event: 'statement refused',
            context: { kind: 'nobody' },
            error: 'NoTenantContextError',
            message: expect.stringContaining('"note"'),
          },
          {
            level: 'log',
            event: 'admin context',
            reason: 'nightly run',
            caller: expect.stringMatching(/log-lines\.spec\.ts:\d+$/),
            from: { kind: 'tenant', tenantId: A },
          },
        ]);
        // The logger's own fields are those of the context in which it happened.
        expect(events.map((line) => line['rls.context'])).toEqual(['nobody', 'tenant', 'nobody', 'tenant']);
      });

      it('are none after the end', async () => {
        logTenantEvents()();
        adminContext('unheard', () => undefined);
        await app
          .get(Notes)
          .all()
          .catch(() => undefined);
        expect(json()).toEqual([]);
      });
    });
  });
});
