import { AsyncLocalStorage } from 'node:async_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import {
  Controller,
  Get,
  Injectable,
  Module,
  type CallHandler,
  type ExecutionContext,
  type INestApplication,
  type NestInterceptor,
} from '@nestjs/common';
import { APP_INTERCEPTOR } from '@nestjs/core';
import {
  context,
  ROOT_CONTEXT,
  trace,
  type Context,
  type ContextManager,
  type Span,
} from '@opentelemetry/api';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
  type SpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import pg from 'pg';
import type { Observable } from 'rxjs';
import type { DataSource } from 'typeorm';
import {
  AdminScoped,
  adminContext,
  tenantContext,
  tenantLogFields,
} from '../../libs/rls-tenants/src/index.js';
import { TenantSpanProcessor } from '../../libs/rls-tenants/src/opentelemetry/index.js';
import { Note } from '../support/notes.js';
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

const exporter = new InMemorySpanExporter();
const processor: SpanProcessor = new TenantSpanProcessor();
const tracer = new BasicTracerProvider({
  spanProcessors: [processor, new SimpleSpanProcessor(exporter)],
}).getTracer('test');

/** The active span, as `@opentelemetry/context-async-hooks` keeps it. */
class Contexts implements ContextManager {
  private readonly storage = new AsyncLocalStorage<Context>();
  active = () => this.storage.getStore() ?? ROOT_CONTEXT;
  with: ContextManager['with'] = (active, fn, self, ...args) =>
    this.storage.run(active, () => fn.apply(self, args));
  bind: ContextManager['bind'] = (_active, target) => target;
  enable = () => this;
  disable = () => this;
}

interface Statement {
  text: string;
  callback: (...args: unknown[]) => void;
}

/** A span for each statement, where `@opentelemetry/instrumentation-pg` makes its own: around `client.query`. */
function traceStatements(): () => void {
  const prototype = pg.Client.prototype as unknown as { query(...args: unknown[]): unknown };
  const { query } = prototype;
  prototype.query = function (statement, ...rest) {
    if (typeof statement === 'string') return query.call(this, statement, ...rest); // the test's own
    const span = tracer.startSpan('pg.query', {
      attributes: { 'db.statement': (statement as Statement).text },
    });
    const { callback } = statement as Statement;
    (statement as Statement).callback = (...args) => {
      span.end();
      callback(...args);
    };
    return query.call(this, statement, ...rest);
  };
  return () => (prototype.query = query);
}

/** What the guide says to give the span of a request. */
@Injectable()
class TenantSpanInterceptor implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    trace.getActiveSpan()?.setAttributes(tenantLogFields());
    return next.handle();
  }
}

@Module({ providers: [{ provide: APP_INTERCEPTOR, useClass: TenantSpanInterceptor }] })
class TracingModule {}

@Controller()
class NotesController {
  constructor(private readonly notes: Notes) {}

  @Get('own')
  own(): Promise<string[]> {
    return this.notes.owners();
  }

  @Get('all')
  @AdminScoped('all notes')
  all(): Promise<string[]> {
    return this.notes.owners();
  }
}

