import { createHmac, randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import { adminContext, tenantContext } from '../../libs/rls-tenants/src/context/index.js';
import {
  InvalidTenantIdError,
  InvalidTenantTokenError,
  NoTenantContextError,
  RlsConfigurationError,
} from '../../libs/rls-tenants/src/errors.js';
import {
  TenantTokens,
  type Audience,
  type TenantTokenOptions,
} from '../../libs/rls-tenants/src/propagation/index.js';
import { A } from '../support/notes.js';

const OLD = { id: 'old', secret: 'an old secret that is long enough for HMAC-SHA256' };
const NEW = { id: '2026-11', secret: randomBytes(32) };
const INVOICES: Audience = ['BullMQ job', 'invoices', 'send'];
const DATA = { invoice: 7, lines: [{ text: 'é', price: 0.1 }] };

function tokens(options: Partial<TenantTokenOptions> = {}): TenantTokens {
  return new TenantTokens({ keys: [NEW], tenantIdType: 'uuid', ...options });
}

function signed(signer = tokens(), audience = INVOICES, data: unknown = DATA): string {
  return tenantContext(A, () => signer.sign(audience, data)) as string;
}

/** A token that says what it likes, signed with the right key. */
function forge(claims: object | string, { version = 'v1', key = NEW } = {}): string {
  const payload = Buffer.from(typeof claims === 'string' ? claims : JSON.stringify(claims)).toString(
    'base64url',
  );
  const text = `${version}.${key.id}.${payload}`;
  return `${text}.${createHmac('sha256', key.secret).update(text).digest('base64url')}`;
}

function claimsOf(token: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(token.split('.')[2]!, 'base64url').toString()) as Record<string, unknown>;
}

/** The message of a refusal, which shows no secret. */
function refusalOf(verify: () => unknown): string {
  const error = errorOf(verify);
  expect(error).toBeInstanceOf(InvalidTenantTokenError);
  expect(error.message).toContain('Refused BullMQ job "invoices" "send"');
  expect(error.hint).not.toBe('');
  for (const secret of [OLD.secret, NEW.secret.toString('base64'), NEW.secret.toString('hex')]) {
    expect(inspect(error)).not.toContain(secret);
  }
  return error.message;
}

function errorOf(fn: () => unknown): InvalidTenantTokenError {
  try {
    fn();
  } catch (error) {
    return error as InvalidTenantTokenError;
  }
  throw new Error('It was accepted.');
}

afterEach(() => jest.restoreAllMocks());

