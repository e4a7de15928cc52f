import { Module, type DynamicModule } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { fromUser, RlsTenantsModule } from 'nestjs-rls-tenants';
import { AuthModule } from './auth/auth.module.js';
import type { SignedInUser } from './auth/signed-in-user.js';
import { dataSourceOptions } from './database/data-source-options.js';
import { LabModule } from './lab/lab.module.js';
import { ProjectsModule } from './projects/projects.module.js';
import { TagsModule } from './tags/tags.module.js';
import { TasksModule } from './tasks/tasks.module.js';
import { UsersModule } from './users/users.module.js';

/** The demo. These two imports, `TypeOrmModule` and `RlsTenantsModule`, are all it takes to isolate the rest. */
@Module({ imports: [AuthModule, UsersModule, ProjectsModule, TasksModule, TagsModule, LabModule] })
export class AppModule {
  /** @param appUrl the app role's connection string, for a prepared database. */
  static forDatabase(appUrl: string): DynamicModule {
    return {
      module: AppModule,
      imports: [
        TypeOrmModule.forRootAsync({ useFactory: () => dataSourceOptions(appUrl) }),
        RlsTenantsModule.forRoot({
          tenantIdType: 'uuid',
          resolveTenant: fromUser((user: SignedInUser) => user.workspaceId),
        }),
      ],
    };
  }
}
