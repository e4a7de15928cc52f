import {
  createParamDecorator,
  Injectable,
  Module,
  type CallHandler,
  type CanActivate,
  type DynamicModule,
  type ExecutionContext,
  type NestInterceptor,
  type Type,
} from '@nestjs/common';
import { APP_GUARD, APP_INTERCEPTOR } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import type { Observable } from 'rxjs';
import type { Repository } from 'typeorm';
import { dataSourceOptions } from './data-source.js';
import { entityKind, type Isolation, type Task } from './entities.js';
import { USER_HEADER } from './load.js';

/** Which application a process is to be. */
export interface ApplicationOptions {
  platform: 'express' | 'fastify';
  isolation: Isolation;
  entities: number;
  poolSize: number;
  /** Of an application without the library: has an interceptor that does nothing. */
  interceptor: boolean;
  /** Where the app role connects to. */
  url: string;
}

/** What differs with the library. */
export interface Variant {
  controller: Type;
  modules: DynamicModule[];
}

export interface User {
  tenantId: string;
}

interface AuthenticatedRequest {
  headers: Record<string, string | undefined>;
  user?: User;
}

/** Stands for authentication, and costs the same in both applications. */
@Injectable()
class UserGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<AuthenticatedRequest>();
    const tenantId = request.headers[USER_HEADER];
    if (tenantId === undefined) return false;
    request.user = { tenantId };
    return true;
  }
}

@Injectable()
class IdleInterceptor implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    return next.handle();
  }
}

export const CurrentUser = createParamDecorator(
  (_data: unknown, context: ExecutionContext) =>
    context.switchToHttp().getRequest<AuthenticatedRequest>().user,
);

/** One connection for a transaction with a savepoint in it, then up to three at once. */
export async function inNestedTransactions<Entity extends Task>(
  tasks: Repository<Entity>,
  find: (tasks: Repository<Entity>) => Promise<Entity | null>,
): Promise<(Entity | null)[]> {
  const inside = await tasks.manager.transaction(async (manager) => [
    await find(manager.withRepository(tasks)),
    await manager.transaction((nested) => find(nested.withRepository(tasks))),
    await find(manager.withRepository(tasks)),
  ]);
  return [...inside, ...(await Promise.all([find(tasks), find(tasks), find(tasks)]))];
}

@Module({})
export class ApplicationModule {
  static async of(options: ApplicationOptions): Promise<DynamicModule> {
    const kind = await entityKind(options.isolation);
    const { controller, modules } = await variantOf(options.isolation);
    return {
      module: ApplicationModule,
      imports: [
        TypeOrmModule.forRoot({ ...dataSourceOptions({ ...options, kind }), poolSize: options.poolSize }),
        TypeOrmModule.forFeature([kind.task]),
        ...modules,
      ],
      controllers: [controller],
      providers: [
        { provide: APP_GUARD, useClass: UserGuard },
        ...(options.interceptor ? [{ provide: APP_INTERCEPTOR, useClass: IdleInterceptor }] : []),
      ],
    };
  }
}

async function variantOf(isolation: Isolation): Promise<Variant> {
  return isolation === 'rls'
    ? (await import('./rls-application.js')).RLS_APPLICATION
    : (await import('./plain-application.js')).PLAIN_APPLICATION;
}