describe('a tenant token', () => {
  it('says for whom it was signed', () => {
    const token = signed();
    expect(token).toMatch(/^v1\.2026-11\.[\w-]+\.[\w-]{43}$/);
    expect(tokens().verify(token, INVOICES, DATA)).toEqual({ kind: 'tenant', tenantId: A });
  });

  it.each<[string, unknown, unknown]>([
    ['keys in another order', { a: 1, b: { c: [1, 2], d: null } }, { b: { d: null, c: [1, 2] }, a: 1 }],
    ['a Date', { at: new Date(0) }, { at: '1970-01-01T00:00:00.000Z' }],
    ['what JSON leaves out', { a: 1, b: undefined, c: () => 1 }, { a: 1 }],
    ['a number in another notation', { n: 1e21, m: -0 }, JSON.parse('{"m":0,"n":1000000000000000000000}')],
    ['a key that is a prototype', JSON.parse('{"__proto__":{"x":1}}'), JSON.parse('{"__proto__":{"x":1}}')],
    ['a string', 'text', 'text'],
  ])('is good for data that a store returns with %s', (_, sent, received) => {
    expect(tokens().verify(signed(tokens(), INVOICES, sent), INVOICES, received)).toMatchObject({
      tenantId: A,
    });
  });

  it.each<[string, unknown, unknown]>([
    ['a value', { a: 1 }, { a: 2 }],
    ['a type', { a: 1 }, { a: '1' }],
    ['an order', [1, 2], [2, 1]],
    ['a key more', {}, { a: 1 }],
    ['a prototype', {}, JSON.parse('{"__proto__":{"x":1}}')],
    ['where a string ends', { a: 'x","b":"y' }, { a: 'x', b: 'y' }],
    ['null', null, undefined],
  ])('is not good for data that differs by %s', (_, sent, received) => {
    const token = signed(tokens(), INVOICES, sent);
    expect(refusalOf(() => tokens().verify(token, INVOICES, received))).toContain('made for other data');
  });

  it.each<[string, Audience]>([
    ['another queue', ['BullMQ job', 'mails', 'send']],
    ['another job', ['BullMQ job', 'invoices', 'delete']],
    ['another transport', ['message', 'invoices', 'send']],
    ['names that read the same in a row', ['BullMQ job', 'invoices","send']],
  ])('is not good for %s', (_, audience) => {
    const token = signed(tokens(), audience);
    expect(refusalOf(() => tokens().verify(token, INVOICES, DATA))).toContain('made for something else');
  });

  it.each<[string, () => unknown, string]>([
    ['no token', () => undefined, 'has no tenant token'],
    ['null', () => null, 'has no tenant token'],
    ['a number', () => 7, 'malformed'],
    ['an empty text', () => '', 'malformed'],
    ['a tenant id', () => A, 'malformed'],
    ['a part too few', () => signed().split('.').slice(0, 3).join('.'), 'malformed'],
    ['a part too many', () => `${signed()}.x`, 'malformed'],
    ['a book', () => `v1.${NEW.id}.${'x'.repeat(100_000)}.x`, 'malformed'],
    ['another version', () => forge(claimsOf(signed()), { version: 'v2' }), 'version'],
    ['an unknown key', () => signed(tokens({ keys: [OLD] })), 'not among `keys`'],
    ['a key named as an Object property', () => signed().replace(NEW.id, 'constructor'), 'not among `keys`'],
    ['another secret', () => signed(tokens({ keys: [{ ...NEW, secret: OLD.secret }] })), 'signature'],
    ['no signature', () => signed().replace(/\.[\w-]+$/, '.'), 'signature'],
    ['a shorter signature', () => signed().slice(0, -1), 'signature'],
    ['a signature in another spelling', () => `${signed()}=`, 'signature'],
    [
      'another tenant under the same signature',
      () => {
        const [version, id, , mac] = signed().split('.');
        const payload = { ...claimsOf(signed()), t: '00000000-0000-4000-8000-000000000002' };
        return [version, id, Buffer.from(JSON.stringify(payload)).toString('base64url'), mac].join('.');
      },
      'signature',
    ],
    ['a payload that is no JSON', () => forge('{'), 'malformed'],
    ['a payload that is null', () => forge('null'), 'malformed'],
    ['neither tenant nor admin', () => forge({ ...claimsOf(signed()), t: undefined }), 'malformed'],
    ['both tenant and admin', () => forge({ ...claimsOf(signed()), a: 'x' }), 'malformed'],
    ['no time', () => forge({ ...claimsOf(signed()), iat: undefined }), 'malformed'],
    ['an expiry that is no number', () => forge({ ...claimsOf(signed()), exp: 'never' }), 'malformed'],
    ['no audience', () => forge({ ...claimsOf(signed()), aud: undefined }), 'made for something else'],
    ['no digest', () => forge({ ...claimsOf(signed()), d: undefined }), 'made for other data'],
    ['a tenant id of another type', () => forge({ ...claimsOf(signed()), t: '7' }), '`tenantIdType`'],
    ['an admin', () => forge({ ...claimsOf(signed()), t: undefined, a: 'x' }), 'asks for the admin context'],
  ])('that is %s is refused', (_, make, cause) => {
    expect(refusalOf(() => tokens().verify(make(), INVOICES, DATA))).toContain(cause);
  });

  it('of a tampered byte is refused, wherever the byte is', () => {
    const token = signed();
    for (let at = 0; at < token.length; at += 1) {
      const other = token[at] === 'A' ? 'B' : 'A';
      const tampered = token.slice(0, at) + other + token.slice(at + 1);
      expect(() => tokens().verify(tampered, INVOICES, DATA)).toThrow(InvalidTenantTokenError);
    }
  });
});

