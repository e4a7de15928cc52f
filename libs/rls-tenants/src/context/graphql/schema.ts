import { keepContext } from '../keep-context.js';
import { runIn, runUntilSettled } from '../tenant-context.js';
import { toGraphqlError } from '../client-errors.js';
import { stateAbove, whenRemembered, type ResolveInfo } from './operation.js';

type Resolver = (source: unknown, args: unknown, contextValue: unknown, info: ResolveInfo) => unknown;
type Field = { readonly type: Type; resolve?: Resolver; subscribe?: Resolver };
/** A named type, or a list or non-null of one. */
type Type = {
  readonly name: string;
  readonly ofType?: Type;
  getFields?(): Record<string, Field>;
  /** Of objects and interfaces. */
  getInterfaces?(): unknown;
  /** Of unions. */
  getTypes?(): unknown;
};

/** What is read of graphql-js' `GraphQLSchema`. */
export interface Schema {
  getTypeMap(): Record<string, Type>;
  getQueryType(): Type | null | undefined;
  getMutationType(): Type | null | undefined;
}

/** Schemas, and resolvers, that carry already. */
const carrying = new WeakSet<object>();

/**
 * Makes field resolvers run for whom the query, the mutation or the subscription above them runs, and so the `filter`
 * and `resolve` of subscriptions. Nest gives field resolvers no interceptors unless it is told to
 * (`fieldResolverEnhancers`), and graphql-js calls them in the context of the HTTP server. What they throw of this
 * library's errors becomes what a client may see.
 *
 * Objects that graphql-js reads off another object by itself are read in the same way: they may be lazy relations.
 *
 * @param readsByItself false where the server may have a `fieldResolver`, which must stay the one that reads.
 */
export function carryThroughFields(schema: Schema, readsByItself: boolean): void {
  if (carrying.has(schema)) return;
  carrying.add(schema);
  const intercepted = new Set([schema.getQueryType(), schema.getMutationType()]);
  for (const type of Object.values(schema.getTypeMap())) {
    // The types of introspection belong to graphql-js, and to all schemas.
    if (!type.getInterfaces || type.name.startsWith('__') || intercepted.has(type)) continue;
    for (const field of Object.values(type.getFields?.() ?? {})) {
      if (readsByItself && isObjectType(field.type)) field.resolve ??= readProperty;
      replace(field, 'resolve', isReader(field.resolve) ? carryingReader : carryingResolver);
      replace(field, 'subscribe', carryingSource);
    }
  }
}

function replace(field: Field, name: 'resolve' | 'subscribe', wrap: (resolver: Resolver) => Resolver): void {
  const resolver = field[name];
  if (typeof resolver !== 'function' || carrying.has(resolver)) return;
  const wrapper = wrap(resolver);
  carrying.add(wrapper);
  field[name] = wrapper;
}

function carryingResolver(resolve: Resolver): Resolver {
  return function (this: unknown, ...call) {
    const [, , contextValue, info] = call;
    try {
      const state = stateAbove({ contextValue, info });
      const run = () => keepContext(Reflect.apply(resolve, this, call));
      const result = state ? runIn(state, run) : run();
      return result instanceof Promise ? result.catch(throwGraphqlError) : result;
    } catch (error) {
      return throwGraphqlError(error);
    }
  };
}

/** Plain values are most of what is read, and run nothing: they cost no context. */
function carryingReader(read: Resolver): Resolver {
  const readInState = carryingResolver(read);
  return (...call) => {
    const [source, , , info] = call;
    const property = Object.getOwnPropertyDescriptor(Object(source), info.fieldName);
    const isPlain = property !== undefined && 'value' in property && typeof property.value !== 'function';
    return (isPlain ? read : readInState)(...call);
  };
}

/** True for what reads a property of its source and does nothing else: Nest gives one to each `@Field()`. */
function isReader(resolve: Resolver | undefined): boolean {
  return resolve === readProperty || resolve?.name === 'rootFieldResolver';
}

/** What graphql-js does with a field that has no resolver: a property, or a method called with what a resolver gets. */
function readProperty(source: unknown, args: unknown, contextValue: unknown, info: ResolveInfo): unknown {
  const object = Object(source) as Record<string, unknown>;
  const property = object[info.fieldName];
  return typeof property === 'function' ? property.call(object, args, contextValue, info) : property;
}

function isObjectType(type: Type): boolean {
  let named = type;
  while (named.ofType) named = named.ofType;
  return named.getInterfaces !== undefined || named.getTypes !== undefined;
}

/**
 * What filters the events runs in front of the interceptor's handler, and asks it for the next one: Apollo's driver
 * once the handler has returned, Mercurius' from within a generator that calls the handler first.
 */
function carryingSource(subscribe: Resolver): Resolver {
  return function (this: unknown, ...call) {
    return runUntilSettled(async (settle) => {
      whenRemembered(call[3], settle);
      return keepContext(await Reflect.apply(subscribe, this, call));
    });
  };
}

function throwGraphqlError(error: unknown): never {
  throw toGraphqlError(error);
}
