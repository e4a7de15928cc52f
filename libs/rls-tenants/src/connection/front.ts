import type { TenantContextState } from '../context/tenant-context.js';
import { parseTenantId } from '../context/tenant-id.js';
import { carryAdminSql, carryTenantSql, quoteLiteral } from '../policies/index.js';
import type { IsolationOptions } from './isolation.options.js';
import { bind, close, execute, parse } from './messages.js';

/**
 * What is sent in front of one statement: a query that puts the caller's tenant (or the admin role) into the
 * transaction that the statement runs in. It is ready to write, because it is written with every statement; each form
 * is made when it is first needed.
 */
export class Front {
  private unnamed: Buffer | undefined;
  private asking: Buffer | undefined;
  private bound: Buffer | undefined;
  private quoted: string | undefined;
  private simple: string | undefined;
  private characters: number | undefined;

  /**
   * @param value the tenant in PostgreSQL's text form; empty for the admin and for nobody.
   * @param sql the query, for an SQL expression that yields the value.
   * @param statementName the name under which a connection may prepare the query; undefined where it is not worth it.
   */
  constructor(
    readonly value: string,
    private readonly sql: (valueSql: string) => string,
    readonly statementName: string | undefined,
  ) {}

  /** Parse, Bind and Execute, for a statement of the extended query protocol. No Sync: the statement sends it. */
  get messages(): Buffer {
    return (this.unnamed ??= Buffer.concat([parse('', this.sql('$1')), bind('', this.value), execute()]));
  }

  /** The same, and one row comes back that holds the process id of the backend. */
  get askingMessages(): Buffer {
    const sql = `${this.sql('$1')}, pg_catalog.pg_backend_pid()::text`;
    return (this.asking ??= Buffer.concat([parse('', sql), bind('', this.value), execute()]));
  }

  /** The same, and the connection has the query prepared from then on, whether it had it before or not. */
  get preparingMessages(): Buffer {
    const name = this.statementName!;
    return Buffer.concat([close(name), parse(name, this.sql('$1')), this.preparedMessages]);
  }

  /** Bind and Execute, for a connection that has the query prepared. */
  get preparedMessages(): Buffer {
    return (this.bound ??= Buffer.concat([bind(this.statementName!, this.value), execute()]));
  }

  /** The value as an SQL literal. */
  get literal(): string {
    return (this.quoted ??= quoteLiteral(this.value));
  }

  /** Text to put before the text of a statement of the simple query protocol. */
  get text(): string {
    return (this.simple ??= `${this.sql(this.literal)};`);
  }

  /** Characters of {@link text}, as PostgreSQL counts them in an error's position. */
  get length(): number {
    return (this.characters ??= Array.from(this.text).length);
  }
}

/** Tenants whose fronts are kept. Far more than are active at one time; a front takes about a kilobyte. */
const KEPT_TENANTS = 10_000;

/** Makes the fronts of one data source. */
export class Fronts {
  private readonly tenants = new Map<string, Front>();
  private readonly tenantsAfterAdmin = new Map<string, Front>();
  private readonly admin: Front;
  private readonly nobody: Front;
  private readonly nobodyAfterAdmin: Front;

  constructor(
    private readonly options: Required<
      Pick<IsolationOptions, 'tenantIdType' | 'tenantSetting' | 'adminRole'>
    >,
  ) {
    const { tenantSetting, adminRole } = options;
    this.admin = new Front('', (valueSql) => carryAdminSql(tenantSetting, adminRole, valueSql), undefined);
    this.nobody = this.carrying('', false);
    this.nobodyAfterAdmin = this.carrying('', true);
  }

  /**
   * The front of a statement in this state.
   *
   * @param roleMayBeAdmin an earlier statement of the transaction ran as admin, so the role is carried back too.
   * @throws InvalidTenantIdError if the state's tenant id is not of the data source's type.
   */
  of(state: TenantContextState, roleMayBeAdmin: boolean): Front {
    switch (state.kind) {
      case 'tenant':
        return this.ofTenant(state.tenantId, roleMayBeAdmin);
      case 'admin':
        return this.admin;
      case 'nobody':
        return roleMayBeAdmin ? this.nobodyAfterAdmin : this.nobody;
    }
  }

  /** The InvalidTenantIdError that {@link of} would throw. */
  refusal(state: TenantContextState): Error | undefined {
    if (state.kind !== 'tenant' || this.tenants.has(state.tenantId)) return undefined;
    try {
      this.ofTenant(state.tenantId, false);
      return undefined;
    } catch (error) {
      return error as Error;
    }
  }

  private ofTenant(tenantId: string, roleMayBeAdmin: boolean): Front {
    const fronts = roleMayBeAdmin ? this.tenantsAfterAdmin : this.tenants;
    const known = fronts.get(tenantId);
    if (known !== undefined) return known;
    const front = this.carrying(parseTenantId(this.options.tenantIdType, tenantId), roleMayBeAdmin);
    if (fronts.size >= KEPT_TENANTS) fronts.clear();
    fronts.set(tenantId, front);
    return front;
  }

  private carrying(value: string, roleToo: boolean): Front {
    const { tenantSetting } = this.options;
    return new Front(
      value,
      (valueSql) => carryTenantSql(tenantSetting, valueSql, roleToo),
      // The text follows from the name, so that nobody else's statement of that name is another one.
      roleToo ? undefined : `nestjs-rls-tenants: ${tenantSetting}`,
    );
  }
}
