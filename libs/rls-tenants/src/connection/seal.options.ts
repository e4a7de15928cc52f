import { Buffer } from 'node:buffer';
import { RlsConfigurationError } from '../errors.js';

/** A secret that application and database share, with the name that both know it by. */
export interface SealKey {
  /** Letters, digits, `_` and `-`; up to 32 of them. */
  readonly id: string;
  /** 32 to 64 random bytes. */
  readonly secret: Uint8Array;
  /** From then on the application signs nothing with it. Default: never. */
  readonly expiresAt?: Date;
}

/** How the tenant context is sealed. */
export interface SealOptions {
  /**
   * The keys: the first one that has not expired signs. A function is asked at the start and again every half
   * `lifetime`, so that a rotation needs no restart; what it answers last stays in use while it fails.
   */
  keys: readonly SealKey[] | (() => readonly SealKey[] | Promise<readonly SealKey[]>);
  /** Seconds that a seal is worth something, at most; at least half of that. Default 300. */
  lifetime?: number;
  /**
   * Whether a seal is for one backend. `'detect'`: each connection finds out with its first statement whether a pooler
   * sits between, and binds its seals if none does; `'bound'`: from the first statement on; `'unbound'`: never.
   * Default `'detect'`.
   */
  backend?: 'detect' | 'bound' | 'unbound';
}

/** The name of the environment variable that {@link sealKeysFromEnvironment} reads by default. */
export const SEAL_KEYS_VARIABLE = 'RLS_SEAL_KEYS';

const KEY_ID = /^[A-Za-z0-9_-]{1,32}$/;
const BASE64 = /^[A-Za-z0-9+/_-]+={0,2}$/;

/**
 * Reads keys from an environment variable: `<id>:<secret in base64>[:<when it expires, ISO 8601>]`, separated by commas.
 * `rls-tenants seal-keys --generate` prints one.
 *
 * @throws RlsConfigurationError if the variable is missing or malformed. The message never holds a secret.
 */
export function sealKeysFromEnvironment(variable = SEAL_KEYS_VARIABLE): SealKey[] {
  const text = process.env[variable]?.trim();
  if (!text) {
    throw new RlsConfigurationError(
      `The environment variable ${variable} is not set.`,
      'It holds the keys of the tenant seal: `rls-tenants seal-keys --generate` makes one.',
    );
  }
  return checkSealKeys(
    text.split(',').map((entry, index) => parseSealKey(entry.trim(), `${variable}, key ${index + 1}`)),
  );
}

/** Returns the keys if they can be used. @throws RlsConfigurationError that names the key and never its secret. */
export function checkSealKeys(keys: readonly SealKey[]): SealKey[] {
  if (!Array.isArray(keys) || keys.length === 0) {
    throw new RlsConfigurationError('The tenant seal has no keys.', 'Give `seal.keys` at least one.');
  }
  for (const [index, key] of keys.entries()) {
    if (!KEY_ID.test(key?.id ?? '')) {
      throw new RlsConfigurationError(
        `Key ${index + 1} of the tenant seal has no usable id.`,
        'An id has 1 to 32 letters, digits, `_` or `-`.',
      );
    }
    if (!(key.secret instanceof Uint8Array) || key.secret.length < 32 || key.secret.length > 64) {
      throw new RlsConfigurationError(
        `Key "${key.id}" of the tenant seal is not of 32 to 64 bytes.`,
        'Use random bytes: `rls-tenants seal-keys --generate` makes them.',
      );
    }
    if (key.expiresAt !== undefined && !isDate(key.expiresAt)) {
      throw new RlsConfigurationError(
        `Key "${key.id}" of the tenant seal expires at no date.`,
        'Write the date as ISO 8601: 2027-01-31 or 2027-01-31T12:00:00Z.',
      );
    }
    if (keys.findIndex(({ id }) => id === key.id) !== index) {
      throw new RlsConfigurationError(
        `Two keys of the tenant seal have the id "${key.id}".`,
        'Give each its own id.',
      );
    }
  }
  return [...keys];
}

function parseSealKey(entry: string, where: string): SealKey {
  const [id = '', secret = '', ...expires] = entry.split(':');
  if (!BASE64.test(secret)) {
    throw new RlsConfigurationError(
      `${where} is malformed.`,
      'Write `<id>:<secret in base64>[:<when it expires>]`.',
    );
  }
  return {
    id,
    secret: Buffer.from(secret, 'base64'),
    ...(expires.length > 0 && { expiresAt: new Date(expires.join(':')) }),
  };
}

function isDate(value: unknown): boolean {
  return value instanceof Date && !Number.isNaN(value.getTime());
}
