import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  Module,
  type INestApplication,
  type MiddlewareConsumer,
  type NestModule,
  type Provider,
  type Type,
} from '@nestjs/common';
import { APP_INTERCEPTOR, NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import {
  fromHeader,
  RLS_TENANTS_OPTIONS,
  TenantContextInterceptor,
  TenantContextMiddleware,
  type TenantContextOptions,
} from '../../../libs/rls-tenants/src/context/index.js';
import { currentTenantContext } from '../../../libs/rls-tenants/src/context/tenant-context.js';

export const PLATFORMS = ['express', 'fastify'] as const;
export type Platform = (typeof PLATFORMS)[number];

export interface AppOptions {
  controllers: Type[];
  providers?: Provider[];
  /** Over the defaults: text ids from the header `x-tenant-id`, all of them authorized. */
  context?: Partial<TenantContextOptions>;
  /** Puts TenantContextMiddleware in front of all routes. */
  middleware?: boolean;
  /** A middleware between TenantContextMiddleware and the routes. */
  behindMiddleware?: (request: IncomingMessage, response: ServerResponse, next: () => void) => void;
  /** What comes before the module's middleware: guards, filters, middleware that authenticates. */
  configure?: (app: INestApplication) => void;
}

export interface HttpApp {
  url: string;
  port: number;
  get(path: string, tenantId?: string, init?: RequestInit): Promise<Response>;
  close(): Promise<void>;
}

/** The context half of the library in a real HTTP server on loopback; no database. */
export async function startHttpApp(platform: Platform, options: AppOptions): Promise<HttpApp> {
  const context: TenantContextOptions = {
    tenantIdType: 'text',
    resolveTenant: fromHeader('x-tenant-id'),
    authorize: () => true,
    ...options.context,
  };
  @Module({
    controllers: options.controllers,
    providers: [
      { provide: RLS_TENANTS_OPTIONS, useValue: context },
      { provide: APP_INTERCEPTOR, useClass: TenantContextInterceptor },
      ...(options.providers ?? []),
    ],
  })
  class AppModule implements NestModule {
    configure(consumer: MiddlewareConsumer): void {
      const { middleware, behindMiddleware = (_request, _response, next) => next() } = options;
      if (middleware) consumer.apply(TenantContextMiddleware, behindMiddleware).forRoutes('{*path}');
    }
  }
  const adapter = platform === 'express' ? new ExpressAdapter() : new FastifyAdapter();
  const app = await NestFactory.create(AppModule, adapter, { logger: false, forceCloseConnections: true });
  options.configure?.(app);
  await app.listen(0, '127.0.0.1');
  const { port } = app.getHttpServer().address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  return {
    url,
    port,
    get: (path, tenantId, init = {}) =>
      fetch(url + path, {
        ...init,
        headers: {
          ...(init.headers as Record<string, string>),
          ...(tenantId === undefined ? {} : { 'x-tenant-id': tenantId }),
        },
      }),
    close: () => app.close(),
  };
}

/** Starts the app before the tests of a `describe`, and ends it after them. */
export function useHttpApp(platform: Platform, options: AppOptions): { readonly current: HttpApp } {
  let app: HttpApp | undefined;
  beforeAll(async () => {
    app = await startHttpApp(platform, options);
  });
  afterAll(() => app?.close());
  return {
    get current() {
      if (!app) throw new Error('The app runs inside tests only.');
      return app;
    },
  };
}

/** The current context in one word: the tenant id, `admin: <reason>` or `nobody`. */
export function who(): string {
  const state = currentTenantContext();
  switch (state.kind) {
    case 'tenant':
      return state.tenantId;
    case 'admin':
      return `admin: ${state.reason}`;
    case 'nobody':
      return 'nobody';
  }
}

/** Waits until `condition` holds. @throws after two seconds. */
export async function eventually(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 2_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error('It never came true.');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
