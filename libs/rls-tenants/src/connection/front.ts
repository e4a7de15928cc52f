import type { TenantContextState } from '../context/tenant-context.js';
import { parseTenantId } from '../context/tenant-id.js';
import { InvalidTenantIdError } from '../errors.js';
import {
  carryAdminSql,
  carrySealedSql,
  carryTenantSql,
  quoteLiteral,
  readableSettingValue,
} from '../policies/index.js';
import type { IsolationOptions } from './isolation.options.js';
import { bind, close, execute, kept, parse } from './messages.js';
import { SealedMessages } from './sealed-messages.js';
import type { Sealer } from './sealer.js';

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
   * @param sealed what is sent instead of all other forms, if the tenant is carried with a seal.
   */
  constructor(
    readonly value: string,
    private readonly sql: (valueSql: string) => string,
    readonly statementName: string | undefined,
    readonly sealed?: SealedMessages,
  ) {}

  /** Parse, Bind and Execute, for a statement of the extended query protocol. No Sync: the statement sends it. */
  get messages(): Buffer {
    return (this.unnamed ??= kept(parse('', this.sql('$1')), bind('', this.value), execute()));
  }

  /** The same, and one row comes back that holds the process id of the backend. */
  get askingMessages(): Buffer {
    const sql = `${this.sql('$1')}, pg_catalog.pg_backend_pid()::text`;
    return (this.asking ??= kept(parse('', sql), bind('', this.value), execute()));
  }

  /** The same, and the connection has the query prepared from then on, whether it had it before or not. */
  get preparingMessages(): Buffer {
    const name = this.statementName!;
    return Buffer.concat([close(name), parse(name, this.sql('$1')), this.preparedMessages]);
  }

  /** Bind and Execute, for a connection that has the query prepared. */
  get preparedMessages(): Buffer {
    return (this.bound ??= kept(bind(this.statementName!, this.value), execute()));
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

/** What earlier statements of a transaction may have left in it, so that this one takes it back. Bits. */
export const LEFT = { nothing: 0, adminRole: 1, readableTenants: 2 } as const;

type TenantState = Extract<TenantContextState, { kind: 'tenant' }>;
/** One for each combination of what may be left. */
type ByLeft<T> = [T, T, T, T];

/** Tenants whose fronts are kept. Far more than are active at one time; a front takes about a kilobyte. */
const KEPT_TENANTS = 10_000;

/** Makes the fronts of one data source. */
export class Fronts {
  private readonly tenants = byLeft(() => new Map<string, Front>());
  // By state, which is immutable: it lives as long as its context.
  private readonly sets = byLeft(() => new WeakMap<TenantState, Front>());
  private readonly admin: ByLeft<Front>;
  private readonly nobody: ByLeft<Front>;

  constructor(
    private readonly options: Required<
      Pick<IsolationOptions, 'tenantIdType' | 'tenantSetting' | 'adminRole'>
    >,
    /** Tenants that exist for the rows that all tenants read: nobody acts for them. */
    private readonly sharedTenants: ReadonlySet<string>,
    private readonly sealer?: Sealer,
  ) {
    const { tenantSetting, adminRole } = options;
    this.admin = byLeft(
      (left) =>
        new Front(
          '',
          (valueSql) => carryAdminSql(tenantSetting, adminRole, valueSql, readableToTakeBack(left)),
          undefined,
        ),
    );
    this.nobody = byLeft((left) => this.carrying('', left));
  }

  /**
   * The front of a statement in this state.
   *
   * @param left what earlier statements of the transaction may have left, see {@link LEFT}: it is taken back too.
   * @throws InvalidTenantIdError if a tenant id of the state is not of the data source's type.
   */
  of(state: TenantContextState, left: number): Front {
    switch (state.kind) {
      case 'tenant':
        return state.readableTenantIds === undefined
          ? this.ofTenant(state.tenantId, left)
          : this.ofSet(state, state.readableTenantIds, left);
      case 'admin':
        return this.admin[left]!;
      case 'nobody':
        return this.nobody[left]!;
    }
  }

  /** The InvalidTenantIdError that {@link of} would throw, or that there is no key to seal with. */
  refusal(state: TenantContextState): Error | undefined {
    if (state.kind !== 'tenant') return undefined;
    const unsealable = this.sealer?.refusal();
    if (unsealable) return unsealable;
    const isSet = state.readableTenantIds !== undefined;
    if (!isSet && this.tenants[LEFT.nothing].has(state.tenantId)) return undefined;
    try {
      this.of(state, LEFT.nothing);
      return undefined;
    } catch (error) {
      return error as Error;
    }
  }

  private ofTenant(tenantId: string, left: number): Front {
    const fronts = this.tenants[left]!;
    const known = fronts.get(tenantId);
    if (known !== undefined) return known;
    const front = this.carrying(this.parse(tenantId), left);
    if (fronts.size >= KEPT_TENANTS) fronts.clear();
    fronts.set(tenantId, front);
    return front;
  }

  private ofSet(state: TenantState, readableTenantIds: readonly string[], left: number): Front {
    const fronts = this.sets[left]!;
    const known = fronts.get(state);
    if (known !== undefined) return known;
    const tenantId = this.parse(state.tenantId);
    const others = readableTenantIds
      .map((readable) => this.parse(readable))
      .filter((readable) => readable !== tenantId);
    const front = this.carrying(tenantId, left, readableSettingValue(this.options.tenantIdType, others));
    fronts.set(state, front);
    return front;
  }

  private parse(tenantId: string): string {
    const parsed = parseTenantId(this.options.tenantIdType, tenantId);
    if (!this.sharedTenants.has(parsed)) return parsed;
    throw new InvalidTenantIdError(
      `Tenant ${JSON.stringify(parsed)} is the owner of shared rows, and nobody acts for it.`,
      'Write shared rows in adminContext(reason, fn), with the tenant property set to it.',
    );
  }

  private carrying(value: string, left: number, readable = readableToTakeBack(left)): Front {
    const { tenantSetting } = this.options;
    if (this.sealer) {
      const sql = carrySealedSql(tenantSetting, readable);
      const sealed = new SealedMessages(this.sealer, sql, value, readable ?? '');
      return new Front(value, () => sql, undefined, sealed);
    }
    const roleToo = (left & LEFT.adminRole) !== 0;
    return new Front(
      value,
      (valueSql) => carryTenantSql(tenantSetting, valueSql, roleToo, readable),
      // The text follows from the name, so that nobody else's statement of that name is another one.
      roleToo || readable !== undefined ? undefined : `nestjs-rls-tenants: ${tenantSetting}`,
    );
  }
}

function readableToTakeBack(left: number): string | undefined {
  return (left & LEFT.readableTenants) === 0 ? undefined : '';
}

function byLeft<T>(make: (left: number) => T): ByLeft<T> {
  return [make(0), make(1), make(2), make(3)];
}
