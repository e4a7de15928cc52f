import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import { RlsConfigurationError } from '../errors.js';

const ITERATIONS = 4096;
const KEY_BYTES = 32;
const SALT_BYTES = 16;

// Within ASCII a password is its own SASLprep form.
const PRINTABLE_ASCII = /^[\x20-\x7e]+$/;

/**
 * What PostgreSQL stores for a password (RFC 5803), made here as psql's `\password` makes it, so that the password itself
 * does not get into the server's log.
 *
 * @param variable the environment variable that holds the password, for the error message.
 * @throws RlsConfigurationError for an empty password, or one with characters beyond printable ASCII.
 */
export function scramVerifier(password: string, variable: string, salt = randomBytes(SALT_BYTES)): string {
  if (!PRINTABLE_ASCII.test(password)) {
    throw new RlsConfigurationError(
      `The password in ${variable} is empty or has characters beyond printable ASCII.`,
      'Choose another one, or unset the variable and set the password in psql with \\password.',
    );
  }
  const salted = pbkdf2Sync(password, salt, ITERATIONS, KEY_BYTES, 'sha256');
  const hmac = (text: string) => createHmac('sha256', salted).update(text).digest();
  const storedKey = createHash('sha256').update(hmac('Client Key')).digest('base64');
  return `SCRAM-SHA-256$${ITERATIONS}:${salt.toString('base64')}$${storedKey}:${hmac('Server Key').toString('base64')}`;
}
