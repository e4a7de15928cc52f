import { setTimeout as delay } from 'node:timers/promises';
import { Inject, UseGuards, type CanActivate } from '@nestjs/common';
import {
  Args,
  Context,
  Field,
  Mutation,
  ObjectType,
  Parent,
  Query,
  ResolveField,
  Resolver,
  Subscription,
} from '@nestjs/graphql';
import DataLoader from 'dataloader';
import { PubSub } from 'graphql-subscriptions';
import {
  AdminScoped,
  CurrentTenant,
  RlsConfigurationError,
  TenantContext,
  TenantOptional,
} from '../../../libs/rls-tenants/src/index.js';
import { who } from '../../http/support/http-app.js';
import { A, B, Notes, type Row } from './notes-app.js';

@ObjectType()
export class NoteType implements Row {
  @Field() tenantId!: string;
  @Field() body!: string;
}

@ObjectType()
export class ShelfType {
  @Field() name!: string;
}

/** An entity as it is, with a lazy relation that graphql-js reads by itself. */
@ObjectType()
export class NotebookType {
  @Field() tenantId!: string;
}

@ObjectType()
export class EntityType {
  @Field() body!: string;
  @Field(() => NotebookType, { nullable: true }) archive!: unknown;
}

export const pubSub = new PubSub();

/** For whom `filter` and `resolve` of subscriptions, and batches, ran. */
export const seen: string[] = [];

/** As an application makes one in `context`, for each request. */
export function createLoader(notes: Notes): DataLoader<string, string[]> {
  return new DataLoader(async (names: readonly string[]) => {
    seen.push(`batch of ${names.length} for ${who()}`);
    const owners = await notes.owners();
    return names.map((name) => [name, ...owners]);
  });
}

/** A mistake: one loader for all requests. */
let shared: DataLoader<string, string[]> | undefined;

export function forgetSharedLoader(): void {
  shared = undefined;
}

/** Fails in front of the interceptor, where only a filter sees it. */
class ContradictoryGuard implements CanActivate {
  canActivate(): never {
    throw new RlsConfigurationError('Table "note" has no policy.', 'Run check-rls.');
  }
}

@Resolver(() => NoteType)
export class NotesResolver {
  constructor(
    @Inject(Notes) private readonly notes: Notes,
    @Inject(TenantContext) private readonly tenants: TenantContext,
  ) {}

  @Query(() => [NoteType])
  list(): Promise<Row[]> {
    return this.notes.all();
  }

  @Query(() => [EntityType])
  entities() {
    return this.notes.entities();
  }

  @Mutation(() => NoteType)
  async add(@Args('body') body: string): Promise<Row> {
    const note = await this.notes.add(body);
    await pubSub.publish('added', { added: note });
    return note;
  }

  @Mutation(() => String)
  async steal(@CurrentTenant() tenantId: string): Promise<string> {
    await this.notes.steal(tenantId === A ? B : A);
    return 'done';
  }

  @UseGuards(ContradictoryGuard)
  @Query(() => String)
  guarded(): string {
    return 'never';
  }

  @AdminScoped('report')
  @Query(() => [ShelfType])
  allShelves(): ShelfType[] {
    return [{ name: 'everything' }];
  }

  @TenantOptional()
  @Query(() => [ShelfType])
  publicShelves(): ShelfType[] {
    return [{ name: 'public' }];
  }

  @Query(() => [ShelfType])
  async shelves(): Promise<ShelfType[]> {
    await delay(Math.random() * 4);
    return [{ name: 'one' }, { name: 'two' }];
  }

  @Subscription(() => NoteType, {
    filter(this: NotesResolver, { added }: { added: Row }) {
      seen.push(`filter for ${who()}`);
      return added.tenantId === this.tenants.requireTenantId();
    },
    async resolve(this: NotesResolver, { added }: { added: Row }) {
      await delay(1);
      seen.push(`resolve for ${who()}`);
      return { ...added, body: `${added.body} of ${(await this.notes.owners()).join()}` };
    },
  })
  added() {
    return pubSub.asyncIterableIterator('added');
  }

  /** One event for all: what a subscriber is told comes from its own fields. */
  @Subscription(() => ShelfType)
  moved() {
    return pubSub.asyncIterableIterator('moved');
  }
}

@Resolver(() => ShelfType)
export class ShelfResolver {
  constructor(@Inject(Notes) private readonly notes: Notes) {}

  @ResolveField(() => [String])
  owners(): Promise<string[]> {
    return this.notes.owners();
  }

  /** Below a field resolver: an object that a field resolver returned. */
  @ResolveField(() => ShelfType)
  async inner(@Parent() shelf: ShelfType): Promise<ShelfType> {
    await delay(1);
    return { name: `in ${shelf.name}` };
  }

  @ResolveField(() => [String])
  loaded(
    @Parent() shelf: ShelfType,
    @Context('loader') loader: DataLoader<string, string[]>,
  ): Promise<string[]> {
    return loader.load(shelf.name);
  }

  @ResolveField(() => [String])
  loadedTogether(@Parent() shelf: ShelfType): Promise<string[]> {
    shared ??= createLoader(this.notes);
    return shared.load(shelf.name);
  }

  @ResolveField(() => String)
  theft(): Promise<string> {
    return this.notes.steal(A).then(() => this.notes.steal(B).then(() => 'done'));
  }
}

export const RESOLVERS = [NotesResolver, ShelfResolver];
