import 'reflect-metadata';
import type { AddressInfo } from 'node:net';
import {
  Controller,
  Get,
  Module,
  type CallHandler,
  type DynamicModule,
  type NestInterceptor,
} from '@nestjs/common';
import { APP_INTERCEPTOR, NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { TypeOrmModule } from '@nestjs/typeorm';
import { offer } from './worker.js';

/** What an application has that the one before it does not have. */
export type ApplicationKind = 'nothing' | 'context' | 'interceptor' | 'module';

interface User {
  tenantId: string;
}

const USER: User = { tenantId: '00000000-0000-4000-8000-000000000001' };

const [kind, url] = process.argv.slice(2) as [ApplicationKind, string];

@Controller()
class PingController {
  @Get()
  ping() {
    return { pong: true };
  }
}

class NoInterceptor implements NestInterceptor {
  intercept(_context: unknown, next: CallHandler) {
    return next.handle();
  }
}

/** Only the last kind loads the library: loading it is part of what it costs. */
async function imports(): Promise<DynamicModule[]> {
  const database = { type: 'postgres', url } as const;
  if (kind !== 'module') {
    const { PlainTask } = await import('../support/plain-task.js');
    // What loads nestjs-cls, or makes any AsyncLocalStorage of its own, turns on the promise hooks of Node.js.
    if (kind !== 'nothing') await import('nestjs-cls');
    return [TypeOrmModule.forRoot({ ...database, entities: [PlainTask] })];
  }
  const { fromUser, RlsTenantsModule } = await import('nestjs-rls-tenants');
  const { ScopedTask } = await import('../support/scoped-task.js');
  return [
    TypeOrmModule.forRoot({ ...database, entities: [ScopedTask] }),
    RlsTenantsModule.forRoot({
      tenantIdType: 'uuid',
      resolveTenant: fromUser((user: User) => user.tenantId),
    }),
  ];
}

@Module({
  imports: await imports(),
  controllers: [PingController],
  providers: kind === 'interceptor' ? [{ provide: APP_INTERCEPTOR, useClass: NoInterceptor }] : [],
})
class ApplicationModule {}

const application = await NestFactory.create<NestFastifyApplication>(
  ApplicationModule,
  new FastifyAdapter(),
  {
    logger: false,
    abortOnError: false,
  },
);
// Stands for authentication.
application
  .getHttpAdapter()
  .getInstance()
  .addHook('onRequest', (request, _reply, done) => {
    Object.assign(request, { user: USER });
    done();
  });
await application.listen(0, '127.0.0.1');

const offered = {
  port: () => (application.getHttpServer().address() as AddressInfo).port,
  /** Microseconds of CPU time that this process has used. */
  cpu: () => {
    const { user, system } = process.cpuUsage();
    return user + system;
  },
};
export type ApplicationCalls = typeof offered;
offer(offered);
