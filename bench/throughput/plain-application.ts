import { Controller, Get, Inject, Param } from '@nestjs/common';
import { getRepositoryToken } from '@nestjs/typeorm';
import type { Repository } from 'typeorm';
import { CurrentUser, inNestedTransactions, type User, type Variant } from './application.js';
import type { Task } from './entities.js';
import { PAGE_ROWS } from './load.js';
import { PlainTask } from './plain-entities.js';

/** Without the library: each query names the tenant. */
@Controller('tasks')
class PlainTasksController {
  constructor(@Inject(getRepositoryToken(PlainTask)) private readonly tasks: Repository<PlainTask>) {}

  @Get()
  page(@CurrentUser() { tenantId }: User): Promise<Task[]> {
    return this.tasks.find({ where: { tenantId }, order: { createdAt: 'DESC' }, take: PAGE_ROWS });
  }

  @Get(':id')
  one(@CurrentUser() { tenantId }: User, @Param('id') id: string): Promise<Task | null> {
    return this.tasks.findOneBy({ id, tenantId });
  }

  @Get(':id/transaction')
  async transaction(@CurrentUser() { tenantId }: User, @Param('id') id: string): Promise<(Task | null)[]> {
    const find = (tasks: Repository<PlainTask>) => tasks.findOneBy({ id, tenantId });
    return inNestedTransactions(this.tasks, find);
  }
}

export const PLAIN_APPLICATION: Variant = { controller: PlainTasksController, modules: [] };
