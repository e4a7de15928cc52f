import type { DataSource } from 'typeorm';
import type { TenantContextState } from '../context/tenant-context.js';
import { tenantTablesOf } from '../entities/tenant-tables.js';
import { NoTenantContextError, RlsConfigurationError, RlsViolationError } from '../errors.js';
import {
  checkSettingName,
  DEFAULT_ADMIN_ROLE,
  DEFAULT_TENANT_SETTING,
  quoteIdentifier,
} from '../policies/index.js';
import { Fronts, LEFT, type Front } from './front.js';
import type { IsolationOptions } from './isolation.options.js';
import { Sealer } from './sealer.js';
import { publishRefusal, publishViolation, StatementCounts } from './statement-events.js';
import type { PgPool } from './pg-internals.js';
import { TableGuard } from './table-guard.js';

const isolations = new WeakMap<DataSource, Isolation>();

/** How one data source is isolated: its options, checked once, and what follows from them. */
export class Isolation {
  readonly fronts: Fronts;
  readonly counts = new StatementCounts();
  readonly autoScope: boolean;
  /** Whose clients admin contexts get. The pool is asked for each time, because `initialize()` makes another one. */
  admins?: { readonly isolation: Isolation; readonly pool: () => PgPool };
  private readonly throwOnMissingTenant: boolean;

  private constructor(
    readonly options: IsolationOptions,
    private readonly guard: TableGuard,
    sharedTenants: ReadonlySet<string>,
    sealer: Sealer | undefined,
    readonly serves: 'everybody' | 'tenants' | 'admins',
  ) {
    const { tenantIdType, tenantSetting = DEFAULT_TENANT_SETTING, adminRole = DEFAULT_ADMIN_ROLE } = options;
    checkSettingName(tenantSetting);
    quoteIdentifier(adminRole);
    this.fronts = new Fronts({ tenantIdType, tenantSetting, adminRole }, sharedTenants, sealer);
    this.autoScope = options.autoScope ?? true;
    this.throwOnMissingTenant = (options.onMissingTenant ?? 'throw') === 'throw';
  }

  /** @throws RlsConfigurationError if the entities were declared for another type or setting than the options say. */
  static async of(
    dataSource: DataSource,
    options: IsolationOptions,
    serves: 'everybody' | 'tenants' | 'admins' = options.seal || options.adminDataSource
      ? 'tenants'
      : 'everybody',
  ): Promise<Isolation> {
    const tables = tenantTablesOf(dataSource);
    const { tenantIdType, tenantSetting = DEFAULT_TENANT_SETTING } = options;
    for (const table of tables) {
      if (table.tenantIdType === tenantIdType && table.tenantSetting === tenantSetting) continue;
      throw new RlsConfigurationError(
        `Table "${table.table}" has tenants of type ${table.tenantIdType} in the setting ${table.tenantSetting}, the options say ${tenantIdType} in ${tenantSetting}.`,
        'Give @TenantColumn() and the module the same type and the same tenantSetting.',
      );
    }
    const sharedTenants = new Set(
      tables.flatMap(({ sharedTenant }) => (sharedTenant === undefined ? [] : String(sharedTenant))),
    );
    const guard = await TableGuard.of(tables.map(({ table }) => table));
    const sealer = options.seal && (await Sealer.of(options.seal, tenantSetting));
    return new Isolation(options, guard, sharedTenants, sealer, serves);
  }

  /** Makes this the isolation of the data source; false if it has one. */
  static claim(dataSource: DataSource, isolation: Isolation): boolean {
    if (isolations.has(dataSource)) return false;
    isolations.set(dataSource, isolation);
    return true;
  }

  /** The isolation of a data source, if it is isolated. */
  static get(dataSource: DataSource): Isolation | undefined {
    return isolations.get(dataSource);
  }

  /**
   * Why a statement must not reach PostgreSQL; undefined if it may. To be asked before any I/O, by whoever then refuses
   * it: what is returned is counted.
   *
   * @returns InvalidTenantIdError if the context's tenant id is not of the data source's type; NoTenantContextError for
   * nobody, if the statement names a tenant-scoped table (or has no text to read); RlsConfigurationError if the
   * connection does not serve the context, or no key is left to seal it with.
   */
  refusal(state: TenantContextState, text: string | undefined): Error | undefined {
    if (this.serves === 'tenants' && state.kind === 'admin' && !this.admins)
      return this.refused(noAdminPool(), state);
    if (this.serves === 'admins' && state.kind === 'tenant') return this.refused(noTenantHere(), state);
    if (state.kind !== 'nobody') {
      const invalid = this.fronts.refusal(state);
      return invalid && this.refused(invalid, state);
    }
    if (!this.throwOnMissingTenant) return undefined;
    const table = text === undefined ? 'of unknown name' : this.guard.namedTable(text);
    if (table === undefined) return undefined;
    const missing = new NoTenantContextError(
      `A statement on tenant-scoped table "${table}" has no tenant context.`,
      "Run it inside tenantContext(tenantId, fn) or a request whose tenant was resolved; for all tenants, adminContext(reason, fn). With onMissingTenant: 'empty' it would see no rows.",
    );
    return this.refused(missing, state);
  }

  /** {@link refusal} of a statement that a client of the data source's own pool is to send. */
  refusalOnClient(state: TenantContextState, text: string | undefined): Error | undefined {
    if (this.serves === 'tenants' && state.kind === 'admin')
      return this.refused(this.admins ? noAdminHere() : noAdminPool(), state);
    return this.refusal(state, text);
  }

  /** The front of a statement that TypeORM is still building. @throws InvalidTenantIdError, which is counted. */
  frontOf(state: TenantContextState): Front {
    try {
      return this.fronts.of(state, LEFT.nothing);
    } catch (error) {
      throw this.refused(error as Error, state);
    }
  }

  /** Counts and publishes why the library refuses a statement before any I/O, and returns it. */
  refused<E extends Error>(error: E, state: TenantContextState): E {
    if (error instanceof RlsViolationError) {
      this.counts.violations[state.kind]++;
      publishViolation(error, state);
    } else {
      this.counts.refused[state.kind]++;
      publishRefusal(error, state);
    }
    return error;
  }
}

function noAdminPool(): RlsConfigurationError {
  return new RlsConfigurationError(
    'A statement of an admin context has no connection to run on: under a seal the app role does not become the admin role.',
    'Name a data source whose login may: the option `adminDataSource`.',
  );
}

function noAdminHere(): RlsConfigurationError {
  return new RlsConfigurationError(
    'A statement of an admin context was sent on a connection of the app role: in the middle of a transaction that a tenant began, or on a client that was taken in another context.',
    'Begin the transaction inside adminContext(reason, fn), so that it runs on a connection of `adminDataSource`.',
  );
}

function noTenantHere(): RlsConfigurationError {
  return new RlsConfigurationError(
    'A statement of a tenant was sent on a connection of `adminDataSource`: in the middle of a transaction that an admin context began, or through that data source itself.',
    "Send it through the application's own data source, in a transaction of its own.",
  );
}
