import { inspect } from 'node:util';
import { RlsConfigurationError } from '../errors.js';
import { checkSealKeys, SEAL_KEYS_VARIABLE, sealKeysFromEnvironment, type SealKey } from './seal.options.js';

const SECRET = Buffer.alloc(32, 0xab);
const BASE64 = SECRET.toString('base64');

/** What the function throws; everything that a log would show of it is searched for secrets by the caller. */
function thrownBy(fn: () => unknown): RlsConfigurationError {
  try {
    fn();
  } catch (error) {
    return error as RlsConfigurationError;
  }
  throw new Error('nothing was thrown');
}

describe('sealKeysFromEnvironment', () => {
  afterEach(() => {
    delete process.env[SEAL_KEYS_VARIABLE];
    delete process.env['OTHER_KEYS'];
  });
  const read = (text: string | undefined) => {
    if (text === undefined) delete process.env[SEAL_KEYS_VARIABLE];
    else process.env[SEAL_KEYS_VARIABLE] = text;
    return sealKeysFromEnvironment();
  };

  it.each<[string, string, SealKey[]]>([
    ['one key', `k1:${BASE64}`, [{ id: 'k1', secret: SECRET }]],
    [
      'a key in the alphabet for URLs',
      `k1:${'-_'.repeat(22)}`,
      [{ id: 'k1', secret: Buffer.from('+/'.repeat(22), 'base64') }],
    ],
    ['a key without padding', `k1:${BASE64.replace(/=+$/, '')}`, [{ id: 'k1', secret: SECRET }]],
    [
      'the longest key',
      `k1:${Buffer.alloc(64, 1).toString('base64')}`,
      [{ id: 'k1', secret: Buffer.alloc(64, 1) }],
    ],
    [
      'a date of expiry',
      `k1:${BASE64}:2027-01-31`,
      [{ id: 'k1', secret: SECRET, expiresAt: new Date('2027-01-31') }],
    ],
    [
      'a time of expiry',
      `k1:${BASE64}:2027-01-31T12:34:56Z`,
      [{ id: 'k1', secret: SECRET, expiresAt: new Date('2027-01-31T12:34:56Z') }],
    ],
    [
      'a time with a zone',
      `k1:${BASE64}:2027-01-31T12:34:56+02:00`,
      [{ id: 'k1', secret: SECRET, expiresAt: new Date('2027-01-31T10:34:56Z') }],
    ],
    [
      'two keys, in their order',
      ` k2:${BASE64} ,\n k1:${BASE64}:2027-01-31 `,
      [
        { id: 'k2', secret: SECRET },
        { id: 'k1', secret: SECRET, expiresAt: new Date('2027-01-31') },
      ],
    ],
    ['every character of an id', `a-Z_9:${BASE64}`, [{ id: 'a-Z_9', secret: SECRET }]],
  ])('reads %s', (_what, text, keys) => {
    expect(read(text)).toEqual(keys);
  });

  it('reads another variable', () => {
    process.env['OTHER_KEYS'] = `k1:${BASE64}`;
    expect(sealKeysFromEnvironment('OTHER_KEYS')).toHaveLength(1);
  });

  it.each([undefined, '', '  \n'])('refuses a variable that is %j, by its name', (text) => {
    expect(thrownBy(() => read(text))).toMatchObject({
      message: expect.stringContaining(SEAL_KEYS_VARIABLE),
      hint: expect.stringContaining('rls-tenants seal-keys --generate'),
    });
  });

  it.each<[string, string]>([
    ['the secret alone', BASE64],
    ['an empty entry', `k1:${BASE64},`],
    ['another separator', `k1=${BASE64}`],
    ['a secret that is no base64', `k1:${BASE64}!`],
    ['the secret in front of the id', `${BASE64}:k1`],
    ['hexadecimal digits, which say too little', `k1:${SECRET.toString('hex').slice(0, 40)}`],
    ['a short secret', `k1:${BASE64.slice(0, 40)}`],
    ['a long secret', `k1:${Buffer.alloc(65, 1).toString('base64')}`],
    ['no secret', 'k1:'],
    ['no id', `:${BASE64}`],
    ['an id with other characters', `k.1:${BASE64}`],
    ['a long id', `${'k'.repeat(33)}:${BASE64}`],
    ['a date that is none', `k1:${BASE64}:soon`],
    ['an empty date', `k1:${BASE64}:`],
    ['a secret where the date is', `k1:${BASE64}:${BASE64}`],
    ['one id twice', `k1:${BASE64},k1:${Buffer.alloc(32, 1).toString('base64')}`],
    ['a semicolon between keys', `k1:${BASE64};k2:${BASE64}`],
  ])('refuses %s, and shows no secret', (_what, text) => {
    const error = thrownBy(() => read(text));
    expect(error).toBeInstanceOf(RlsConfigurationError);
    expect(error.hint).toBeTruthy();
    for (const secret of text.split(/[:,;=]/).filter((part) => part.length >= 16 && !/^k+$/.test(part)))
      expect(inspect(error, { depth: 9 }) + error.stack).not.toContain(secret.slice(0, 12));
  });
});

describe('checkSealKeys', () => {
  it('returns a copy of keys that can be used', () => {
    const keys = [{ id: 'k1', secret: SECRET }];
    expect(checkSealKeys(keys)).toEqual(keys);
    expect(checkSealKeys(keys)).not.toBe(keys);
  });

  it.each<[string, unknown]>([
    ['no keys', []],
    ['undefined', undefined],
    ['one key that is no list', { id: 'k1', secret: SECRET }],
    ['a key that is none', [null]],
    ['a secret that is text', [{ id: 'k1', secret: BASE64 }]],
    ['a secret that is an array', [{ id: 'k1', secret: [...SECRET] }]],
    ['a secret that is short', [{ id: 'k1', secret: SECRET.subarray(1) }]],
    ['an id that is a number', [{ id: 7.5, secret: SECRET }]],
    ['an id with a line feed behind it', [{ id: 'k1\n', secret: SECRET }]],
    ['an id that would be two fields of a seal', [{ id: 'k1.99', secret: SECRET }]],
    ['a date that is none', [{ id: 'k1', secret: SECRET, expiresAt: new Date('soon') }]],
    ['a date that is text', [{ id: 'k1', secret: SECRET, expiresAt: '2027-01-31' }]],
    [
      'an id twice',
      [
        { id: 'k1', secret: SECRET },
        { id: 'k1', secret: Buffer.alloc(32) },
      ],
    ],
  ])('refuses %s', (_what, keys) => {
    const error = thrownBy(() => checkSealKeys(keys as SealKey[]));
    expect(error).toBeInstanceOf(RlsConfigurationError);
    expect(error.message + error.hint).not.toContain(BASE64.slice(0, 12));
  });
});
