import { Inject, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { carryThroughFields, type Schema } from './schema.js';

type Module = ModulesContainer extends Map<string, infer Value> ? Value : never;

/**
 * Finds the schemas of the application's GraphQLModules once they are built, so that the very first operation is
 * carried through its fields. `@nestjs/graphql` need not be installed: its `GraphQLSchemaHost` is known by its name.
 */
@Injectable()
export class GraphqlSchemas implements OnApplicationBootstrap {
  constructor(@Inject(ModulesContainer) private readonly modules: ModulesContainer) {}

  onApplicationBootstrap(): void {
    for (const { providers } of this.modules.values()) {
      for (const [token, provider] of providers) {
        if (typeof token !== 'function' || token.name !== 'GraphQLSchemaHost') continue;
        const schema = schemaOf(provider.instance as { schema: Schema });
        if (schema) carryThroughFields(schema, !hasFieldResolver(providers));
      }
    }
  }
}

/** Apollo may be given another way to read fields that have no resolver. */
function hasFieldResolver(providers: Module['providers']): boolean {
  const options = providers.get('GqlModuleOptions')?.instance as { fieldResolver?: unknown } | undefined;
  return typeof options?.fieldResolver === 'function';
}

/** The host throws where no schema was built, as in a module that only compiles. */
function schemaOf(host: { schema: Schema }): Schema | undefined {
  try {
    return host.schema;
  } catch {
    return undefined;
  }
}
