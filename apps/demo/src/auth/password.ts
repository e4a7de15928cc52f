import { randomBytes, scrypt as scryptCallback, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';

const scrypt = promisify<string, Buffer, number, Buffer>(scryptCallback);
const KEY_BYTES = 32;

/** Hashes a password with scrypt and a salt of its own: `scrypt$<salt>$<key>`, both in base64url. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16);
  const key = await scrypt(password, salt, KEY_BYTES);
  return `scrypt$${salt.toString('base64url')}$${key.toString('base64url')}`;
}

/**
 * True if `password` is the one that `hash` was made of. Without a hash (no such user) it takes the same time and is
 * false, so that the answer's delay does not tell which addresses have accounts.
 */
export async function verifyPassword(password: string, hash: string | undefined): Promise<boolean> {
  const [, salt = '', key = ''] = (hash ?? '').split('$');
  const expected = Buffer.from(key, 'base64url');
  const actual = await scrypt(password, Buffer.from(salt, 'base64url'), KEY_BYTES);
  return expected.length === KEY_BYTES && timingSafeEqual(actual, expected);
}
