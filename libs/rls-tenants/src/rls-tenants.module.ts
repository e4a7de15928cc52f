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
import { formatFindings, trySeal, verifyIsolation, type Finding } from './audit/index.js';
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
  ) =>
    Omit<RlsTenantsOptions, keyof DataSourceNames> | Promise<Omit<RlsTenantsOptions, keyof DataSourceNames>>;
  /** Names of the TypeORM data sources to isolate, which must be known before the factory runs. Default `['default']`. */
  dataSources?: string[];
  /** Name of the TypeORM data source that admin contexts run on, see {@link RlsTenantsOptions}. */
  adminDataSource?: string;
}

type DataSourceNames = Pick<RlsTenantsOptions, 'dataSources' | 'adminDataSource'>;

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
    return this.define({ provide: RLS_TENANTS_OPTIONS, useValue: options }, options);
  }

  /** Options that come from other providers, for example a configuration service. */
  static forRootAsync({
    imports = [],
    inject = [],
    useFactory,
    ...names
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
    return { ...this.define(options, names), imports };
  }

  private static define(
    options: Provider,
    { dataSources = ['default'], adminDataSource }: DataSourceNames,
  ): DynamicModule {
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
          inject: [
            RLS_TENANTS_OPTIONS,
            ...[...dataSources, ...(adminDataSource === undefined ? [] : [adminDataSource])].map((name) =>
              getDataSourceToken(name),
            ),
          ],
          useFactory: (all: RlsTenantsOptions, ...named: DataSource[]) =>
            isolateAndVerify(all, named.slice(0, dataSources.length), named[dataSources.length]),
        },
      ],
      exports: [TenantContext, RLS_TENANTS_OPTIONS, ISOLATED_DATA_SOURCES],
    };
  }
}

async function isolateAndVerify(
  { adminDataSource: _name, ...options }: RlsTenantsOptions,
  dataSources: DataSource[],
  adminDataSource: DataSource | undefined,
): Promise<DataSource[]> {
  const { verifyOnBoot = 'error' } = options;
  for (const dataSource of dataSources) {
    const isolation = { ...options, ...(adminDataSource && { adminDataSource }) };
    if (verifyOnBoot !== 'off')
      report(dataSource, await verifyIsolation(dataSource, isolation), verifyOnBoot);
    await isolateDataSource(dataSource, isolation);
    // A seal is made by what isolates, and only the database can say whether it is genuine.
    if (verifyOnBoot !== 'off') report(dataSource, await trySeal(dataSource), verifyOnBoot);
  }
  return dataSources;
}

function report(dataSource: DataSource, findings: readonly Finding[], verifyOnBoot: 'error' | 'warn'): void {
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
