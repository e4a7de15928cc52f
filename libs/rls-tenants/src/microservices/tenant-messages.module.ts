import {
  Inject,
  Module,
  type DynamicModule,
  type FactoryProvider,
  type ModuleMetadata,
  type OnModuleInit,
  type Provider,
} from '@nestjs/common';
import { APP_INTERCEPTOR, DiscoveryModule, DiscoveryService } from '@nestjs/core';
import { RLS_TENANTS_OPTIONS, type TenantContextOptions } from '../context/tenant-context.options.js';
import { TenantMessageInterceptor } from './tenant-message.interceptor.js';
import { carriesTenants, TenantMessages, type TenantMessagesOptions } from './tenant-messages.js';

/** Options of `TenantMessagesModule.forRoot()`: `tenantIdType` is that of `RlsTenantsModule`. */
export type TenantMessagesModuleOptions = Omit<TenantMessagesOptions, 'tenantIdType'>;

/** Options of `TenantMessagesModule.forRootAsync()`. */
export interface TenantMessagesAsyncOptions
  extends Pick<ModuleMetadata, 'imports'>, Pick<FactoryProvider, 'inject'> {
  useFactory: (
    ...dependencies: never[]
  ) => TenantMessagesModuleOptions | Promise<TenantMessagesModuleOptions>;
}

const OPTIONS = Symbol('nestjs-rls-tenants: TenantMessagesModule options');

/**
 * Makes every TCP, Redis and NATS client of the application (of `ClientsModule`, or any provider) sign its messages, and
 * registers {@link TenantMessageInterceptor} for all handlers. Needs `RlsTenantsModule`. Clients of other transports are
 * left as they are.
 *
 * @throws RlsConfigurationError at start if the keys cannot be used, or `@nestjs/microservices` is older than 12.0.4.
 */
@Module({})
export class TenantMessagesModule implements OnModuleInit {
  constructor(
    @Inject(DiscoveryService) private readonly discovery: DiscoveryService,
    @Inject(TenantMessages) private readonly messages: TenantMessages,
  ) {}

  /** Options that are known when the module is declared. */
  static forRoot(options: TenantMessagesModuleOptions): DynamicModule {
    return define({ provide: OPTIONS, useValue: options });
  }

  /** Options that come from other providers, for example a configuration service. */
  static forRootAsync({ imports = [], inject = [], useFactory }: TenantMessagesAsyncOptions): DynamicModule {
    return define({ provide: OPTIONS, inject, useFactory }, imports);
  }

  onModuleInit(): void {
    for (const { instance } of this.discovery.getProviders() as { instance: unknown }[]) {
      if (carriesTenants(instance)) this.messages.sign(instance);
    }
  }
}

function define(options: Provider, imports: ModuleMetadata['imports'] = []): DynamicModule {
  return {
    module: TenantMessagesModule,
    global: true,
    imports: [DiscoveryModule, ...imports],
    providers: [
      options,
      {
        provide: TenantMessages,
        inject: [OPTIONS, RLS_TENANTS_OPTIONS],
        useFactory: (own: TenantMessagesModuleOptions, { tenantIdType }: TenantContextOptions) =>
          new TenantMessages({ ...own, tenantIdType }),
      },
      { provide: APP_INTERCEPTOR, useClass: TenantMessageInterceptor },
    ],
    exports: [TenantMessages],
  };
}
