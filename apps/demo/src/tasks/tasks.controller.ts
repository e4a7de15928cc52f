import { Body, Controller, Delete, Get, HttpCode, Param, Patch, Post, Query } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Task } from './task.entity.js';
import {
  newTask,
  taskChanges,
  taskFilter,
  taskId,
  type NewTask,
  type TaskChanges,
  type TaskFilter,
} from './task.input.js';
import { TasksService } from './tasks.service.js';

@ApiTags('tasks')
@ApiBearerAuth()
@Controller('tasks')
export class TasksController {
  constructor(private readonly tasks: TasksService) {}

  @Get()
  @ApiOperation({ summary: 'The tasks with project, assignee and tags' })
  list(@Query({ schema: taskFilter }) query: TaskFilter): Promise<Task[]> {
    return this.tasks.list(query);
  }

  @Get(':id')
  @ApiOperation({ summary: "One task; 404 for another workspace's as for one that never was" })
  get(@Param('id', { schema: taskId }) id: string): Promise<Task> {
    return this.tasks.get(id);
  }

  @Post()
  @ApiOperation({ summary: 'Add a task to a project of the workspace' })
  create(@Body({ schema: newTask }) input: NewTask): Promise<Task> {
    return this.tasks.create(input);
  }

  @Patch(':id')
  @ApiOperation({ summary: 'Change a task' })
  update(
    @Param('id', { schema: taskId }) id: string,
    @Body({ schema: taskChanges }) changes: TaskChanges,
  ): Promise<Task> {
    return this.tasks.update(id, changes);
  }

  @Delete(':id')
  @HttpCode(204)
  @ApiOperation({ summary: 'Delete a task' })
  remove(@Param('id', { schema: taskId }) id: string): Promise<void> {
    return this.tasks.remove(id);
  }
}
