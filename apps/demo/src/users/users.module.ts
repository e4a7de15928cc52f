import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { Workspace } from '../workspaces/workspace.entity.js';
import { AppUser } from './app-user.entity.js';
import { UsersController } from './users.controller.js';

@Module({ imports: [TypeOrmModule.forFeature([AppUser, Workspace])], controllers: [UsersController] })
export class UsersModule {}
