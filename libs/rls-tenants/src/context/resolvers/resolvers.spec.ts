import { InvalidTenantIdError, RlsConfigurationError } from '../../errors.js';
import { assertResolverIsAuthorized } from '../resolve-request.js';
import type { TenantResolver } from '../tenant-context.options.js';
import { firstOf, fromHeader, fromPath, fromSubdomain, fromUser } from './index.js';

/** A request as Node.js gives it: `headers` derived from what was sent. */
const sent = (...rawHeaders: string[]) => ({
  rawHeaders,
  headers: Object.fromEntries(
    rawHeaders.flatMap((name, index) =>
      index % 2 === 0 ? [[name.toLowerCase(), rawHeaders[index + 1]]] : [],
    ),
  ) as Record<string, unknown>,
});

describe('fromUser', () => {
  const resolve = fromUser((user: { tenantId?: string }) => user.tenantId);

  it('takes the tenant of the user, and none without a user', () => {
    expect(resolve({ user: { tenantId: 'a' } })).toBe('a');
    expect(resolve({ user: {} })).toBeUndefined();
    expect(resolve({})).toBeUndefined();
    expect(resolve({ user: null })).toBeUndefined();
  });

  it('is verified', () => expect(resolve.clientSupplied).not.toBe(true));
});

describe('fromHeader', () => {
  const resolve = fromHeader('X-Tenant-ID');

  it('takes the header in any case, and no tenant without it', () => {
    expect(resolve(sent('x-TENANT-id', 'a'))).toBe('a');
    expect(resolve(sent('x-other', 'a'))).toBeUndefined();
  });

  it('hands on an empty header, which is malformed and not missing', () => {
    expect(resolve(sent('x-tenant-id', ''))).toBe('');
  });

  it('refuses a repeated header, however it arrives', () => {
    const duplicate = { ...sent('x-tenant-id', 'a', 'X-Tenant-Id', 'a') };
    expect(() => resolve(duplicate)).toThrow(InvalidTenantIdError);
    expect(() => resolve({ headers: duplicate.headers, raw: duplicate })).toThrow(InvalidTenantIdError);
    expect(() => resolve({ headers: { 'x-tenant-id': ['a', 'b'] } })).toThrow(InvalidTenantIdError);
    expect(() => resolve(sent('x-tenant-id', 'a, b'))).toThrow(InvalidTenantIdError);
  });

  it('respects a middleware that removed or replaced the header', () => {
    const request = sent('x-tenant-id', 'a');
    delete request.headers['x-tenant-id'];
    expect(resolve(request)).toBeUndefined();
    request.headers['x-tenant-id'] = 'b';
    expect(resolve(request)).toBe('b');
  });

  it('does not reach up the prototype chain', () => {
    expect(fromHeader('constructor')({ headers: {} })).toBeUndefined();
    expect(fromHeader('__proto__')({ headers: {} })).toBeUndefined();
  });

  it.each(['', ' ', 'a b', 'a:b', 'é'])('refuses %p as a header name', (name) => {
    expect(() => fromHeader(name)).toThrow(RlsConfigurationError);
  });
});

describe('fromSubdomain', () => {
  const resolve = fromSubdomain({ baseDomain: 'Example.com.' });
  const of = (host: string, resolver = resolve) => resolver(sent('Host', host));

  it.each([
    ['acme.example.com', 'acme'],
    ['ACME.Example.COM', 'acme'],
    ['acme.example.com:8080', 'acme'],
    ['acme.example.com.', 'acme'],
    ['acme.example.com.:8080', 'acme'],
    ['xn--mnchen-3ya.example.com', 'xn--mnchen-3ya'],
    ['6f1c2d3e-0000-4000-8000-000000000001.example.com', '6f1c2d3e-0000-4000-8000-000000000001'],
  ])('%s is for %s', (host, tenantId) => expect(of(host)).toBe(tenantId));

  it.each([
    'example.com',
    'example.com:8080',
    'www.example.com',
    'a.acme.example.com',
    'acme.example.org',
    'acmeexample.com',
    'example.com.evil.org',
    'acme.example.com.evil.org',
    'localhost',
    '127.0.0.1',
    '127.0.0.1:3000',
    '[::1]',
    '[::1]:3000',
    '',
  ])('%p is for no tenant', (host) => expect(of(host)).toBeUndefined());

  it.each([
    '.example.com',
    '-acme.example.com',
    'acme-.example.com',
    'ac me.example.com',
    "'; DROP TABLE note; --.example.com",
    'a%00.example.com',
    'user@acme.example.com',
    'a_b.example.com',
    `${'a'.repeat(64)}.example.com`,
    'münchen.example.com',
  ])('%p is malformed', (host) => expect(() => of(host)).toThrow(InvalidTenantIdError));

  it('refuses two Host headers, of which the platform would take the first', () => {
    const request = { ...sent('Host', 'a.example.com', 'host', 'b.example.com'), hostname: 'a.example.com' };
    expect(() => resolve(request)).toThrow(InvalidTenantIdError);
  });

  it("prefers the platform's hostname, which knows whether to trust the proxy", () => {
    expect(resolve({ ...sent('Host', 'internal:80'), hostname: 'acme.example.com' })).toBe('acme');
  });

  it('reads the authority of HTTP/2', () =>
    expect(resolve(sent(':authority', 'acme.example.com'))).toBe('acme'));

  it('works for a base domain of one label, and ignores other subdomains on request', () => {
    expect(of('acme.localhost:3000', fromSubdomain({ baseDomain: 'localhost' }))).toBe('acme');
    const ignoring = fromSubdomain({ baseDomain: 'example.com', ignore: ['Status', 'api'] });
    expect([of('status.example.com', ignoring), of('www.example.com', ignoring)]).toEqual([undefined, 'www']);
  });

  it.each(['', '.', '127.0.0.1', 'exa mple.com', 'https://example.com', '*.example.com', '.example.com'])(
    'refuses %p as a base domain',
    (baseDomain) => expect(() => fromSubdomain({ baseDomain })).toThrow(RlsConfigurationError),
  );
});

