import pg from 'pg';
import { newSealKey, createSealedDatabase, type SealedDatabase } from '../support/sealed-database.js';
import { HOSTILE_VALUES } from '../support/hostile-tenant-ids.js';
import { A, B, NOTES } from '../support/notes.js';
import { sealBy, secondsFromNow } from './support/seals.js';

// The functions themselves, called by the app role with settings of its own: what they say of a seal that Node.js made.

let db: SealedDatabase;
let client: pg.Client;
const second = newSealKey('second');

beforeAll(async () => {
  db = await createSealedDatabase(NOTES);
  await db.addKey(second);
  client = await connect();
});
afterAll(async () => {
  await client.end();
  await db.drop();
});

async function connect(): Promise<pg.Client> {
  const connected = new pg.Client({ connectionString: db.url('app') });
  await connected.connect();
  return connected;
}

interface Verified {
  tenant: string | null;
  readable: string | null;
}

/** What both functions say of these settings. */
async function verify(
  tenant: string | null,
  seal: string | null,
  readable: string | null = null,
  on = client,
): Promise<Verified> {
  await on.query(
    `SELECT set_config('rls.current_tenant', $1, false), set_config('rls.seal', $2, false), set_config('rls.readable_tenants', $3, false)`,
    [tenant, seal, readable],
  );
  const { rows } = await on.query<Verified>(
    'SELECT rls.current_tenant() AS tenant, rls.readable_tenants() AS readable',
  );
  return rows[0]!;
}

const refused = (message: RegExp, hint?: RegExp) => ({
  code: '42501',
  message: expect.stringMatching(new RegExp(`^Seal refused: .*${message.source}`)),
  hint: expect.stringMatching(hint ?? /./),
});

// What PostgreSQL can hold as text: no NUL, no half of a character.
const TEXTS = HOSTILE_VALUES.filter(
  (hostile): hostile is typeof hostile & { value: string } =>
    typeof hostile.value === 'string' &&
    hostile.value !== '' &&
    !hostile.value.includes('\0') &&
    hostile.value.isWellFormed(),
);

describe('what Node.js seals, PostgreSQL verifies', () => {
  it.each(TEXTS)('whatever the tenant is: $name', async ({ value }) => {
    const seal = sealBy(db.key, value);
    expect(await verify(value, seal)).toEqual({ tenant: value, readable: value });
    await expect(verify(`${value}x`, seal)).rejects.toMatchObject(refused(/made for another tenant/));
  });

  it.each(TEXTS)('whatever a set reads: $name', async ({ value }) => {
    const seal = sealBy(db.key, A, `\n${value}`);
    expect(await verify(A, seal, `\n${value}`)).toEqual({ tenant: A, readable: `${A}\n${value}` });
    await expect(verify(A, seal, `\n${value}x`)).rejects.toMatchObject(refused(/made for another tenant/));
    await expect(verify(A, seal, '')).rejects.toMatchObject(refused(/made for another tenant/));
  });

  it('with the shortest and the longest key', async () => {
    for (const bytes of [32, 33, 63, 64]) {
      const key = { id: `of_${bytes}-bytes`, secret: Buffer.alloc(bytes, bytes) };
      await db.addKey(key);
      expect(await verify(A, sealBy(key, A))).toMatchObject({ tenant: A });
    }
  });

  it('nobody needs no seal, and gets no tenant for one', async () => {
    for (const tenant of [null, ''])
      for (const seal of [null, '', 'nonsense', sealBy(db.key, A), sealBy(db.key, '')])
        for (const readable of [null, '', `,${B}`])
          expect(await verify(tenant, seal, readable)).toEqual({ tenant: null, readable: null });
  });

  it('nothing carried at all is nobody', async () => {
    const fresh = await connect();
    const { rows } = await fresh.query(
      'SELECT rls.current_tenant() AS tenant, rls.readable_tenants() AS readable',
    );
    await fresh.end();
    expect(rows).toEqual([{ tenant: null, readable: null }]);
  });
});

