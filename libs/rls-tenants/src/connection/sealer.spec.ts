import { createHmac } from 'node:crypto';
import { currentTenantContext, tenantContext } from '../context/tenant-context.js';
import { RlsConfigurationError } from '../errors.js';
import { sealMessage } from '../policies/index.js';
import type { SealKey, SealOptions } from './seal.options.js';
import { SealedMessages } from './sealed-messages.js';
import { Sealer } from './sealer.js';

const SETTING = 'rls.current_tenant';
const START = Date.parse('2026-01-01T00:00:00Z');
const key = (id: string, expiresAt?: Date): SealKey => ({
  id,
  secret: Buffer.alloc(32, id),
  ...(expiresAt && { expiresAt }),
});
const after = (seconds: number) => new Date(START + seconds * 1000);
const sealerOf = (options: SealOptions) => Sealer.of(options, SETTING);

/** The fields of a seal made now. */
function sealed(sealer: Sealer, tenant = 'a', readable = '', backend = 0) {
  void sealer.generation; // what is about to be sent asks first
  const [version, keyId, expires, pid, mac] = sealer.seal(tenant, readable, backend).split('.');
  return { version, keyId, expires: Number(expires), backend: pid, mac };
}

beforeEach(() => {
  jest.useFakeTimers({ now: START, doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask'] });
});
afterEach(() => {
  jest.useRealTimers();
});

/** Until a provider's answer has been taken. */
const answered = () => new Promise((done) => setImmediate(done));

describe('Sealer', () => {
  it('makes what the key, the tenant, what it reads, the backend and the time say', async () => {
    const sealer = await sealerOf({ keys: [key('k1')] });
    const expires = START / 1000 + 300;
    const message = sealMessage(SETTING, { keyId: 'k1', expires, backend: 42 }, 'a', ',b');
    expect(sealer.seal('a', ',b', 42)).toBe(
      `1.k1.${expires}.42.${createHmac('sha256', key('k1').secret).update(message).digest('hex')}`,
    );
  });

  it.each<[string, Parameters<Sealer['seal']>]>([
    ['tenant', ['b', ',b', 42]],
    ['set', ['a', ',c', 42]],
    ['backend', ['a', ',b', 43]],
    ['border between tenant and set', ['a,', 'b', 42]],
  ])('makes another for another %s', async (_what, args) => {
    const sealer = await sealerOf({ keys: [key('k1')] });
    expect(sealer.seal(...args).split('.')[4]).not.toBe(sealer.seal('a', ',b', 42).split('.')[4]);
  });

  it('makes another for another setting, key and time', async () => {
    const macs = [
      sealed(await sealerOf({ keys: [key('k1')] })),
      sealed(await Sealer.of({ keys: [key('k1')] }, 'rls.other_tenant')),
      sealed(await sealerOf({ keys: [key('k2')] })),
      sealed(await sealerOf({ keys: [{ ...key('k2'), id: 'k1' }] })),
      sealed(await sealerOf({ keys: [key('k1')], lifetime: 301 })),
    ].map(({ mac }) => mac);
    expect(new Set(macs).size).toBe(macs.length);
  });

  it('lets a seal be worth something for its lifetime, and half of it at least', async () => {
    const sealer = await sealerOf({ keys: [key('k1')], lifetime: 60 });
    expect(sealed(sealer).expires).toBe(after(60).getTime() / 1000);
    jest.setSystemTime(after(29.999));
    const before = sealer.generation;
    expect(sealed(sealer).expires).toBe(after(60).getTime() / 1000);
    jest.setSystemTime(after(30));
    expect(sealer.generation).not.toBe(before);
    expect(sealed(sealer).expires).toBe(after(90).getTime() / 1000);
  });

  it.each([0, 9.99, -1, Number.NaN, Infinity])('refuses a lifetime of %s', async (lifetime) => {
    await expect(sealerOf({ keys: [key('k1')], lifetime })).rejects.toThrow(RlsConfigurationError);
  });

  it('refuses a setting that cannot be sealed', async () => {
    await expect(Sealer.of({ keys: [key('k1')] }, 'rls.seal')).rejects.toThrow('cannot be sealed');
  });
});

describe('of several keys', () => {
  it('the first that has not expired signs, from the moment on that it expires', async () => {
    const sealer = await sealerOf({
      keys: [key('old', after(-1)), key('new', after(20)), key('newer')],
    });
    expect(sealed(sealer).keyId).toBe('new');
    const { generation } = sealer;
    jest.setSystemTime(after(19.999));
    expect([sealer.generation, sealed(sealer).keyId]).toEqual([generation, 'new']);
    jest.setSystemTime(after(20));
    expect(sealer.generation).not.toBe(generation);
    expect(sealed(sealer).keyId).toBe('newer');
  });

  it('an expiry in the future is no reason to refuse', async () => {
    const sealer = await sealerOf({ keys: [key('k1', after(20))] });
    expect(sealer.refusal()).toBeUndefined();
  });

  it('none that is valid is refused by name, at the start and later, with what to do', async () => {
    const keys = [key('k1', after(-10)), key('k2', after(20))];
    await expect(sealerOf({ keys: keys.slice(0, 1) })).rejects.toMatchObject({
      name: 'RlsConfigurationError',
      message: 'Every key of the tenant seal has expired: "k1".',
      hint: expect.stringContaining('rls-tenants seal-keys'),
    });
    const sealer = await sealerOf({ keys });
    jest.setSystemTime(after(20));
    expect(sealer.refusal()).toMatchObject({
      name: 'RlsConfigurationError',
      message: 'Every key of the tenant seal has expired: "k1", "k2".',
    });
  });
});

describe('a provider of keys', () => {
  let emitWarning: jest.SpyInstance;
  beforeEach(() => {
    emitWarning = jest.spyOn(process, 'emitWarning').mockImplementation(() => {});
  });
  afterEach(() => emitWarning.mockRestore());
  const warnings = () =>
    emitWarning.mock.calls.filter(([, type]) => type === 'RlsTenantsWarning').map(([text]) => text as string);

  it('is asked at the start, and again every half lifetime while seals are made, but not before', async () => {
    const keys = jest.fn(() => [key('k1')]);
    const sealer = await sealerOf({ keys, lifetime: 60 });
    for (const seconds of [0, 10, 29.9]) {
      jest.setSystemTime(after(seconds));
      sealed(sealer);
    }
    expect(keys).toHaveBeenCalledTimes(1);
    for (const seconds of [30, 40, 60, 90]) {
      jest.setSystemTime(after(seconds));
      sealed(sealer);
      await answered();
    }
    expect(keys).toHaveBeenCalledTimes(4);
  });

  it('rotates: a key put in front signs from the next answer on, without a restart', async () => {
    let keys = [key('k1')];
    const sealer = await sealerOf({ keys: () => Promise.resolve(keys), lifetime: 60 });
    keys = [key('k2'), key('k1')];
    expect(sealed(sealer).keyId).toBe('k1');
    jest.setSystemTime(after(30));
    expect(sealed(sealer).keyId).toBe('k1'); // asked, and not answered yet
    const { generation } = sealer;
    await answered();
    expect(sealer.generation).not.toBe(generation);
    expect(sealed(sealer).keyId).toBe('k2');
  });

  it('rotates: a key that is put behind signs when the one in front goes', async () => {
    let keys = [key('k1'), key('k2')];
    const sealer = await sealerOf({ keys: () => keys, lifetime: 60 });
    expect(sealed(sealer).keyId).toBe('k1');
    keys = [key('k2')];
    jest.setSystemTime(after(30));
    sealed(sealer);
    await answered();
    expect(sealed(sealer).keyId).toBe('k2');
  });

  it('takes another expiry of the key that signs', async () => {
    let keys = [key('k1')];
    const sealer = await sealerOf({ keys: () => keys, lifetime: 60 });
    keys = [key('k1', after(40)), key('k2')];
    jest.setSystemTime(after(30));
    sealed(sealer);
    await answered();
    jest.setSystemTime(after(40));
    expect(sealed(sealer).keyId).toBe('k2');
  });

  it('takes another secret of the key that signs', async () => {
    let keys = [key('k1')];
    const sealer = await sealerOf({ keys: () => keys, lifetime: 60 });
    keys = [{ id: 'k1', secret: Buffer.alloc(32, 'other') }];
    jest.setSystemTime(after(30));
    sealed(sealer);
    await answered();
    expect(sealed(sealer).mac).toBe(sealed(await sealerOf({ keys, lifetime: 60 })).mac);
  });

  it('that fails leaves the last keys in use, and says so', async () => {
    const keys = jest.fn(() => Promise.resolve([key('k1')]));
    const sealer = await sealerOf({ keys, lifetime: 60 });
    keys.mockRejectedValue(new Error('the vault is closed'));
    jest.setSystemTime(after(30));
    expect(sealed(sealer).keyId).toBe('k1');
    await answered();
    expect(warnings()).toEqual([expect.stringMatching(/last ones stay in use.*the vault is closed/)]);
    expect(sealer.refusal()).toBeUndefined();
    expect(sealed(sealer)).toMatchObject({ keyId: 'k1', expires: after(90).getTime() / 1000 });
    keys.mockResolvedValue([key('k2')]);
    jest.setSystemTime(after(60));
    sealed(sealer);
    await answered();
    expect(sealed(sealer).keyId).toBe('k2');
  });

  it.each<[string, () => readonly SealKey[]]>([
    ['has none', () => []],
    [
      'throws',
      () => {
        throw new Error('the vault is closed');
      },
    ],
    ['has a malformed one', () => [{ id: 'k1', secret: Buffer.alloc(8) }]],
  ])('that %s at the start is refused', async (_what, keys) => {
    await expect(sealerOf({ keys })).rejects.toThrow();
  });

  it('that answers with malformed keys later leaves the last keys in use', async () => {
    let keys: SealKey[] = [key('k1')];
    const sealer = await sealerOf({ keys: () => keys, lifetime: 60 });
    keys = [];
    jest.setSystemTime(after(30));
    sealed(sealer);
    await answered();
    expect(warnings()).toEqual([expect.stringContaining('has no keys')]);
    expect(sealed(sealer).keyId).toBe('k1');
  });

  it('that fails until the last key has expired is the cause of the refusal, and is asked again for each', async () => {
    const keys = jest.fn(() => Promise.resolve([key('k1', after(40))]));
    const sealer = await sealerOf({ keys, lifetime: 60 });
    const failure = new Error('the vault is closed');
    keys.mockRejectedValue(failure);
    jest.setSystemTime(after(30));
    sealed(sealer);
    await answered();
    jest.setSystemTime(after(40));
    expect(sealer.refusal()).toMatchObject({ name: 'RlsConfigurationError', cause: failure });
    await answered();
    keys.mockResolvedValue([key('k2')]);
    expect(sealer.refusal()).toBeInstanceOf(RlsConfigurationError);
    await answered();
    expect(sealer.refusal()).toBeUndefined();
    expect(sealed(sealer).keyId).toBe('k2');
  });

  it('is asked for nobody, whoever is in context', async () => {
    const kinds: string[] = [];
    const keys = () => {
      kinds.push(currentTenantContext().kind);
      return [key('k1')];
    };
    const sealer = await tenantContext('a', () => sealerOf({ keys, lifetime: 60 }));
    jest.setSystemTime(after(30));
    tenantContext('a', () => sealed(sealer));
    await answered();
    expect(kinds).toEqual(['nobody', 'nobody']);
  });

  it('is asked once at a time', async () => {
    let answer = (_keys: SealKey[]) => {};
    const keys = jest.fn((): SealKey[] | Promise<SealKey[]> => [key('k1')]);
    const sealer = await sealerOf({ keys, lifetime: 60 });
    keys.mockImplementation(() => new Promise((resolve) => (answer = resolve)));
    for (const seconds of [30, 60, 90]) {
      jest.setSystemTime(after(seconds));
      sealed(sealer);
    }
    expect(keys).toHaveBeenCalledTimes(2);
    answer([key('k2')]);
    await answered();
    expect(sealed(sealer).keyId).toBe('k2');
  });
});

describe('messages that carry a seal', () => {
  const SQL = "SELECT set_config('rls.current_tenant', $1, true), set_config('rls.seal', $2, true)";
  const messagesOf = (sealer: Sealer, tenant = 'a') => new SealedMessages(sealer, SQL, tenant, '');
  const sealIn = (messages: Buffer) =>
    /1\.[\w-]+\.\d+\.\d+\.[0-9a-f]{64}/.exec(messages.toString('latin1'))?.[0];

  it('are made once for a backend, until the seal is made anew', async () => {
    const sealer = await sealerOf({ keys: [key('k1')], lifetime: 60 });
    const messages = messagesOf(sealer);
    const [one, other] = [messages.of(1), messages.of(2)];
    expect(messages.of(1)).toBe(one);
    expect(messages.of(2)).toBe(other);
    expect([sealIn(one), sealIn(other)]).toEqual([sealer.seal('a', '', 1), sealer.seal('a', '', 2)]);
    jest.setSystemTime(after(30));
    expect(sealIn(messages.of(1))).toBe(sealer.seal('a', '', 1));
    expect(sealIn(messages.of(1))).not.toBe(sealIn(one));
    expect(sealIn(messages.of(2))).toBe(sealer.seal('a', '', 2));
  });

  it('are kept for as many backends as a pool has, not for all that there ever were', async () => {
    const messages = messagesOf(await sealerOf({ keys: [key('k1')] }));
    const first = messages.of(1);
    for (let backend = 2; backend <= 16; backend++) messages.of(backend);
    expect(messages.of(1)).toBe(first);
    messages.of(17);
    expect(messages.of(1)).not.toBe(first);
    expect(messages.of(1)).toEqual(first);
  });

  it('hold the seal as a parameter and in no text', async () => {
    const messages = messagesOf(await sealerOf({ keys: [key('k1')] })).of(1);
    const parse = messages.subarray(0, 1 + messages.readUInt32BE(1));
    expect(parse[0]).toBe('P'.charCodeAt(0));
    expect(sealIn(parse)).toBeUndefined();
    expect(sealIn(messages.subarray(parse.length))).toBeDefined(); // control
  });

  it('hold no seal for nobody', async () => {
    expect(sealIn(messagesOf(await sealerOf({ keys: [key('k1')] }), '').of(1))).toBeUndefined();
  });

  it('that ask which backend they meet are for any', async () => {
    const sealer = await sealerOf({ keys: [key('k1')] });
    const messages = messagesOf(sealer).asking();
    expect(sealIn(messages)).toBe(sealer.seal('a', '', 0));
    expect(messages.toString('latin1')).toContain('pg_backend_pid');
  });
});
