import { keepContext } from '../keep-context.js';
import { runIn, runUntilSettled } from '../tenant-context.js';
import { toGraphqlError } from '../client-errors.js';
import { stateAbove, whenRemembered, type ResolveInfo } from './operation.js';

type Resolver = (source: unknown, args: unknown, contextValue: unknown, info: ResolveInfo) => unknown;
type Field = { resolve?: Resolver; subscribe?: Resolver };
type Type = { readonly name: string; getFields?(): Record<string, Field> };

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
 * Only resolvers that somebody wrote: what graphql-js reads off an object by itself costs nothing more than before.
 */
export function carryThroughFields(schema: Schema): void {
  if (carrying.has(schema)) return;
  carrying.add(schema);
  const intercepted = new Set([schema.getQueryType(), schema.getMutationType()]);
  for (const type of Object.values(schema.getTypeMap())) {
    // The types of introspection belong to graphql-js, and to all schemas.
    if (!type.getFields || type.name.startsWith('__') || intercepted.has(type)) continue;
    for (const field of Object.values(type.getFields())) {
      replace(field, 'resolve', carryingResolver);
      replace(field, 'subscribe', carryingSource);
    }
  }
}

function replace(field: Field, name: keyof Field, wrap: (resolver: Resolver) => Resolver): void {
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