describe('a seal is worth nothing', () => {
  const valid = () => sealBy(db.key, A);
  const fieldsOf = (seal: string) => seal.split('.');
  const tampered = (index: number, change: (field: string) => string) => () =>
    fieldsOf(valid())
      .map((field, n) => (n === index ? change(field) : field))
      .join('.');

  it.each<[string, () => string | null]>([
    ['if there is none', () => null],
    ['if it is empty', () => ''],
    ['if it is something else', () => 'nonsense'],
    ['if it is four dots', () => '....'],
    ['if it is a MAC alone', () => fieldsOf(valid())[4]!],
    ['of another tenant', () => sealBy(db.key, B)],
    ['of another version', () => sealBy(db.key, A, '', { version: '2' })],
    ['of no version', tampered(0, () => '')],
    ['of another key than it says', () => sealBy(db.key, A, '', { keyId: 'second' })],
    ['of a key that says to be another', tampered(1, () => 'second')],
    ['of an unknown key', () => sealBy(newSealKey('unknown'), A)],
    ['of a forged key of a known name', () => sealBy(newSealKey('first'), A)],
    ['of no key', tampered(1, () => '')],
    ['that was made to last longer', tampered(2, (expires) => String(Number(expires) + 1))],
    ['whose time is no number', tampered(2, () => 'never')],
    ['whose time is infinite', tampered(2, () => 'infinity')],
    ['whose time is beyond all numbers', tampered(2, () => '9'.repeat(40))],
    ['that was bound to this backend afterwards', tampered(3, () => '1')],
    ['whose backend is no number', tampered(3, () => 'any')],
    ['whose MAC lacks a digit', tampered(4, (mac) => mac.slice(1))],
    ['whose MAC has one more', tampered(4, (mac) => `${mac}0`)],
    ['whose MAC is in upper case', tampered(4, (mac) => mac.toUpperCase().replace(/^\d+$/, 'x'))],
    ['whose MAC is empty', tampered(4, () => '')],
    ['with a sixth field', () => `${valid()}.x`],
    ['with white space around it', () => ` ${valid()} `],
    ['of another setting', () => sealBy(db.key, A, '', { setting: 'rls.other_tenant' })],
    ['for a set', () => sealBy(db.key, A, `,${B}`)],
  ])('%s', async (_what, seal) => {
    const failure: unknown = await verify(A, seal()).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: '42501', hint: expect.stringMatching(/./) });
    expect((failure as Error).message).toMatch(/^Seal refused: /);
    expect(await verify(A, valid())).toMatchObject({ tenant: A }); // control
  });

  it('with any digit of its MAC changed', async () => {
    const seal = valid();
    for (let at = seal.length - 64; at < seal.length; at += 1) {
      const other = seal[at] === '0' ? '1' : '0';
      await expect(verify(A, seal.slice(0, at) + other + seal.slice(at + 1))).rejects.toMatchObject(
        refused(/made for another tenant/),
      );
    }
  });

  it('where tenant and set are divided elsewhere', async () => {
    const seal = sealBy(db.key, A, `,${B}`);
    expect(await verify(A, seal, `,${B}`)).toMatchObject({ tenant: A }); // control
    for (const [tenant, readable] of [
      [`${A},${B}`, ''],
      [`${A},`, B],
      [A.slice(0, -1), `${A.slice(-1)},${B}`],
    ] as const)
      await expect(verify(tenant, seal, readable)).rejects.toMatchObject(refused(/made for another tenant/));
  });

  it('and says nothing of keys, MACs or seals', async () => {
    const seal = sealBy(second, B);
    const failure = await verify(A, seal).catch((error: unknown) => error);
    const said = JSON.stringify(failure);
    for (const secret of [seal, seal.slice(-64), sealBy(second, A).slice(-64)])
      expect(said).not.toContain(secret);
    expect(said).not.toMatch(/[0-9a-f]{32}/);
  });
});

describe('keys', () => {
  it('of the database are valid side by side', async () => {
    expect(await verify(A, sealBy(db.key, A))).toMatchObject({ tenant: A });
    expect(await verify(A, sealBy(second, A))).toMatchObject({ tenant: A });
  });

  it('that are removed are worth nothing from the next statement on', async () => {
    const key = newSealKey('passing');
    await db.addKey(key);
    const seal = sealBy(key, A);
    expect(await verify(A, seal)).toMatchObject({ tenant: A });
    await db.as('migrator', "DELETE FROM rls.seal_key WHERE id = 'passing'");
    await expect(verify(A, seal)).rejects.toMatchObject(
      refused(/"passing" is unknown to the database, or has expired/, /rls-tenants seal-keys/),
    );
  });

  it.each<[number, string | RegExp]>([
    [-3600, /has expired/],
    [-40, /has expired/],
    [-20, A], // the clocks may differ
    [20, A],
    [3600, A],
  ])('that expire %d seconds from now: %s', async (seconds, outcome) => {
    const key = { ...newSealKey(`expires_${seconds}`), expiresAt: new Date(Date.now() + seconds * 1000) };
    await db.addKey(key);
    const said = await verify(A, sealBy(key, A)).then(
      ({ tenant }) => tenant,
      (error: Error) => error.message,
    );
    expect(said).toMatch(outcome);
  });

  it('can be given another time to expire, and no other secret', async () => {
    const key = newSealKey('changing');
    await db.addKey(key);
    await db.addKey({ ...key, expiresAt: new Date(Date.now() - 3_600_000) });
    await expect(verify(A, sealBy(key, A))).rejects.toMatchObject(refused(/has expired/));
    await db.addKey(key);
    await db.addKey(newSealKey('changing'));
    expect(await verify(A, sealBy(key, A))).toMatchObject({ tenant: A });
  });
});

describe('time', () => {
  it.each([-25, -1, 0, 300, 10 * 365 * 24 * 3600])(
    'a seal until %d seconds from now is taken',
    async (seconds) => {
      expect(await verify(A, sealBy(db.key, A, '', { expires: secondsFromNow(seconds) }))).toMatchObject({
        tenant: A,
      });
    },
  );

  it.each([-35, -3600, -10 * 365 * 24 * 3600])(
    'one until %d seconds from now is refused, with the time',
    async (seconds) => {
      const expires = secondsFromNow(seconds);
      await expect(verify(A, sealBy(db.key, A, '', { expires }))).rejects.toMatchObject(
        refused(/it expired at \d{4}-/, /clocks/),
      );
    },
  );

  it('is the time of the statement, not of its transaction', async () => {
    await client.query('BEGIN');
    const seal = sealBy(db.key, A, '', { expires: secondsFromNow(-29) });
    expect(await verify(A, seal)).toMatchObject({ tenant: A });
    await client.query('SELECT pg_sleep(2.5)');
    await expect(verify(A, seal)).rejects.toMatchObject(refused(/it expired at/));
    await client.query('ROLLBACK');
  });
});

describe('a seal for one backend', () => {
  const pidOf = async (on: pg.Client) =>
    (await on.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')).rows[0]!.pid;

  it('is taken there and refused on another', async () => {
    const other = await connect();
    const seal = sealBy(db.key, A, '', { backend: await pidOf(client) });
    expect(await verify(A, seal)).toMatchObject({ tenant: A });
    await expect(verify(A, seal, null, other)).rejects.toMatchObject(
      refused(/it is bound to backend \d+, and this is backend \d+/, /unbound/),
    );
    expect(await verify(A, sealBy(db.key, A), null, other)).toMatchObject({ tenant: A }); // control
    await other.end();
  });
});