describe('Spans', () => {
  let db: ProtectedDatabase;
  let dataSource: DataSource;
  let untrace: () => void;

  beforeAll(async () => {
    untrace = traceStatements();
    db = await createNotesDatabase();
    dataSource = await db.isolated({}, { poolSize: 2 });
  });
  afterAll(async () => {
    untrace();
    await db.drop();
  });
  beforeEach(() => exporter.reset());

  const spans = (name: string) => exporter.getFinishedSpans().filter((span) => span.name === name);
  const attributes = (name: string) => spans(name).map((span) => span.attributes);

  it('of statements are for the tenant whose statement it is, of two tenants at once', async () => {
    await Promise.all(
      inTurn.map((tenantId) =>
        tenantContext(tenantId, async () => {
          await delay(Math.random() * 3);
          const rows = await dataSource.query<{ owner: string }[]>(
            `SELECT tenant_id AS owner, '${tenantId}' AS sender FROM note`,
          );
          expect(new Set(rows.map(({ owner }) => owner))).toEqual(new Set([tenantId]));
          await dataSource.getRepository(Note).find();
        }),
      ),
    );
    const raw = attributes('pg.query').filter((span) => String(span['db.statement']).includes('sender'));
    expect(raw).toHaveLength(inTurn.length);
    for (const span of raw) {
      expect(span).toMatchObject({ 'rls.context': 'tenant', 'rls.tenant': expect.any(String) });
      expect(span['db.statement']).toContain(`'${String(span['rls.tenant'])}' AS sender`);
    }
    expect(attributes('pg.query')).toHaveLength(2 * inTurn.length);
    expect(new Set(attributes('pg.query').map((span) => span['rls.tenant']))).toEqual(new Set([A, B]));
  });

  it('of an admin’s statements have the reason, those of nobody’s neither', async () => {
    await tenantContext(A, () =>
      adminContext('monthly report', () => dataSource.query('SELECT * FROM note')),
    );
    await dataSource.query('SELECT 1');
    expect(attributes('pg.query')).toEqual([
      { 'db.statement': 'SELECT * FROM note', 'rls.context': 'admin', 'rls.reason': 'monthly report' },
      { 'db.statement': 'SELECT 1', 'rls.context': 'nobody' },
    ]);
  });

  it.each<[string, (source: DataSource) => Promise<unknown>]>([
    ['a statement', (source) => source.query('SELECT * FROM note')],
    ['a statement with parameters', (source) => source.query('SELECT * FROM note WHERE id > $1', [0])],
    ['a find', (source) => source.getRepository(Note).find()],
    ['a transaction', (source) => source.transaction((manager) => manager.find(Note))],
    [
      'a callback',
      (source) =>
        new Promise((resolve, reject) => {
          (source.driver as unknown as { master: pg.Pool }).master.query(
            'SELECT * FROM note',
            (error, result) => (error ? reject(error) : resolve(result)),
          );
        }),
    ],
  ])(
    'of instrumentation that sends a copy of %s in its place: that is an error',
    async (_name, statement) => {
      const commented = await db.isolated({}, { poolSize: 1 });
      const prototype = pg.Client.prototype as unknown as { query(...args: unknown[]): unknown };
      const { query } = prototype;
      prototype.query = function (config, ...rest) {
        // As instrumentation-pg does with addSqlCommenterCommentToQueries.
        const copy = { ...(config as Statement), text: `${(config as Statement).text} /*traceparent='00'*/` };
        return query.call(this, copy, ...rest);
      };
      try {
        await expect(tenantContext(A, () => statement(commented))).rejects.toThrow('replaced it by a copy');
      } finally {
        prototype.query = query;
      }
    },
  );

  it('keep what they were given at their start', async () => {
    const span = tenantContext(A, () => tracer.startSpan('kept'));
    tenantContext(B, () => span.end());
    expect(attributes('kept')).toEqual([{ 'rls.context': 'tenant', 'rls.tenant': A }]);
  });

  describe('of requests', () => {
    let app: INestApplication;
    let url: string;

    beforeAll(async () => {
      context.setGlobalContextManager(new Contexts());
      trace.setGlobalTracerProvider({ getTracer: () => tracer });
      const module = rootModule(db, { controllers: [NotesController], imports: [TracingModule] });
      const started = await listen(module, (created) => {
        // As `@opentelemetry/instrumentation-http` does, before Nest.
        created.use((request: { url: string }, response: NodeJS.EventEmitter, next: () => void) => {
          const span: Span = tracer.startSpan('request', { attributes: { url: request.url } });
          response.once('finish', () => span.end());
          context.with(trace.setSpan(context.active(), span), next);
        });
      });
      app = started.app;
      url = `http://127.0.0.1:${started.port}`;
    });
    afterAll(async () => {
      await app.close();
      context.disable();
      trace.disable();
    });

    it('are told their tenant inside of the interceptor of the library, of two tenants at once', async () => {
      await Promise.all(
        inTurn.map(async (tenantId, index) => {
          const response = await fetch(`${url}/own?${tenantId}-${index}`, {
            headers: { 'x-tenant-id': tenantId },
          });
          expect(await response.json()).toEqual([tenantId]);
        }),
      );
      expect(spans('request')).toHaveLength(inTurn.length);
      for (const span of attributes('request')) {
        expect(span['rls.context']).toBe('tenant');
        expect(span['url']).toContain(String(span['rls.tenant']));
      }
    });

    it('are told that they run as admin, and why', async () => {
      await fetch(`${url}/all`);
      expect(attributes('request')).toEqual([
        { url: '/all', 'rls.context': 'admin', 'rls.reason': 'all notes' },
      ]);
      expect(attributes('pg.query')).toEqual([
        expect.objectContaining({ 'rls.context': 'admin', 'rls.reason': 'all notes' }),
      ]);
    });
  });
});
