import { createHmac, createSecretKey, timingSafeEqual, type KeyObject } from 'node:crypto';
import { RlsConfigurationError } from '../errors.js';

/** A secret that signs tenant tokens, and the name by which a token says which one signed it. */
export interface TenantTokenKey {
  /** Up to 64 letters, digits, `-` and `_`. It is no secret: tokens name it. */
  id: string;
  /** At least 32 bytes from a secure random source, for example `openssl rand -base64 48`. */
  secret: string | Uint8Array;
}

/** Shortest secret, in bytes: as long as what HMAC-SHA256 returns. */
export const MIN_SECRET_BYTES = 32;

const KEY_ID = /^[A-Za-z0-9_-]{1,64}$/;

/** The keys that sign and verify: the first signs, all verify. Never shows a secret. */
export class TokenKeys {
  readonly #keys = new Map<string, KeyObject>();
  /** Id of the key that signs. */
  readonly signing: string;

  /** @throws RlsConfigurationError for no keys, a key whose id is malformed or taken, or a secret that is too short. */
  constructor(keys: readonly TenantTokenKey[]) {
    const [first] = keys ?? [];
    if (first === undefined) {
      throw new RlsConfigurationError(
        'There are no keys to sign tenant tokens with.',
        'Give `keys: [{ id, secret }]`; the first one signs, all of them verify.',
      );
    }
    for (const { id, secret } of keys) this.#keys.set(this.#checkId(id), readSecret(id, secret));
    this.signing = first.id;
  }

  /** The signature of `text`. @throws nothing for an id that {@link has} knows. */
  sign(id: string, text: string): string {
    return createHmac('sha256', this.#keys.get(id) as KeyObject)
      .update(text)
      .digest('base64url');
  }

  has(id: string): boolean {
    return this.#keys.has(id);
  }

  /** Whether `mac` is the signature of `text`, in the one spelling that it has, in constant time. */
  verify(id: string, text: string, mac: string): boolean {
    const [expected, given] = [Buffer.from(this.sign(id, text)), Buffer.from(mac)];
    return expected.length === given.length && timingSafeEqual(expected, given);
  }

  #checkId(id: unknown): string {
    if (typeof id !== 'string' || !KEY_ID.test(id)) {
      throw new RlsConfigurationError(
        'A key for tenant tokens has an `id` that is not made of 1 to 64 letters, digits, "-" and "_".',
        "Name the key, for example by the month it was made in: { id: '2026-11', secret }.",
      );
    }
    if (!this.#keys.has(id)) return id;
    throw new RlsConfigurationError(
      `Two keys for tenant tokens have the id "${id}".`,
      'Give each key an id of its own: a token names the key that signed it.',
    );
  }
}

function readSecret(id: string, secret: unknown): KeyObject {
  const bytes = typeof secret === 'string' ? Buffer.from(secret) : secret;
  if (bytes instanceof Uint8Array && bytes.byteLength >= MIN_SECRET_BYTES) return createSecretKey(bytes);
  const cause =
    bytes instanceof Uint8Array
      ? `is shorter than ${MIN_SECRET_BYTES} bytes`
      : 'is neither text nor bytes (an environment variable that is not set?)';
  throw new RlsConfigurationError(
    `The secret of the key "${id}" for tenant tokens ${cause}.`,
    'Make one with `openssl rand -base64 48` and keep it where your other secrets are.',
  );
}
