import { Controller, Get, Inject, Param } from '@nestjs/common';
import { getRepositoryToken } from '@nestjs/typeorm';
import { fromUser, RlsTenantsModule } from 'nestjs-rls-tenants';
import type { Repository } from 'typeorm';
import { inNestedTransactions, type User, type Variant } from './application.js';
import type { Task } from './entities.js';
import { PAGE_ROWS } from './load.js';
import { RlsTask } from './rls-entities.js';

/** With the library: no query names the tenant. */
@Controller('tasks')
class RlsTasksController {
  constructor(@Inject(getRepositoryToken(RlsTask)) private readonly tasks: Repository<RlsTask>) {}

  @Get()
  page(): Promise<Task[]> {
    return this.tasks.find({ order: { createdAt: 'DESC' }, take: PAGE_ROWS });
  }

  @Get(':id')
  one(@Param('id') id: string): Promise<Task | null> {
    return this.tasks.findOneBy({ id });
  }

  @Get(':id/transaction')
  async transaction(@Param('id') id: string): Promise<(Task | null)[]> {
    const find = (tasks: Repository<RlsTask>) => tasks.findOneBy({ id });
    return inNestedTransactions(this.tasks, find);
  }
}

export const RLS_APPLICATION: Variant = {
  controller: RlsTasksController,
  modules: [
    RlsTenantsModule.forRoot({
      tenantIdType: 'uuid',
      resolveTenant: fromUser((user: User) => user.tenantId),
    }),
  ],
};