describe('fromPath', () => {
  const resolve = fromPath('tenantId');

  it('takes the parameter, and no tenant on routes without it', () => {
    expect(resolve({ params: { tenantId: 'a' } })).toBe('a');
    expect(resolve({ params: { tenantId: '' } })).toBe('');
    expect(resolve({ params: {} })).toBeUndefined();
    expect(resolve({})).toBeUndefined();
  });

  it('does not reach up the prototype chain', () => {
    expect(fromPath('__proto__')({ params: {} })).toBeUndefined();
    expect(resolve({ params: Object.create({ tenantId: 'a' }) as object })).toBeUndefined();
  });

  it('refuses an empty name', () => expect(() => fromPath('')).toThrow(RlsConfigurationError));
});

describe('firstOf', () => {
  it('takes the first answer and asks no further', async () => {
    const later = jest.fn();
    expect(
      await firstOf(
        () => undefined,
        () => Promise.resolve(null),
        () => 'a',
        later,
      )({}),
    ).toBe('a');
    expect(later).not.toHaveBeenCalled();
    expect(await firstOf(() => undefined)({})).toBeUndefined();
  });

  it.each([0, '', 'malformed\0'])('counts %p as an answer', async (answer) => {
    expect(
      await firstOf(
        () => answer,
        () => 'b',
      )({}),
    ).toBe(answer);
  });

  it('does not fall back when a resolver throws', async () => {
    const resolve = firstOf(
      () => {
        throw new InvalidTenantIdError('bad', '');
      },
      () => 'b',
    );
    await expect(resolve({})).rejects.toThrow(InvalidTenantIdError);
  });

  it('refuses to have nothing to ask', () => expect(() => firstOf()).toThrow(RlsConfigurationError));
});

describe('assertResolverIsAuthorized', () => {
  const user = fromUser(() => 'a');
  const clientSupplied: [string, TenantResolver][] = [
    ['fromHeader', fromHeader('x-tenant-id')],
    ['fromSubdomain', fromSubdomain({ baseDomain: 'example.com' })],
    ['fromPath', fromPath('tenantId')],
    ['firstOf', firstOf(user, fromPath('tenantId'))],
    ['nested firstOf', firstOf(user, firstOf(user, fromHeader('x-tenant-id')))],
  ];

  it.each(clientSupplied)('refuses %s without authorize', (_name, resolveTenant) => {
    expect(() => assertResolverIsAuthorized({ resolveTenant })).toThrow(RlsConfigurationError);
    expect(() => assertResolverIsAuthorized({ resolveTenant, authorize: () => true })).not.toThrow();
  });

  it('accepts a verified user or a function of your own without it', () => {
    for (const resolveTenant of [user, firstOf(user, user), () => 'a']) {
      expect(() => assertResolverIsAuthorized({ resolveTenant })).not.toThrow();
    }
  });

  it('says what to do', () => {
    const refusal = () => assertResolverIsAuthorized({ resolveTenant: fromHeader('x-tenant-id') });
    expect(refusal).toThrow(expect.objectContaining({ hint: expect.stringContaining('authorize') }));
  });
});
