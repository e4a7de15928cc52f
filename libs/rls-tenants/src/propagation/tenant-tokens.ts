import { createHash } from 'node:crypto';
import { currentTenantContext, type TenantContextState } from '../context/tenant-context.js';
import { parseTenantId, type TenantIdType } from '../context/tenant-id.js';
import { InvalidTenantIdError, InvalidTenantTokenError, NoTenantContextError } from '../errors.js';
import { canonicalJson } from './canonical-json.js';
import { TokenKeys, type TenantTokenKey } from './token-keys.js';

/** How the tenant context of one process is signed for another. */
export interface TenantTokenOptions {
  /**
   * The first key signs, all of them verify. To rotate: add the new key as the last one everywhere, then make it the first
   * one everywhere, and remove the old one when no token that it signed is left.
   */
  keys: readonly TenantTokenKey[];
  /** The PostgreSQL type of tenant ids. */
  tenantIdType: TenantIdType;
  /** For how many seconds a token is good. Default: for jobs without end, for messages 60. */
  maxAgeSeconds?: number;
  /** By how many seconds the clocks of two processes may differ. Default 30. */
  clockSkewSeconds?: number;
  /**
   * Lets the admin context travel, with its reason: both sides need it, so that neither decides it alone. Default
   * `false`: who signs as admin is refused, and so is a token that says admin.
   */
  allowAdmin?: boolean;
  /**
   * Lets work begin for nobody: what is sent outside of a tenant context goes without a token, and what arrives without
   * one runs for nobody and sees no rows. Default `false`: both are refused.
   */
  allowNobody?: boolean;
}

/** For what a token is good: a transport, and its queue and job, or its pattern. */
export type Audience = readonly [transport: string, ...names: string[]];

interface Claims {
  /** The tenant id; absent for the admin. */
  t?: string;
  /** The admin's reason. */
  a?: string;
  /** Audience. */
  aud: Audience;
  /** Digest of the data. */
  d: string;
  /** Issued at, expires at: seconds since 1970. */
  iat: number;
  exp?: number;
}

const VERSION = 'v1';
const CLOCK_SKEW_SECONDS = 30;
/** A tenant id has at most 255 characters; what is longer by far is no token, and is not worth a digest. */
const MAX_TOKEN_LENGTH = 16_384;

/**
 * Signs the tenant context of this process for another one, and verifies what others signed. A token,
 * `v1.<key id>.<payload>.<HMAC-SHA256>`, is good for one audience and one value of the data that it comes with: it can
 * be replayed as it is, and cannot be put on anything else.
 */
export class TenantTokens {
  readonly #keys: TokenKeys;
  readonly #options: TenantTokenOptions;

  /** @throws RlsConfigurationError if the keys cannot be used. */
  constructor(options: TenantTokenOptions) {
    this.#keys = new TokenKeys(options.keys);
    this.#options = options;
  }

  /**
   * A token for the current tenant context, or `undefined` for nobody where `allowNobody` permits it.
   *
   * @throws NoTenantContextError for nobody, and for the admin without `allowAdmin`.
   * @throws InvalidTenantIdError if the tenant id is not of `tenantIdType`.
   */
  sign(audience: Audience, data: unknown): string | undefined {
    const identity = this.#identity(currentTenantContext(), audience);
    if (identity === undefined) return undefined;
    const iat = nowInSeconds();
    const { maxAgeSeconds } = this.#options;
    const claims: Claims = {
      ...identity,
      aud: audience,
      d: digest(data),
      iat,
      ...(maxAgeSeconds === undefined ? {} : { exp: iat + maxAgeSeconds }),
    };
    const signed = `${VERSION}.${this.#keys.signing}.${encode(claims)}`;
    return `${signed}.${this.#keys.sign(this.#keys.signing, signed)}`;
  }

  /**
   * Whom a token speaks for. No token at all is nobody where `allowNobody` permits it; a token that is not good never is.
   *
   * @throws InvalidTenantTokenError for everything else: no token, another version, an unknown key, a wrong signature,
   * another audience, other data, a token that expired or is of the future, a tenant id that is not of `tenantIdType`.
   */
  verify(token: unknown, audience: Audience, data: unknown): TenantContextState {
    if (token === undefined || token === null) {
      if (this.#options.allowNobody) return { kind: 'nobody' };
      throw refused(
        audience,
        'it has no tenant token',
        'Send it through a client or queue that signs, in a tenant context; or set `allowNobody` if it may run for nobody.',
      );
    }
    const claims = this.#open(token, audience);
    this.#checkUse(claims, audience, data);
    return this.#state(claims, audience);
  }

  #identity(state: TenantContextState, audience: Audience): Pick<Claims, 't' | 'a'> | undefined {
    const { tenantIdType, allowAdmin, allowNobody } = this.#options;
    if (state.kind === 'tenant') return { t: parseTenantId(tenantIdType, state.tenantId) };
    if (state.kind === 'admin' && allowAdmin) return { a: state.reason };
    if (state.kind === 'nobody' && allowNobody) return undefined;
    throw new NoTenantContextError(
      state.kind === 'admin'
        ? `The admin context does not travel with ${nameOf(audience)}.`
        : `There is no tenant in context to send with ${nameOf(audience)}.`,
      state.kind === 'admin'
        ? 'Send it inside tenantContext(tenantId, fn), or set `allowAdmin` on both sides if the receiver shall act as admin.'
        : 'Send it inside tenantContext(tenantId, fn), or set `allowNobody` on both sides if it needs no tenant.',
    );
  }

