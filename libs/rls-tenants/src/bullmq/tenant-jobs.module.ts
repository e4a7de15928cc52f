import {
  Inject,
  Module,
  type DynamicModule,
  type FactoryProvider,
  type ModuleMetadata,
  type OnModuleInit,
  type Provider,
} from '@nestjs/common';
import { DiscoveryModule, DiscoveryService } from '@nestjs/core';
import { FlowProducer, Queue } from 'bullmq';
import { RLS_TENANTS_OPTIONS, type TenantContextOptions } from '../context/tenant-context.options.js';
import { TenantJobs, type TenantJobsOptions } from './tenant-jobs.js';

/** Options of `TenantJobsModule.forRoot()`: `tenantIdType` is that of `RlsTenantsModule`. */
export type TenantJobsModuleOptions = Omit<TenantJobsOptions, 'tenantIdType'>;

/** Options of `TenantJobsModule.forRootAsync()`. */
export interface TenantJobsAsyncOptions
  extends Pick<ModuleMetadata, 'imports'>, Pick<FactoryProvider, 'inject'> {
  useFactory: (...dependencies: never[]) => TenantJobsModuleOptions | Promise<TenantJobsModuleOptions>;
}

const OPTIONS = Symbol('nestjs-rls-tenants: TenantJobsModule options');

/**
 * Makes every queue and flow producer of the application (`@nestjs/bullmq`) sign its jobs, and `@TenantJob()` verify
 * them. Needs `RlsTenantsModule`.
 *
 * @throws RlsConfigurationError at start if the keys cannot be used.
 */
@Module({})
export class TenantJobsModule implements OnModuleInit {
  constructor(
    @Inject(DiscoveryService) private readonly discovery: DiscoveryService,
    @Inject(TenantJobs) private readonly jobs: TenantJobs,
  ) {}

  /** Options that are known when the module is declared. */
  static forRoot(options: TenantJobsModuleOptions): DynamicModule {
    return define({ provide: OPTIONS, useValue: options });
  }

  /** Options that come from other providers, for example a configuration service. */
  static forRootAsync({ imports = [], inject = [], useFactory }: TenantJobsAsyncOptions): DynamicModule {
    return define({ provide: OPTIONS, inject, useFactory }, imports);
  }

  onModuleInit(): void {
    for (const { instance } of this.discovery.getProviders() as { instance: unknown }[]) {
      if (instance instanceof Queue || instance instanceof FlowProducer) this.jobs.sign(instance);
    }
  }
}

function define(options: Provider, imports: ModuleMetadata['imports'] = []): DynamicModule {
  return {
    module: TenantJobsModule,
    global: true,
    imports: [DiscoveryModule, ...imports],
    providers: [
      options,
      {
        provide: TenantJobs,
        inject: [OPTIONS, RLS_TENANTS_OPTIONS],
        useFactory: (own: TenantJobsModuleOptions, { tenantIdType }: TenantContextOptions) =>
          new TenantJobs({ ...own, tenantIdType }),
      },
    ],
    exports: [TenantJobs],
  };
}