describe('keys', () => {
  it('rotate: the first signs, all verify, and what a removed one signed is refused', () => {
    const before = signed(tokens({ keys: [OLD] }));
    const rotating = tokens({ keys: [NEW, OLD] });
    expect(rotating.verify(before, INVOICES, DATA)).toMatchObject({ tenantId: A });
    expect(signed(rotating).split('.')[1]).toBe(NEW.id);
    const after = tokens({ keys: [NEW] });
    expect(after.verify(signed(rotating), INVOICES, DATA)).toMatchObject({ tenantId: A });
    expect(refusalOf(() => after.verify(before, INVOICES, DATA))).toContain('not among `keys`');
  });

  it.each<[string, unknown, string]>([
    ['none', [], 'no keys'],
    ['left out', undefined, 'no keys'],
    ['of a short secret', [{ id: 'a', secret: 'x'.repeat(31) }], 'shorter than 32 bytes'],
    ['of short bytes', [{ id: 'a', secret: new Uint8Array(31) }], 'shorter than 32 bytes'],
    ['of no secret', [{ id: 'a', secret: undefined }], 'neither text nor bytes'],
    ['short behind a good one', [NEW, { id: 'a', secret: '' }], 'shorter than 32 bytes'],
    ['of no id', [{ secret: NEW.secret }], '`id`'],
    ['of an id with a dot', [{ id: 'a.b', secret: NEW.secret }], '`id`'],
    ['of one id twice', [NEW, { ...OLD, id: NEW.id }], 'Two keys'],
  ])('%s are refused', (_, keys, cause) => {
    const make = () => tokens({ keys: keys as TenantTokenOptions['keys'] });
    expect(make).toThrow(RlsConfigurationError);
    expect(make).toThrow(cause);
  });

  it('are not shown', () => {
    expect(inspect(tokens({ keys: [OLD] }), { depth: 9, showHidden: true })).not.toContain(OLD.secret);
    expect(JSON.stringify(tokens({ keys: [OLD] }))).not.toContain(OLD.secret);
  });
});

describe('time', () => {
  const at = (seconds: number) => jest.spyOn(Date, 'now').mockReturnValue(seconds * 1000);

  it('a token without a maximal age is good for ever', () => {
    at(1_000);
    const token = signed();
    at(1_000_000_000);
    expect(tokens().verify(token, INVOICES, DATA)).toMatchObject({ tenantId: A });
  });

  it.each([
    ['of its signer', { maxAgeSeconds: 60 }, {}],
    ['of its verifier', {}, { maxAgeSeconds: 60 }],
  ])('a token is good for the maximal age %s, and for the skew of the clocks', (_, signing, verifying) => {
    at(1_000);
    const token = signed(tokens(signing));
    const verify = () => tokens({ ...verifying, clockSkewSeconds: 10 }).verify(token, INVOICES, DATA);
    at(1_070);
    expect(verify()).toMatchObject({ tenantId: A });
    at(1_071);
    expect(refusalOf(verify)).toContain('expired');
  });

  it('a token of the future is refused, beyond the skew of the clocks', () => {
    at(1_030);
    const token = signed();
    at(1_000);
    expect(tokens().verify(token, INVOICES, DATA)).toMatchObject({ tenantId: A });
    at(999);
    expect(refusalOf(() => tokens().verify(token, INVOICES, DATA))).toContain('of the future');
  });
});

describe('who travels', () => {
  it('nobody does not, unless it is allowed; then no token is nobody, and a bad one still refused', () => {
    expect(() => tokens().sign(INVOICES, DATA)).toThrow(NoTenantContextError);
    const lenient = tokens({ allowNobody: true });
    expect(lenient.sign(INVOICES, DATA)).toBeUndefined();
    expect(lenient.verify(undefined, INVOICES, DATA)).toEqual({ kind: 'nobody' });
    expect(refusalOf(() => lenient.verify('', INVOICES, DATA))).toContain('malformed');
  });

  it('the admin does not, unless both sides allow it; then with the reason', () => {
    const sign = (signer: TenantTokens) =>
      adminContext('nightly invoices', () => signer.sign(INVOICES, DATA));
    expect(() => sign(tokens())).toThrow(NoTenantContextError);
    expect(() => sign(tokens({ allowNobody: true }))).toThrow(NoTenantContextError);
    const token = sign(tokens({ allowAdmin: true }));
    expect(refusalOf(() => tokens().verify(token, INVOICES, DATA))).toContain('asks for the admin context');
    expect(tokens({ allowAdmin: true }).verify(token, INVOICES, DATA)).toEqual({
      kind: 'admin',
      reason: 'nightly invoices',
    });
  });

  it('a tenant whose id is of another type does not', () => {
    expect(() => tenantContext('acme', () => tokens().sign(INVOICES, DATA))).toThrow(InvalidTenantIdError);
  });
});
