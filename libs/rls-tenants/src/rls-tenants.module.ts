import {
  Inject,
  Logger,
  Module,
  type DynamicModule,
  type FactoryProvider,
  type ModuleMetadata,
  type Provider,
} from '@nestjs/common';
import { APP_INTERCEPTOR } from '@nestjs/core';
import { getDataSourceToken } from '@nestjs/typeorm';
import type { DataSource } from 'typeorm';
import { formatFindings, verifyIsolation } from './audit/index.js';
import { isolateDataSource } from './connection/index.js';
import {
  assertResolverIsAuthorized,
  GraphqlSchemas,
  RLS_TENANTS_OPTIONS,
  TenantContext,
  TenantContextInterceptor,
} from './context/index.js';
import { RlsConfigurationError } from './errors.js';
import type { RlsTenantsOptions } from './rls-tenants.options.js';
import { assertSupportedVersions } from './supported-versions.js';

/** Injection token: the isolated data sources. Whoever waits for it knows that they are isolated and verified. */
export const ISOLATED_DATA_SOURCES = Symbol('nestjs-rls-tenants: isolated data sources');

/** Options of `RlsTenantsModule.forRootAsync()`. */
export interface RlsTenantsAsyncOptions
  extends Pick<ModuleMetadata, 'imports'>, Pick<FactoryProvider, 'inject'> {
  useFactory: (
    ...dependencies: never[]
  ) => Omit<RlsTenantsOptions, 'dataSources'> | Promise<Omit<RlsTenantsOptions, 'dataSources'>>;
  /** Names of the TypeORM data sources to isolate, which must be known before the factory runs. Default `['default']`. */
  dataSources?: string[];
}

/**
 * Isolates the application's data sources by tenant, verifies that isolation on the live database before the
 * application starts, and gives every handler its tenant context.
 *
 * @throws RlsConfigurationError at start if isolation cannot be promised; the message says what to run.
 */
@Module({})
export class RlsTenantsModule {
  constructor(@Inject(ISOLATED_DATA_SOURCES) _isolated: DataSource[]) {}

  /** Options that are known when the module is declared. */
  static forRoot(options: RlsTenantsOptions): DynamicModule {
    assertResolverIsAuthorized(options);
    return this.define({ provide: RLS_TENANTS_OPTIONS, useValue: options }, options.dataSources);
  }

  /** Options that come from other providers, for example a configuration service. */
  static forRootAsync({
    imports = [],
    inject = [],
    useFactory,
    dataSources,
  }: RlsTenantsAsyncOptions): DynamicModule {
    const options: Provider = {
      provide: RLS_TENANTS_OPTIONS,
      inject,
      useFactory: async (...dependencies: never[]) => {
        const answer = await useFactory(...dependencies);
        assertResolverIsAuthorized(answer);
        return answer;
      },
    };
    return { ...this.define(options, dataSources), imports };
  }

  private static define(options: Provider, dataSources = ['default']): DynamicModule {
    assertSupportedVersions(['@nestjs/common', '@nestjs/core', '@nestjs/typeorm']);
    return {
      module: RlsTenantsModule,
      global: true,
      providers: [
        options,
        TenantContext,
        GraphqlSchemas,
        { provide: APP_INTERCEPTOR, useClass: TenantContextInterceptor },
        {
          provide: ISOLATED_DATA_SOURCES,
          inject: [RLS_TENANTS_OPTIONS, ...dataSources.map((name) => getDataSourceToken(name))],
          useFactory: isolateAndVerify,
        },
      ],
      exports: [TenantContext, RLS_TENANTS_OPTIONS, ISOLATED_DATA_SOURCES],
    };
  }
}

async function isolateAndVerify(
  options: RlsTenantsOptions,
  ...dataSources: DataSource[]
): Promise<DataSource[]> {
  for (const dataSource of dataSources) {
    await verify(dataSource, options);
    await isolateDataSource(dataSource, options);
  }
  return dataSources;
}

async function verify(dataSource: DataSource, options: RlsTenantsOptions): Promise<void> {
  const { verifyOnBoot = 'error' } = options;
  if (verifyOnBoot === 'off') return;
  const findings = await verifyIsolation(dataSource, options);
  if (findings.length === 0) return;
  const text = formatFindings(findings);
  if (verifyOnBoot === 'warn') {
    new Logger(RlsTenantsModule.name).warn(text);
    return;
  }
  throw new RlsConfigurationError(
    `The data source of database "${dataSource.driver.database}" does not isolate its tenants:\n${text}`,
    'Fix each finding as it says; `rls-tenants check-rls` lists them again.',
  );
}
