import type { ExecutionContext } from '@nestjs/common';
import { RlsConfigurationError } from '../../errors.js';
import type { TenantRequest } from '../tenant-context.options.js';
import type { TenantContextState } from '../tenant-context.js';
import type { Schema } from './schema.js';

/** A step from the root of a GraphQL response to a field: one object for each field of each execution. */
export interface FieldPath {
  readonly prev: FieldPath | undefined;
  readonly key: string | number;
}

/** What is read of graphql-js' `GraphQLResolveInfo`. */
export interface ResolveInfo {
  readonly fieldName: string;
  readonly path: FieldPath;
  readonly schema: Schema;
  readonly operation: { readonly operation: string };
}

/** The call of one resolver. */
export interface FieldCall {
  readonly contextValue: unknown;
  readonly info: ResolveInfo;
}

// By path and not by context object: Mercurius gives all operations of a batch the same one.
const states = new WeakMap<FieldPath, TenantContextState>();

// Where paths are others: each event of a subscription is an execution of its own, and the code that graphql-jit compiles
// (`jit` of Mercurius) makes a path for each call. What is shared is the context object, and the name of the root field.
const roots = new WeakMap<object, Map<string | number, TenantContextState | 'several'>>();

/** By the path of a subscription's field: what its source waits for. */
const sources = new WeakMap<FieldPath, (state: TenantContextState) => void>();

/** The resolver call that an execution context of type `graphql` is for. */
export function fieldCall(context: ExecutionContext): FieldCall & { isReference: boolean } {
  const args = context.getArgs<unknown[]>();
  // `__resolveReference(reference, context, info)` of Apollo Federation has no arguments of a field.
  const isReference = args.length === 3;
  const [contextValue, info] = args.slice(isReference ? 1 : 2);
  return { contextValue, info: info as ResolveInfo, isReference };
}

/** From now on the fields below this one, and the events of this subscription, are for whom this resolver runs. */
export function rememberState({ contextValue, info }: FieldCall, state: TenantContextState): void {
  states.set(info.path, state);
  if (info.path.prev || !isObject(contextValue)) return;
  let ofContext = roots.get(contextValue);
  if (!ofContext) roots.set(contextValue, (ofContext = new Map()));
  const other = ofContext.get(info.path.key);
  const counts = other === undefined || isSame(other, state) ? state : 'several';
  ofContext.set(info.path.key, counts);
  if (!isSubscription(info)) return;
  if (counts === 'several') throw sharedContext();
  sources.get(info.path)?.(state);
}

/** Tells `settle` for whom a subscription is, as soon as its resolver is about to run. */
export function whenRemembered(info: ResolveInfo, settle: (state: TenantContextState) => void): void {
  sources.set(info.path, settle);
}

/**
 * For whom the nearest resolver above the field runs, or the subscription whose event it is of; `undefined` where none
 * that the library knows of does.
 *
 * @throws RlsConfigurationError if that cannot be told, because operations of several tenants share a context object.
 */
export function stateAbove({ contextValue, info }: FieldCall): TenantContextState | undefined {
  let root = info.path;
  for (let path = root.prev; path; path = path.prev) {
    const state = states.get(path);
    if (state) return state;
    root = path;
  }
  if (!isObject(contextValue) || (root === info.path && !isSubscription(info))) return undefined;
  const state = roots.get(contextValue)?.get(root.key);
  if (state === 'several') throw sharedContext();
  return state;
}

/**
 * The request in a GraphQL context: `req`, as Nest's drivers put it there, or `request`, or that of Mercurius' `reply`.
 * For an operation of a WebSocket connection (`graphql-ws`) it is the upgrade request.
 */
export function graphqlRequest(contextValue: unknown): object | undefined {
  if (!isObject(contextValue)) return undefined;
  const { req, request, reply, extra } = contextValue as Record<string, TenantRequest>;
  const found: TenantRequest = req ?? request ?? reply?.request ?? (extra && contextValue);
  return found?.extra?.request ?? found;
}

function isSame(a: TenantContextState | 'several', b: TenantContextState): boolean {
  if (a === 'several' || a.kind !== b.kind) return false;
  if (a.kind !== 'tenant') return true;
  const other = b as typeof a;
  return a.tenantId === other.tenantId && a.readableTenantIds === other.readableTenantIds;
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function isSubscription({ operation }: ResolveInfo): boolean {
  return operation.operation === 'subscription';
}

function sharedContext(): RlsConfigurationError {
  return new RlsConfigurationError(
    'GraphQL operations for several tenants share one context object.',
    'Let `context` return a new object for each operation.',
  );
}
