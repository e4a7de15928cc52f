import { setTimeout as delay } from 'node:timers/promises';
import {
  buildSchema,
  defaultFieldResolver,
  graphql,
  type GraphQLFieldResolver,
  type GraphQLObjectType,
} from 'graphql';
import { currentTenantContext, tenantContext } from '../tenant-context.js';
import { rememberState, type ResolveInfo } from './operation.js';
import { carryThroughFields, type Schema } from './schema.js';

const who = () => {
  const state = currentTenantContext();
  return state.kind === 'tenant' ? state.tenantId : state.kind;
};

/** An object whose parts are got in every way that graphql-js knows. */
class Box {
  plain = { who: 'plain' };
  nothing = null;
  method = () => ({ who: who() });
  get accessor() {
    return { who: who() };
  }
  get promised() {
    const now = who();
    return delay(1).then(() => ({ who: `${now} ${who()}` }));
  }
}

const TYPES = `
  type Query { box(tenant: String!): Box }
  type Box { plain: Part, nothing: Part, method: Part, accessor: Part, promised: Part, inner: Box, text: String }
  type Part { who: String }
`;

/** A schema without Nest; its query does what the interceptor does in front of a handler. */
function schema(readsByItself: boolean) {
  const built = buildSchema(TYPES);
  built.getQueryType()!.getFields().box!.resolve = (
    _source,
    { tenant }: { tenant: string },
    contextValue,
    info,
  ) =>
    tenantContext(tenant, () => {
      rememberState({ contextValue, info: info as unknown as ResolveInfo }, currentTenantContext());
      return new Box();
    });
  carryThroughFields(built as unknown as Schema, readsByItself);
  return built;
}

const PARTS = '{ plain { who } nothing { who } method { who } accessor { who } promised { who } }';
const QUERY = `{ a: box(tenant: "a") ${PARTS} b: box(tenant: "b") ${PARTS} }`;

const partsOf = (tenantId: string) => ({
  plain: { who: 'plain' },
  nothing: null,
  method: { who: tenantId },
  accessor: { who: tenantId },
  promised: { who: `${tenantId} ${tenantId}` },
});

describe('carryThroughFields', () => {
  it('reads properties, accessors and methods in the state of the query above them', async () => {
    const { data, errors } = await graphql({ schema: schema(true), source: QUERY, contextValue: {} });
    expect(errors).toBeUndefined();
    expect(data).toEqual({ a: partsOf('a'), b: partsOf('b') });
  });

  it('leaves reading to a fieldResolver of the application', async () => {
    const read: string[] = [];
    const fieldResolver: GraphQLFieldResolver<unknown, unknown> = (source, args, contextValue, info) => {
      read.push(info.fieldName);
      return defaultFieldResolver(source, args, contextValue, info);
    };
    const { data } = await graphql({ schema: schema(false), source: QUERY, contextValue: {}, fieldResolver });
    expect(read).toContain('accessor');
    expect(data).toMatchObject({ a: { accessor: { who: 'nobody' } } });
  });

  it('wraps a resolver once, and leaves the types of introspection alone, which all schemas share', () => {
    const built = schema(true);
    const resolverOf = (type: string, field: string) =>
      (built.getType(type) as GraphQLObjectType).getFields()[field]?.resolve;
    const before = [resolverOf('Box', 'accessor'), resolverOf('__Type', 'fields')];
    carryThroughFields(built as unknown as Schema, true);
    schema(true);
    expect([resolverOf('Box', 'accessor'), resolverOf('__Type', 'fields')]).toEqual(before);
    expect(resolverOf('__Type', 'fields')?.name).toBe('resolve');
  });
});
