import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { Project } from '../projects/project.entity.js';
import { Tag } from '../tags/tag.entity.js';
import { AppUser } from '../users/app-user.entity.js';
import { Task } from './task.entity.js';
import { TasksController } from './tasks.controller.js';
import { TasksService } from './tasks.service.js';

@Module({
  imports: [TypeOrmModule.forFeature([Task, Project, Tag, AppUser])],
  controllers: [TasksController],
  providers: [TasksService],
})
export class TasksModule {}
