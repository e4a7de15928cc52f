import type { TenantIdType } from '../../libs/rls-tenants/src/context/tenant-id.js';

/** One input that somebody might send as a tenant id to break something. */
export interface HostileTenantId {
  /** What it tries, for the test's name. */
  name: string;
  value: unknown;
  /** Types to which it is, although ugly, a well-formed id: there `authorize` must refuse it. */
  wellFormedFor: readonly TenantIdType[];
}

const UUID = '6f1c2d3e-0000-4000-8000-000000000001';

/** Text that is an id to `text` tenants only: any printable text may be a name. It must do no harm in SQL. */
const PRINTABLE_TEXT: Record<string, string> = {
  'single quote': "a'b",
  'closing quote and a statement': "'; DROP TABLE note; --",
  'always true': '1 OR 1=1',
  'always true, quoted': "' OR '1'='1",
  'always true after a uuid': `${UUID}' OR tenant_id <> '`,
  'double quote': 'a"b',
  backslash: 'a\\',
  'escape string': "\\'; DROP TABLE note; --",
  'dollar quotes': '$$; DROP TABLE note; $$',
  placeholder: '$1',
  'line comment': '1--',
  'block comment': '1/**/',
  'nested call': "1'||pg_sleep(10)||'",
  'set role': "1', true), set_config('role', 'postgres",
  wildcard: '%',
  asterisk: '*',
  'format string': '%s%n',
  'template string': '${1+1}',
  'log4j lookup': '${jndi:ldap://localhost/a}',
  'path traversal': '../../etc/passwd',
  'encoded NUL': '%00',
  'HTML element': '<script>alert(1)</script>',
  'JSON object': '{"tenantId":1}',
  'JSON array': '[1]',
  'MongoDB operator': '{"$ne":null}',
  'prototype key': '__proto__',
  'constructor key': 'constructor',
  'comma separated': '1,2',
  'full-width digits': '１２３',
  'Arabic-Indic digits': '١٢٣',
  'Kelvin sign': '\u212A',
  'combining accent': 'e\u0301',
  emoji: '🏢',
  fraction: '1.5',
  exponent: '1e3',
  hexadecimal: '0x10',
  octal: '0o17',
  binary: '0b1',
  'numeric separator': '1_000',
  'leading zero': '007',
  'leading plus': '+1',
  'minus zero': '-0',
  'double minus': '--1',
  'bigint literal': '1n',
  infinity: 'Infinity',
  'beyond bigint': '9223372036854775808',
  'below bigint': '-9223372036854775809',
  'beyond a double': '9'.repeat(200),
  'uuid in braces': `{${UUID}}`,
  'uuid as URN': `urn:uuid:${UUID}`,
  'uuid without hyphens': UUID.replaceAll('-', ''),
  'uuid, one digit short': UUID.slice(0, -1),
  'uuid, one digit long': `${UUID}0`,
  'uuid with a letter beyond f': UUID.replace('6', 'g'),
  'two uuids': `${UUID} ${UUID}`,
};

/** Values that are an id of no type. */
const NEVER: Record<string, unknown> = {
  'empty string': '',
  space: ' ',
  'leading space': ` ${UUID}`,
  'trailing space': '1 ',
  'trailing line feed': '1\n',
  'trailing line feed after a uuid': `${UUID}\n`,
  'carriage return and header': '1\r\nx-admin: true',
  tab: '\t1',
  'no-break space': '\u00A01',
  'ideographic space': '1\u3000',
  'line separator': '1\u2028',
  NUL: '\0',
  'NUL behind an id': '1\0',
  'NUL and a statement': "1\0'; DROP TABLE note; --",
  'escape character': '\u001B[2J',
  delete: '1\u007F',
  'zero-width space': '1\u200B',
  'zero-width joiner': '1\u200D',
  'byte order mark': '\uFEFF1',
  'right-to-left override': '\u202E1',
  'right-to-left mark': '1\u200F',
  'soft hyphen': 'a\u00ADb',
  'variation selector': '1\uFE0F',
  'Hangul filler': '\u3164',
  'tag character': '1\u{E0031}',
  'replacement character': '\uFFFD',
  'lone high surrogate': '\uD800',
  'lone low surrogate': '1\uDC00',
  'swapped surrogates': '\uDC00\uD800',
  overlong: 'a'.repeat(256),
  'very overlong': '1'.repeat(100_000),
  "'undefined'": 'undefined',
  "'null'": 'null',
  "'NaN'": 'NaN',
  "'true'": 'true',
  "'[object Object]'": '[object Object]',
  true: true,
  false: false,
  'empty array': [],
  'array of an id': [UUID],
  'array of a number': [1],
  'array of two': ['1', '2'],
  'nested array': [['1']],
  'empty object': {},
  'object with an id': { tenantId: UUID },
  'object with a MongoDB operator': { $ne: null },
  'object with toString': { toString: '1' },
  'object with its own prototype': JSON.parse('{"__proto__":{"tenantId":1}}') as unknown,
  fraction: 1.5,
  'number beyond safe integers': 2 ** 53,
  'number beyond bigint': 1e19,
};

/** Values that no JSON text can carry, so that only code can pass them. */
const CODE_ONLY: Record<string, unknown> = {
  undefined,
  NaN: Number.NaN,
  Infinity: Number.POSITIVE_INFINITY,
  symbol: Symbol('1'),
  function: () => UUID,
  date: new Date(0),
  buffer: Buffer.from(UUID),
  'String object': Object(UUID) as unknown,
  'object whose toString is an id': { toString: () => UUID },
  'object whose valueOf is an id': { valueOf: () => 1, [Symbol.toPrimitive]: () => 1 },
  'object that throws when looked at': new Proxy(
    {},
    {
      get() {
        throw new Error('looked at');
      },
    },
  ),
};

const from = (values: Record<string, unknown>, wellFormedFor: readonly TenantIdType[]): HostileTenantId[] =>
  Object.entries(values).map(([name, value]) => ({ name, value, wellFormedFor }));

/** Hostile values that fit into JSON, and so into a request. */
export const HOSTILE_TENANT_IDS: readonly HostileTenantId[] = [
  ...from(PRINTABLE_TEXT, ['text']),
  ...from(NEVER, []),
  { name: 'number beyond integer', value: 2 ** 31, wellFormedFor: ['bigint', 'text'] },
  { name: 'text beyond integer', value: '2147483648', wellFormedFor: ['bigint', 'text'] },
  { name: 'text below integer', value: '-2147483649', wellFormedFor: ['bigint', 'text'] },
  { name: 'the id of another type', value: UUID, wellFormedFor: ['uuid', 'text'] },
  { name: 'upper-case uuid', value: UUID.toUpperCase(), wellFormedFor: ['uuid', 'text'] },
  { name: 'the number of another type', value: 1, wellFormedFor: ['integer', 'bigint', 'text'] },
  { name: 'a negative number', value: -1, wellFormedFor: ['integer', 'bigint', 'text'] },
];

/** All of them, with the values that only code can pass; `null` is left out, because it says "no tenant". */
export const HOSTILE_VALUES: readonly HostileTenantId[] = [
  ...HOSTILE_TENANT_IDS,
  ...from(CODE_ONLY, []),
  { name: 'bigint beyond bigint', value: 2n ** 63n, wellFormedFor: ['text'] },
];
