import { channel } from 'node:diagnostics_channel';
import { runIn, type TenantContextState } from '../context/tenant-context.js';
import type { RlsViolationError } from '../errors.js';
import { INSUFFICIENT_PRIVILEGE, violationError } from './connection-errors.js';
import type { PgConnection, PgServerError } from './pg-internals.js';

const refusals = channel('rls-tenants:statement-refused');
const violations = channel('rls-tenants:violation');

/**
 * The library refused a statement before any I/O, because it has no tenant or none of the data source's type: what the
 * diagnostics channel `rls-tenants:statement-refused` publishes.
 */
export interface StatementRefusedEvent {
  readonly event: 'statement refused';
  /** Whom the statement was for. */
  readonly context: TenantContextState;
  /** A NoTenantContextError or an InvalidTenantIdError; its stack shows who sent the statement. */
  readonly error: Error;
}

/**
 * PostgreSQL answered a statement with SQLSTATE 42501, or the library refused a write that the policy would have refused:
 * what the diagnostics channel `rls-tenants:violation` publishes.
 */
export interface ViolationEvent {
  readonly event: 'violation';
  /** Whom the statement was for. */
  readonly context: TenantContextState;
  readonly error: RlsViolationError;
}

/** One number for each kind of tenant context. */
export type CountsByKind = Record<TenantContextState['kind'], number>;

/** What became of a data source's statements. Plain numbers: they are read when somebody asks, and nobody is told. */
export class StatementCounts {
  /** Statements that something was carried in front of. */
  readonly carried = noneYet();
  /** Statements that the library refused before any I/O. */
  readonly refused = noneYet();
  readonly violations = noneYet();
}

function noneYet(): CountsByKind {
  return { tenant: 0, admin: 0, nobody: 0 };
}

// By connection, which node-postgres hands to whatever handles an error: a statement need not know.
const countsOf = new WeakMap<PgConnection, StatementCounts>();

/** Counts the violations of what this connection sends. */
export function countViolations(connection: PgConnection, counts: StatementCounts): void {
  countsOf.set(connection, counts);
}

/** Counts and publishes an error of a statement, if it is a violation; not for errors of what is carried in front. */
export function violated(
  connection: PgConnection | undefined,
  error: PgServerError,
  state: TenantContextState,
): void {
  const counts = error.code === INSUFFICIENT_PRIVILEGE && connection && countsOf.get(connection);
  if (!counts) return;
  counts.violations[state.kind]++;
  if (!violations.hasSubscribers) return;
  // A socket's events run for nobody; what a subscriber logs or asks should be the statement's.
  runIn(state, () => publishViolation(violationError(error) as RlsViolationError, state));
}

/** To be called in the statement's own context. */
export function publishViolation(error: RlsViolationError, context: TenantContextState): void {
  if (violations.hasSubscribers)
    violations.publish({ event: 'violation', context, error } satisfies ViolationEvent);
}

/** To be called in the statement's own context. */
export function publishRefusal(error: Error, context: TenantContextState): void {
  if (refusals.hasSubscribers)
    refusals.publish({ event: 'statement refused', context, error } satisfies StatementRefusedEvent);
}
