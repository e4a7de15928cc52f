import { Module, type DynamicModule } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { fromUser, RlsTenantsModule, sealKeysFromEnvironment } from 'nestjs-rls-tenants';
import { AuthModule } from './auth/auth.module.js';
import type { SignedInUser } from './auth/signed-in-user.js';
import { ConsoleModule } from './console/console.module.js';
import { CONSOLE_DATA_SOURCE, consoleDataSourceOptions } from './console/console-data-source.js';
import { dataSourceOptions } from './database/data-source-options.js';
import type { DemoConnections } from './database/prepare-database.js';
import { LabModule } from './lab/lab.module.js';
import { ProjectsModule } from './projects/projects.module.js';
import { TagsModule } from './tags/tags.module.js';
import { TasksModule } from './tasks/tasks.module.js';
import { UsersModule } from './users/users.module.js';

const ADMIN_DATA_SOURCE = 'admin';

/** The demo. `TypeOrmModule` and `RlsTenantsModule` are all it takes to isolate the rest. */
@Module({
  imports: [AuthModule, UsersModule, ProjectsModule, TasksModule, TagsModule, LabModule, ConsoleModule],
})
export class AppModule {
  /** @param connections to a prepared database. */
  static forDatabase({ appUrl, adminUrl, consoleUrl }: DemoConnections): DynamicModule {
    return {
      module: AppModule,
      imports: [
        TypeOrmModule.forRootAsync({ useFactory: () => dataSourceOptions(appUrl) }),
        TypeOrmModule.forRootAsync({
          name: ADMIN_DATA_SOURCE,
          useFactory: () => dataSourceOptions(adminUrl),
        }),
        TypeOrmModule.forRootAsync({
          name: CONSOLE_DATA_SOURCE,
          useFactory: () => consoleDataSourceOptions(consoleUrl),
        }),
        RlsTenantsModule.forRoot({
          tenantIdType: 'uuid',
          resolveTenant: fromUser((user: SignedInUser) => user.workspaceId),
          dataSources: ['default', CONSOLE_DATA_SOURCE],
          adminDataSource: ADMIN_DATA_SOURCE,
          seal: { keys: () => sealKeysFromEnvironment() },
        }),
      ],
    };
  }
}
