import type { ExecutionContext } from '@nestjs/common';
import type { Reflector } from '@nestjs/core';

/** Metadata key of `@AdminScoped(reason)`; its value is the reason. */
export const ADMIN_SCOPED = Symbol('nestjs-rls-tenants: @AdminScoped');

/** Metadata key of `@TenantOptional()`. */
export const TENANT_OPTIONAL = Symbol('nestjs-rls-tenants: @TenantOptional');

/** What a handler declares about whom it acts for. */
export type HandlerScope =
  | { readonly kind: 'tenant' }
  | { readonly kind: 'optional' }
  | { readonly kind: 'admin'; readonly reason: string };

type Handler = Pick<ExecutionContext, 'getHandler' | 'getClass'>;

// By class and handler: an inherited handler belongs to several classes. Every request asks, and metadata stays.
const scopes = new WeakMap<object, WeakMap<object, HandlerScope>>();

/**
 * What the handler declares. The method's own decorator beats its class's, so that a class-wide `@AdminScoped` can be
 * narrowed for one method; on the same target `@AdminScoped` beats `@TenantOptional`. A handler that declares nothing
 * needs a tenant.
 */
export function handlerScope(reflector: Reflector, context: Handler): HandlerScope {
  let ofClass = scopes.get(context.getClass());
  if (ofClass === undefined) scopes.set(context.getClass(), (ofClass = new WeakMap()));
  let scope = ofClass.get(context.getHandler());
  if (scope === undefined) ofClass.set(context.getHandler(), (scope = readScope(reflector, context)));
  return scope;
}

/** `Class.method`. */
export function handlerName(context: Handler): string {
  return `${context.getClass().name}.${context.getHandler().name}`;
}

function readScope(reflector: Reflector, context: Handler): HandlerScope {
  for (const target of [context.getHandler(), context.getClass()]) {
    const reason = reflector.get<string | undefined>(ADMIN_SCOPED, target);
    if (reason !== undefined) return { kind: 'admin', reason };
    if (reflector.get<boolean | undefined>(TENANT_OPTIONAL, target)) return { kind: 'optional' };
  }
  return { kind: 'tenant' };
}
