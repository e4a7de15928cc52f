import type { TenantContextState } from '../context/tenant-context.js';
import { parseTenantId } from '../context/tenant-id.js';
import { carryAdminSql, carryTenantSql, quoteLiteral } from '../policies/index.js';
import type { IsolationOptions } from './isolation.options.js';

/**
 * What is sent in front of one statement: a query that puts the caller's tenant (or the admin role) into the
 * transaction that the statement runs in. It is ready to write, because it is written with every statement.
 */
export interface Front {
  /** Parse, Bind and Execute, for a statement of the extended query protocol. No Sync: the statement sends it. */
  readonly messages: Buffer;
  /** The same as text, for a statement of the simple query protocol. */
  readonly text: string;
  /** Characters of {@link text}, as PostgreSQL counts them in an error's position. */
  readonly length: number;
}

/** Makes the fronts of one data source. A state is immutable, so its fronts are made once. */
export class Fronts {
  private readonly plain = new WeakMap<TenantContextState, Front>();
  private readonly afterAdmin = new WeakMap<TenantContextState, Front>();

  constructor(
    private readonly options: Required<
      Pick<IsolationOptions, 'tenantIdType' | 'tenantSetting' | 'adminRole'>
    >,
  ) {}

  /**
   * The front of a statement in this state.
   *
   * @param roleMayBeAdmin an earlier statement of the transaction ran as admin, so the role is carried back too.
   * @throws InvalidTenantIdError if the state's tenant id is not of the data source's type.
   */
  of(state: TenantContextState, roleMayBeAdmin: boolean): Front {
    const fronts = roleMayBeAdmin ? this.afterAdmin : this.plain;
    let front = fronts.get(state);
    if (front === undefined) fronts.set(state, (front = this.make(state, roleMayBeAdmin)));
    return front;
  }

  /** The state's tenant id in PostgreSQL's text form; undefined as admin and for nobody. @throws InvalidTenantIdError */
  tenantIdOf(state: TenantContextState): string | undefined {
    return state.kind === 'tenant' ? parseTenantId(this.options.tenantIdType, state.tenantId) : undefined;
  }

  private make(state: TenantContextState, roleMayBeAdmin: boolean): Front {
    const { tenantSetting, adminRole } = this.options;
    const value = this.tenantIdOf(state) ?? '';
    const sql = (valueSql: string) =>
      state.kind === 'admin'
        ? carryAdminSql(tenantSetting, adminRole, valueSql)
        : carryTenantSql(tenantSetting, valueSql, roleMayBeAdmin);
    const text = `${sql(quoteLiteral(value))};`;
    return { messages: extendedQuery(sql('$1'), value), text, length: Array.from(text).length };
  }
}

/** Parse, Bind and Execute of one statement with one text parameter, unnamed, without Describe (no RowDescription). */
function extendedQuery(sql: string, value: string): Buffer {
  const parameter = Buffer.from(value);
  return Buffer.concat([
    message('P', Buffer.from('\0'), Buffer.from(`${sql}\0`), int16(0)),
    message('B', Buffer.from('\0\0'), int16(0), int16(1), int32(parameter.length), parameter, int16(0)),
    message('E', Buffer.from('\0'), int32(0)),
  ]);
}

function message(type: string, ...parts: Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  return Buffer.concat([Buffer.from(type), int32(body.length + 4), body]);
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}
