import type { Type } from '@nestjs/common';
import type { Task, User } from '../../common.js';

export { Context, GraphQLModule, Parent, Query, ResolveField, Resolver, Subscription } from '@nestjs/graphql';
export { ApolloDriver, type ApolloDriverConfig } from '@nestjs/apollo';
export type { MercuriusDriverConfig } from '@nestjs/mercurius';
export { default as DataLoader } from 'dataloader';
export { PubSub } from 'graphql-subscriptions';

export declare const TasksModule: Type;

export declare class TasksService {
  ofProjects(projectIds: readonly string[]): Promise<Task[][]>;
}

export declare class AuthService {
  verify(token: unknown): Promise<User>;
}

export declare const auth: AuthService;
export type { Request } from 'express';
