import { InvalidTenantIdError, RlsConfigurationError } from '../errors.js';

/** The PostgreSQL type of tenant ids. One application has one. */
export type TenantIdType = 'uuid' | 'integer' | 'bigint' | 'text';

export const TENANT_ID_TYPES: readonly TenantIdType[] = ['uuid', 'integer', 'bigint', 'text'];

/** What callers may pass as a tenant id. The library hands it back as a string, in PostgreSQL's text form. */
export type TenantId = string | number | bigint;

/** Longest tenant id of type `text`, in characters. */
export const MAX_TEXT_TENANT_ID_LENGTH = 255;

// What String() makes of a value that was never there.
const STRINGIFIED_NOTHING = new Set(['undefined', 'null', 'NaN', 'true', 'false']);

// PostgreSQL also reads other spellings of a uuid; one spelling keeps equal tenants equal as text.
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const DECIMAL = /^(?:0|-?[1-9][0-9]{0,18})$/;
const INTEGER_RANGE = { min: -(2n ** 31n), max: 2n ** 31n - 1n };
const BIGINT_RANGE = { min: -(2n ** 63n), max: 2n ** 63n - 1n };

const VISIBLE_ASCII = new RegExp(`^[!-~]{1,${MAX_TEXT_TENANT_ID_LENGTH}}$`);

// Control characters (NUL among them), the invisible characters that make two ids look alike, and the replacement
// character, which stands for bytes that somebody could not decode.
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u{FFFD}]/u;

/**
 * Returns `value` as text if it could be a tenant id of some type.
 *
 * @throws InvalidTenantIdError for everything that is no tenant id of any type: null, undefined, objects, arrays,
 * booleans, fractions, the empty string, control characters, lone surrogates, overlong text, `'undefined'`.
 */
export function checkTenantId(value: unknown): string {
  switch (typeof value) {
    case 'bigint':
      return value.toString();
    case 'number':
      if (!Number.isSafeInteger(value)) throw invalid(value, 'a number must be a safe integer');
      return String(value);
    case 'string':
      return checkText(value);
    default:
      throw invalid(value, 'a tenant id is a string, a number or a bigint');
  }
}

/**
 * Returns `value` in the one text form that PostgreSQL gives a tenant id of this type (uuids in lower case).
 *
 * @throws InvalidTenantIdError if `value` is no tenant id of this type.
 * @throws RlsConfigurationError if there is no such type.
 */
export function parseTenantId(type: TenantIdType, value: unknown): string {
  const text = checkTenantId(value);
  switch (type) {
    case 'text':
      return text;
    case 'uuid': {
      const uuid = text.toLowerCase();
      if (!UUID.test(uuid))
        throw invalid(value, 'it must be a uuid such as 6f1c2d3e-0000-4000-8000-000000000001');
      return uuid;
    }
    case 'integer':
      return checkDecimal(value, text, INTEGER_RANGE);
    case 'bigint':
      return checkDecimal(value, text, BIGINT_RANGE);
    default:
      throw new RlsConfigurationError(
        `\`tenantIdType\` is ${JSON.stringify(type)}.`,
        `It must be one of ${TENANT_ID_TYPES.map((name) => `'${name}'`).join(', ')}.`,
      );
  }
}

function checkText(text: string): string {
  // What almost every id is; the classes of Unicode take a microsecond.
  if (VISIBLE_ASCII.test(text) && !STRINGIFIED_NOTHING.has(text)) return text;
  if (text === '') throw invalid(text, 'it is empty');
  if (text.length > MAX_TEXT_TENANT_ID_LENGTH) {
    throw invalid(text, `it is longer than ${MAX_TEXT_TENANT_ID_LENGTH} characters`);
  }
  if (STRINGIFIED_NOTHING.has(text) || text.startsWith('[object '))
    throw invalid(text, 'it is a stringified non-value');
  if (!text.isWellFormed()) throw invalid(text, 'it is not well-formed Unicode');
  if (UNPRINTABLE.test(text)) throw invalid(text, 'it has control or invisible characters');
  if (text.trim() !== text) throw invalid(text, 'it begins or ends with white space');
  return text;
}

function checkDecimal(value: unknown, text: string, range: { min: bigint; max: bigint }): string {
  if (!DECIMAL.test(text)) throw invalid(value, 'it must be a whole decimal number without leading zeros');
  const number = BigInt(text);
  if (number < range.min || number > range.max)
    throw invalid(value, `it must be from ${range.min} to ${range.max}`);
  return text;
}

function invalid(value: unknown, cause: string): InvalidTenantIdError {
  return new InvalidTenantIdError(
    `Invalid tenant id ${describe(value)}: ${cause}.`,
    'Take the tenant id from a verified source and pass it on unchanged; `tenantIdType` must be the type of the tenant columns.',
  );
}

/** The value as an error message may show it: short, on one line, and never evaluated (no `toString` of its own). */
function describe(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  if (value === null || typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean')
    return String(value);
  return Array.isArray(value) ? 'of type array' : `of type ${typeof value}`;
}
