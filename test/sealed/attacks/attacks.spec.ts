import { SERVER_VERSION } from '../../support/database.js';
import { hasPgBouncer, startPgBouncer, type PgBouncer } from '../../support/pgbouncer.js';
import { a, b, become, loot, READ, type Attack } from './attack.js';
import { misconfiguredTarget, plainTarget, run, sealedTarget, type Target } from './harness.js';
import { ATTACKS, FAMILIES } from './index.js';

/** A test that is skipped where PostgreSQL lacks what the attack needs. */
const where = ({ since = 0 }: Attack) => (SERVER_VERSION >= since ? it : it.skip);
const named = (name: string) => FAMILIES.find((family) => family.name === name)!.attacks;
/** What depends on the connection, and what stands between. */
const OF_THE_SESSION = [...named('Replaying'), ...named('Leaving something for the next request')];

function attackEach(
  attacks: readonly Attack[],
  start: () => Promise<Target>,
  how: () => Parameters<typeof run>[2] = () => ({}),
): void {
  let target: Target;
  beforeAll(async () => {
    target = await start();
  });
  afterAll(() => target.drop());

  for (const attack of attacks) {
    // What is open is known to leak. As soon as it does not this fails, and then it is to be marked so.
    const holds = attack.open && SERVER_VERSION >= (attack.since ?? 0) ? it.failing : where(attack);
    holds(`${attack.id} ${attack.title}`, async () => {
      const { leaks } = await run(attack, target, how());
      expect(leaks).toEqual([]);
    });
  }
}

/** Runs each attack where it is expected to leak or to hold. */
function compareEach(attacks: readonly (readonly [Attack, string])[], start: () => Promise<Target>): void {
  let target: Target;
  beforeAll(async () => {
    target = await start();
  });
  afterAll(() => target.drop());

  for (const [attack, expected] of attacks) {
    const test = where(attack);
    test(`${attack.id} ${attack.title}: ${expected}`, async () => {
      const { leaks } = await run(attack, target);
      expect(leaks.length > 0 ? 'leaks' : 'holds').toBe(expected);
    });
  }
}

it('has at least 60 attacks, each with its own id and title', () => {
  expect(ATTACKS.length).toBeGreaterThanOrEqual(60);
  expect(new Set(ATTACKS.map(({ id }) => id)).size).toBe(ATTACKS.length);
  expect(new Set(ATTACKS.map(({ title }) => title)).size).toBe(ATTACKS.length);
});

describe('the sealed form shows and changes nothing that is not the attacker’s', () => {
  attackEach(ATTACKS, sealedTarget);
});

describe('the plain form leaks where the attack should work', () => {
  compareEach(
    ATTACKS.filter(({ plain }) => plain !== 'nothing to take').map((attack) => [attack, attack.plain]),
    plainTarget,
  );
});

for (const backend of ['bound', 'unbound'] as const) {
  describe(`seals that are ${backend}`, () => {
    attackEach(OF_THE_SESSION, sealedTarget, () => ({ seal: { backend } }));
  });
}

const withPgBouncer = process.env.CI || hasPgBouncer() ? describe : describe.skip;
withPgBouncer('behind PgBouncer in transaction mode', () => {
  for (const backend of ['detect', 'unbound'] as const) {
    describe(`seals that are ${backend === 'detect' ? 'bound where no pooler is found' : 'unbound'}`, () => {
      let bouncer: PgBouncer;
      const start = async () => {
        const target = await sealedTarget();
        bouncer = await startPgBouncer(target.db);
        return { ...target, drop: () => bouncer.stop().then(() => target.drop()) };
      };
      attackEach(OF_THE_SESSION, start, () => ({ url: bouncer.url, seal: { backend } }));
    });
  }
});

describe('where the app role may create objects', () => {
  const shadows = named('Shadowing');
  compareEach(
    shadows.map((attack) => [attack, attack.misconfigured ?? 'holds']),
    misconfiguredTarget,
  );

  // What the attacker puts into somebody else's way waits for them. Its own statements get nothing by it.
  describe('the seal holds until somebody else runs what was left', () => {
    const alone = shadows.map((attack) => ({
      ...attack,
      steps: attack.steps.filter((step) => 'by' in step && step.by === 'A'),
    }));
    attackEach(alone, misconfiguredTarget);
  });
});

describe('controls', () => {
  let target: Target;
  beforeAll(async () => {
    target = await sealedTarget();
  });
  afterAll(() => target.drop());

  const control = (title: string, steps: Attack['steps'], more: Partial<Attack> = {}): Attack => ({
    id: 'C',
    title,
    tries: title,
    steps,
    plain: 'leaks',
    ...more,
  });

  it('B has rows, and sees them', async () => {
    const { leaks } = await run(control('B reads', [b(READ)]), target);
    expect(leaks).toEqual([]);
    const bodies = await target.db.asSuperuser(
      `SELECT body FROM note WHERE tenant_id = '${target.names['B']}'`,
    );
    expect(bodies).toEqual([{ body: 'of B: secret' }]);
  });

  it("the harness sees a read, a write, a change, a deletion and a move of B's rows without policies", async () => {
    const off = {
      prepare: 'ALTER TABLE note DISABLE ROW LEVEL SECURITY',
      undo: 'ALTER TABLE note ENABLE ROW LEVEL SECURITY',
    };
    const leaksOf = async (sql: string) => (await run(control(sql, [a(sql)], off), target)).leaks.join('\n');
    expect(await leaksOf(READ)).toBe('of B: secret');
    expect(await leaksOf(`INSERT INTO note (tenant_id, body) VALUES ('{B}', 'x')`)).toMatch(/^written: note/);
    expect(await leaksOf(`UPDATE note SET body = 'x' WHERE id = 101`)).toMatch(
      /written: note.*x.*\ngone: note/,
    );
    expect(await leaksOf('DELETE FROM note')).toMatch(/^gone: note/);
    expect(await leaksOf(`UPDATE note SET tenant_id = '{A}' WHERE id = 101`)).toMatch(/^gone: note/);
  });

  it('the harness sees a row that B was told is saved, and is not', async () => {
    const steps = [{ by: 'B', save: 'lost' } as const, a('DELETE FROM note')];
    const off = {
      prepare: 'ALTER TABLE note DISABLE ROW LEVEL SECURITY',
      undo: 'ALTER TABLE note ENABLE ROW LEVEL SECURITY',
    };
    expect((await run(control('lost', steps, off), target)).leaks).toContain('lost: lost');
  });

  it("the harness knows B's seals and the keys when it sees them, in errors too", async () => {
    const { secret } = target.keys[0]!;
    const show = (text: string) =>
      run(control('shown', [a(`SELECT '${text}'::text`), loot('', `SELECT '${text}'::text`)]), target);
    expect((await show('{genuine}')).leaks).toEqual(["a seal of B's"]);
    expect((await show('{retired}')).leaks).toEqual(["a seal of B's"]);
    expect((await show('{unknown}')).leaks).toEqual([]);
    expect((await show(Buffer.from(secret).toString('hex'))).leaks).toEqual(['key first']);
    expect((await show(Buffer.from(secret).toString('base64'))).leaks).toEqual(['key first']);
  });

  it("a genuine seal of B's, bound to no backend, makes A's statement B's: a stolen seal is worth something until it expires", async () => {
    const { leaks } = await run(control('stolen', [loot(become(`'{genuine}'`))]), target);
    expect(leaks).toContain('of B: secret');
  });
});
