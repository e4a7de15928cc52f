import { HOSTILE_VALUES } from '../../../../test/support/hostile-tenant-ids.js';
import { InvalidTenantIdError, RlsConfigurationError } from '../errors.js';
import { checkTenantId, MAX_TEXT_TENANT_ID_LENGTH, parseTenantId, TENANT_ID_TYPES } from './tenant-id.js';

const UUID = '6f1c2d3e-00aa-4000-8000-000000000001';

describe('parseTenantId', () => {
  it('gives an id the text form that PostgreSQL gives it', () => {
    expect(parseTenantId('uuid', UUID)).toBe(UUID);
    expect(parseTenantId('uuid', UUID.toUpperCase())).toBe(UUID);
    expect(parseTenantId('integer', 7)).toBe('7');
    expect(parseTenantId('integer', '-7')).toBe('-7');
    expect(parseTenantId('integer', -0)).toBe('0');
    expect(parseTenantId('bigint', 7n)).toBe('7');
    expect(parseTenantId('text', 7)).toBe('7');
    expect(parseTenantId('text', "O'Neill & Søn, 株式会社")).toBe("O'Neill & Søn, 株式会社");
  });

  it('takes the whole range of the PostgreSQL types and nothing beyond', () => {
    expect(parseTenantId('integer', '2147483647')).toBe('2147483647');
    expect(parseTenantId('integer', '-2147483648')).toBe('-2147483648');
    expect(parseTenantId('bigint', 2n ** 63n - 1n)).toBe('9223372036854775807');
    expect(parseTenantId('bigint', '-9223372036854775808')).toBe('-9223372036854775808');
    expect(() => parseTenantId('integer', 2 ** 31)).toThrow(InvalidTenantIdError);
    expect(() => parseTenantId('bigint', 2n ** 63n)).toThrow(InvalidTenantIdError);
    expect(parseTenantId('text', 'a'.repeat(MAX_TEXT_TENANT_ID_LENGTH))).toHaveLength(
      MAX_TEXT_TENANT_ID_LENGTH,
    );
  });

  it('refuses a type that does not exist instead of letting every id pass', () => {
    expect(() => parseTenantId('int' as 'integer', 1)).toThrow(RlsConfigurationError);
  });

  describe.each(TENANT_ID_TYPES)('of type %s', (type) => {
    const hostile = HOSTILE_VALUES.filter(({ wellFormedFor }) => !wellFormedFor.includes(type));
    const ugly = HOSTILE_VALUES.filter(({ wellFormedFor }) => wellFormedFor.includes(type));

    it.each([...hostile, { name: 'null', value: null }])('refuses a hostile value: $name', ({ value }) => {
      expect(() => parseTenantId(type, value)).toThrow(InvalidTenantIdError);
    });

    it.each(ugly)('takes a well-formed value as it is: $name', ({ value }) => {
      const expected = String(value);
      expect(parseTenantId(type, value)).toBe(type === 'uuid' ? expected.toLowerCase() : expected);
    });
  });
});

describe('an InvalidTenantIdError', () => {
  it('shows a hostile value short, escaped and on one line', () => {
    const messageOf = (value: unknown) => {
      try {
        return checkTenantId(value);
      } catch (error) {
        return (error as Error).message;
      }
    };
    expect(messageOf('\r\n\u001B[2J')).toBe(
      String.raw`Invalid tenant id "\r\n\u001b[2J": it has control or invisible characters.`,
    );
    expect(messageOf('1'.repeat(100_000)).length).toBeLessThan(120);
    expect(messageOf({ toString: () => 'secret' })).not.toContain('secret');
  });
});
