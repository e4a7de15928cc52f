/**
 * Base of every error this library throws.
 *
 * The message names the object and the cause; {@link hint} names the next step.
 */
export class RlsTenantsError extends Error {
  /** What to do about it, in one or two sentences. */
  readonly hint: string;

  constructor(message: string, hint: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.hint = hint;
  }
}

/** A statement or a handler needs a tenant and the tenant context holds nobody. */
export class NoTenantContextError extends RlsTenantsError {}

/** A value that is no tenant id of the configured `tenantIdType`. Raised before any I/O. */
export class InvalidTenantIdError extends RlsTenantsError {}

/** `authorize` refused the caller the tenant that the caller asked for. */
export class TenantAccessDeniedError extends RlsTenantsError {}

/**
 * A signed tenant token that came with a job or a message is missing, forged, expired, or meant for something else.
 * Neither message nor hint holds the token or a secret.
 */
export class InvalidTenantTokenError extends RlsTenantsError {}

/**
 * Row-level security or a missing privilege refused a statement (SQLSTATE 42501), or the library refused,
 * before any I/O, a write that the policy would have refused.
 */
export class RlsViolationError extends RlsTenantsError {
  /** SQLSTATE `insufficient_privilege`. */
  readonly code = '42501';
}

/** The configuration, the entities or the database contradict each other, so isolation cannot be promised. */
export class RlsConfigurationError extends RlsTenantsError {}

/** Another runner holds the migration lock, the lock was lost, or a pooler in between can hold none. */
export class MigrationLockError extends RlsTenantsError {}

/** A migration failed, or its record contradicts the code. The message says what of it is left in the database. */
export class MigrationFailedError extends RlsTenantsError {}