  /** The claims of a token that one of our keys signed. Nothing of a token is read before its signature is. */
  #open(token: unknown, audience: Audience): Claims {
    const parts = typeof token === 'string' && token.length <= MAX_TOKEN_LENGTH ? token.split('.') : [];
    const [version, keyId, payload, mac] = parts as [string, string, string, string];
    if (parts.length === 4 && version !== VERSION) {
      throw refused(
        audience,
        'its tenant token has a version that this release does not know',
        'Run the same release of nestjs-rls-tenants on both sides.',
      );
    }
    if (parts.length !== 4) {
      throw refused(audience, 'its tenant token is malformed', 'Pass tokens on unchanged.');
    }
    if (!this.#keys.has(keyId)) {
      throw refused(
        audience,
        'its tenant token was signed with a key that is not among `keys`',
        'Keep a rotated key in `keys` for as long as its tokens are under way, and give all processes the same keys.',
      );
    }
    if (!this.#keys.verify(keyId, `${version}.${keyId}.${payload}`, mac)) {
      throw refused(
        audience,
        'the signature of its tenant token is wrong',
        'Somebody forged it, or two processes have different secrets under one key id.',
      );
    }
    const claims = decode(payload);
    if (claims) return claims;
    throw refused(
      audience,
      'its tenant token is malformed',
      'Only nestjs-rls-tenants may sign with these keys.',
    );
  }

  #checkUse(claims: Claims, audience: Audience, data: unknown): void {
    if (canonicalJson(claims.aud) !== canonicalJson(audience)) {
      throw refused(
        audience,
        'its tenant token was made for something else',
        'A token is good for one queue and job, or one pattern: send anew instead of copying.',
      );
    }
    if (claims.d !== digest(data)) {
      throw refused(
        audience,
        'its tenant token was made for other data',
        'Change the data through the signing queue or inside of the processor, and send nothing that JSON changes twice.',
      );
    }
    const { maxAgeSeconds = Infinity, clockSkewSeconds = CLOCK_SKEW_SECONDS } = this.#options;
    const expires = Math.min(claims.exp ?? Infinity, claims.iat + maxAgeSeconds);
    const now = nowInSeconds();
    if (now > expires + clockSkewSeconds) {
      throw refused(audience, 'its tenant token expired', 'Send it again, or raise `maxAgeSeconds`.');
    }
    if (claims.iat > now + clockSkewSeconds) {
      throw refused(audience, 'its tenant token is of the future', 'Set the clocks of both machines.');
    }
  }

  #state({ t, a }: Claims, audience: Audience): TenantContextState {
    if (t !== undefined) {
      try {
        return { kind: 'tenant', tenantId: parseTenantId(this.#options.tenantIdType, t) };
      } catch (cause) {
        if (!(cause instanceof InvalidTenantIdError)) throw cause;
        const hint = 'Both sides need the same `tenantIdType`.';
        throw refused(audience, 'its tenant token names no tenant id of `tenantIdType`', hint, cause);
      }
    }
    if (a !== undefined && this.#options.allowAdmin) return { kind: 'admin', reason: a };
    throw refused(
      audience,
      'its tenant token asks for the admin context, which is not allowed here',
      'Set `allowAdmin` here too if the sender may hand it over.',
    );
  }
}

function refused(audience: Audience, cause: string, hint: string, error?: unknown): InvalidTenantTokenError {
  return new InvalidTenantTokenError(
    `Refused ${nameOf(audience)}: ${cause}.`,
    hint,
    error === undefined ? undefined : { cause: error },
  );
}

/** What an audience is, in a message: `BullMQ job "invoices" "send"`. */
function nameOf([transport, ...names]: Audience): string {
  return [transport, ...names.map((name) => JSON.stringify(name))].join(' ');
}

function digest(data: unknown): string {
  return createHash('sha256').update(canonicalJson(data)).digest('base64url');
}

function encode(claims: Claims): string {
  return Buffer.from(JSON.stringify(claims)).toString('base64url');
}

function decode(payload: string): Claims | undefined {
  let claims: Partial<Record<keyof Claims, unknown>>;
  try {
    claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as typeof claims;
  } catch {
    return undefined;
  }
  const { t, a, exp } = claims ?? {};
  const oneIdentity = (typeof t === 'string') !== (typeof a === 'string');
  const valid =
    oneIdentity && Number.isSafeInteger(claims.iat) && (exp === undefined || Number.isFinite(exp));
  return valid ? (claims as Claims) : undefined;
}

function nowInSeconds(): number {
  return Math.floor(Date.now() / 1000);
}
