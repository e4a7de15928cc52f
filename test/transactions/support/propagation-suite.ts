import {
  adminContext,
  tenantContext,
  withoutTenant,
} from '../../../libs/rls-tenants/src/context/tenant-context.js';
import { NoTenantContextError, RlsViolationError } from '../../../libs/rls-tenants/src/errors.js';
import { A, B } from '../../support/notes.js';
import {
  clear,
  letterOf,
  PROPAGATION,
  storedNotes,
  type Form,
  type Propagation,
  type TransactionalApp,
} from './notes-app.js';

class Failure extends Error {}

/** Where a mode's function runs: in a transaction of its own, in the outer one, in none, or not at all. */
type Where = 'own' | 'outer' | 'none' | 'refused';

const OUTSIDE: Record<Propagation, Where> = {
  REQUIRED: 'own',
  REQUIRES_NEW: 'own',
  NESTED: 'own',
  SUPPORTS: 'none',
  NOT_SUPPORTED: 'none',
  MANDATORY: 'refused',
  NEVER: 'none',
};
const INSIDE: Record<Exclude<Propagation, 'NESTED'>, Where> = {
  REQUIRED: 'outer',
  REQUIRES_NEW: 'own',
  SUPPORTS: 'outer',
  NOT_SUPPORTED: 'none',
  MANDATORY: 'outer',
  NEVER: 'refused',
};

/**
 * What holds for a transaction library whose statements carry their tenant.
 *
 * @param nested where the library runs NESTED within a transaction: in the outer one, behind a savepoint, or in its own.
 */
export function itKeepsTenantsApart(
  current: () => TransactionalApp,
  nested: 'outer' | 'own',
  form: Form = 'plain',
): void {
  const itPlain = form === 'plain' ? it : undefined;
  const inside: Record<Propagation, Where> = { ...INSIDE, NESTED: nested };
  const notes = () => current().notes;
  const transactions = () => current().transactions;
  const stored = () => storedNotes(current());
  const failing = (promise: Promise<unknown>) => expect(promise).rejects.toThrow(Failure);
  const owners = (rows: { tenantId: string }[]) => [
    ...new Set(rows.map(({ tenantId }) => letterOf(tenantId))),
  ];

  beforeEach(() => clear(current()));

  /** Runs `fn` for both tenants at once; each sees rows, its own and no others, before, within and after. */
  const forBoth = async (fn: (letter: string) => Promise<unknown>) => {
    await Promise.all(
      [A, B].map((tenantId) =>
        tenantContext(tenantId, async () => {
          const letter = letterOf(tenantId);
          await fn(letter);
          expect(owners(await notes().find())).toEqual([letter]);
          expect(owners(await notes().raw())).toEqual([letter]);
        }),
      ),
    );
  };
  /** Adds a note, and says in which transaction; sees its own tenant's rows only. */
  const work = async (letter: string, body: string) => {
    const first = await notes().transactionId();
    await notes().add(body);
    expect(owners(await notes().find())).toEqual([letter]);
    expect(owners(await notes().raw())).toEqual([letter]);
    const second = await notes().transactionId();
    return first === second ? first : 'none';
  };
  const whereIs = (inner: string, outer: string): Where =>
    inner === 'none' ? 'none' : inner === outer ? 'outer' : 'own';

  describe('for two tenants at once', () => {
    it.each(PROPAGATION)('%s without a transaction', async (mode) => {
      const refused = OUTSIDE[mode] === 'refused';
      await forBoth(async (letter) => {
        const run = transactions()[mode](() => work(letter, mode));
        if (refused) await expect(run).rejects.toThrow(/MANDATORY/);
        else expect(whereIs(await run, 'no outer one')).toBe(OUTSIDE[mode]);
      });
      expect(await stored()).toEqual(refused ? [] : [`A ${mode}`, `B ${mode}`]);
    });

    it.each(PROPAGATION.filter((mode) => OUTSIDE[mode] !== 'refused'))(
      '%s without a transaction, failing',
      async (mode) => {
        await forBoth(async (letter) => {
          await failing(
            transactions()[mode](async () => {
              await work(letter, mode);
              throw new Failure();
            }),
          );
        });
        expect(await stored()).toEqual(OUTSIDE[mode] === 'none' ? [`A ${mode}`, `B ${mode}`] : []);
      },
    );

    it.each(PROPAGATION)('%s within a transaction', async (mode) => {
      const refused = inside[mode] === 'refused';
      await forBoth((letter) =>
        transactions().REQUIRED(async () => {
          const outer = await work(letter, 'outer');
          const run = transactions()[mode](() => work(letter, mode));
          if (refused) await expect(run).rejects.toThrow(/NEVER/);
          else expect(whereIs(await run, outer)).toBe(inside[mode]);
          expect(await work(letter, 'outer again')).toBe(outer);
        }),
      );
      const bodies = [...(refused ? [] : [mode]), 'outer', 'outer again'];
      expect(await stored()).toEqual(
        ['A', 'B'].flatMap((letter) => bodies.map((body) => `${letter} ${body}`)),
      );
    });

    it.each(PROPAGATION.filter((mode) => inside[mode] !== 'refused'))(
      '%s within a transaction that fails afterwards',
      async (mode) => {
        await forBoth((letter) =>
          failing(
            transactions().REQUIRED(async () => {
              await work(letter, 'outer');
              await transactions()[mode](() => work(letter, mode));
              throw new Failure();
            }),
          ),
        );
        expect(await stored()).toEqual(inside[mode] === 'outer' ? [] : [`A ${mode}`, `B ${mode}`]);
      },
    );

    it.each(PROPAGATION.filter((mode) => inside[mode] !== 'refused'))(
      '%s failing within a transaction that goes on',
      async (mode) => {
        await forBoth((letter) =>
          transactions().REQUIRED(async () => {
            await work(letter, 'outer');
            await failing(
              transactions()[mode](async () => {
                await work(letter, mode);
                throw new Failure();
              }),
            );
            await work(letter, 'outer again');
          }),
        );
        const undone = mode === 'NESTED' || inside[mode] === 'own';
        const bodies = [...(undone ? [] : [mode]), 'outer', 'outer again'];
        expect(await stored()).toEqual(
          ['A', 'B'].flatMap((letter) => bodies.map((body) => `${letter} ${body}`)),
        );
      },
    );

    it('an isolation level', async () => {
      await forBoth((letter) =>
        transactions().SERIALIZABLE(async () => {
          await work(letter, 'serializable');
          expect(await notes().isolationLevel()).toBe('serializable');
        }),
      );
      expect(await stored()).toEqual(['A serializable', 'B serializable']);
    });

    it('many transactions over the small pool, half of which fail', async () => {
      // A transaction of its own would wait for a connection while it holds one.
      const mode = nested === 'outer' ? 'NESTED' : 'MANDATORY';
      const runs = Array.from({ length: 40 }, (_, n) => ({ tenantId: n % 2 ? A : B, n }));
      await Promise.all(
        runs.map(({ tenantId, n }) =>
          tenantContext(tenantId, async () => {
            const letter = letterOf(tenantId);
            const run = transactions().REQUIRED(async () => {
              await work(letter, `outer ${n}`);
              await transactions()[mode](() => work(letter, `nested ${n}`));
              if (n % 4 < 2) throw new Failure();
            });
            if (n % 4 < 2) await failing(run);
            else await run;
          }),
        ),
      );
      const kept = runs.filter(({ n }) => n % 4 >= 2);
      expect(kept).toHaveLength(20);
      expect(await stored()).toEqual(
        kept
          .flatMap(({ tenantId, n }) => [
            `${letterOf(tenantId)} outer ${n}`,
            `${letterOf(tenantId)} nested ${n}`,
          ])
          .sort(),
      );
    });
  });

  describe('in one transaction', () => {
    it.each(PROPAGATION.filter((mode) => inside[mode] !== 'refused'))(
      'a nested context’s %s carries its own tenant, and the outer one’s afterwards',
      async (mode) => {
        await tenantContext(A, () =>
          transactions().REQUIRED(async () => {
            const outer = await work('A', 'outer');
            const inner = await tenantContext(B, () => transactions()[mode](() => work('B', mode)));
            expect(whereIs(inner, outer)).toBe(inside[mode]);
            expect(await work('A', 'outer again')).toBe(outer);
          }),
        );
        expect(await stored()).toEqual(['A outer', 'A outer again', `B ${mode}`]);
      },
    );

    it('a nested context’s NESTED rolls back, and the outer tenant goes on', async () => {
      await tenantContext(A, () =>
        transactions().REQUIRED(async () => {
          await work('A', 'outer');
          await failing(
            tenantContext(B, () =>
              transactions().NESTED(async () => {
                await work('B', 'nested');
                throw new Failure();
              }),
            ),
          );
          await work('A', 'outer again');
        }),
      );
      expect(await stored()).toEqual(['A outer', 'A outer again']);
    });

    it('contexts that run together each keep their tenant', async () => {
      await tenantContext(A, () =>
        transactions().REQUIRED(async () => {
          const outer = await notes().transactionId();
          const seen = await Promise.all(
            [A, B, A, B].map((tenantId, n) =>
              tenantContext(tenantId, async () => {
                await notes().add(`together ${n}`);
                return [
                  owners(await notes().find()),
                  owners(await notes().raw()),
                  await notes().transactionId(),
                ];
              }),
            ),
          );
          expect(seen).toEqual(['A', 'B', 'A', 'B'].map((letter) => [[letter], [letter], outer]));
        }),
      );
      expect(await stored()).toEqual(['A together 0', 'A together 2', 'B together 1', 'B together 3']);
    });

    it('transactions that are opened together in it each keep their tenant', async () => {
      await tenantContext(A, () =>
        transactions().REQUIRED(async () => {
          await work('A', 'outer');
          await Promise.all(
            [A, B].map((tenantId) =>
              tenantContext(tenantId, () =>
                transactions().REQUIRES_NEW(async () => {
                  for (const n of [1, 2, 3]) {
                    await notes().add(`new ${n}`);
                    expect(owners(await notes().find())).toEqual([letterOf(tenantId)]);
                    expect(owners(await notes().raw())).toEqual([letterOf(tenantId)]);
                  }
                }),
              ),
            ),
          );
        }),
      );
      expect(await stored()).toEqual([
        'A new 1',
        'A new 2',
        'A new 3',
        'A outer',
        'B new 1',
        'B new 2',
        'B new 3',
      ]);
    });

    itPlain?.('the admin sees all tenants, and afterwards the tenant sees its own again', async () => {
      await tenantContext(A, () =>
        transactions().REQUIRED(async () => {
          const outer = await work('A', 'outer');
          const seen = await adminContext('test', async () => [
            owners(await notes().find()).sort(),
            owners(await notes().raw()).sort(),
            await notes().transactionId(),
          ]);
          expect(seen).toEqual([['A', 'B'], ['A', 'B'], outer]);
          expect(await work('A', 'outer again')).toBe(outer);
        }),
      );
      expect(await stored()).toEqual(['A outer', 'A outer again']);
    });

    itPlain?.each(['REQUIRED', 'REQUIRES_NEW', 'NESTED'] as const)(
      'the admin opens it (%s), tenants work in it, and it is undone as a whole',
      async (mode) => {
        await failing(
          adminContext('test', () =>
            transactions()[mode](async () => {
              expect(owners(await notes().find()).sort()).toEqual(['A', 'B']);
              await tenantContext(A, () => work('A', 'one'));
              await tenantContext(B, () => work('B', 'two'));
              expect((await notes().raw()).map(({ body }) => body)).toEqual(
                expect.arrayContaining(['one', 'two']),
              );
              throw new Failure();
            }),
          ),
        );
        expect(await stored()).toEqual([]);
      },
    );

    const itSealed = form === 'sealed' ? it : undefined;
    itSealed?.('the admin has no statement in a tenant’s transaction, which goes on', async () => {
      await tenantContext(A, () =>
        transactions().REQUIRED(async () => {
          const outer = await work('A', 'outer');
          await expect(adminContext('test', () => notes().raw())).rejects.toThrow(
            'A statement of an admin context was sent on a connection of the app role',
          );
          expect(await work('A', 'outer again')).toBe(outer);
        }),
      );
      expect(await stored()).toEqual(['A outer', 'A outer again']);
    });

    itSealed?.each(['REQUIRED', 'REQUIRES_NEW', 'NESTED'] as const)(
      'the admin opens it (%s) and sees all tenants, none of whom has a statement in it',
      async (mode) => {
        await adminContext('test', () =>
          transactions()[mode](async () => {
            expect(owners(await notes().find()).sort()).toEqual(['A', 'B']);
            await expect(tenantContext(A, () => notes().raw())).rejects.toThrow(
              'A statement of a tenant was sent on a connection of `adminDataSource`',
            );
            expect(owners(await notes().raw()).sort()).toEqual(['A', 'B']);
          }),
        );
      },
    );

    it('a statement outside any context is refused, and the transaction goes on', async () => {
      await tenantContext(A, () =>
        transactions().REQUIRED(async () => {
          await work('A', 'outer');
          await withoutTenant(async () => {
            await expect(notes().find()).rejects.toThrow(NoTenantContextError);
            await expect(notes().raw()).rejects.toThrow(NoTenantContextError);
            await expect(notes().add('nobody’s')).rejects.toThrow(NoTenantContextError);
          });
          await work('A', 'outer again');
        }),
      );
      expect(await stored()).toEqual(['A outer', 'A outer again']);
    });

    it('which nobody opened, statements need a context of their own', async () => {
      await transactions().REQUIRED(async () => {
        await expect(notes().find()).rejects.toThrow(NoTenantContextError);
        const one = await tenantContext(A, () => work('A', 'one'));
        expect(await tenantContext(B, () => work('B', 'two'))).toBe(one);
      });
      await expect(transactions().REQUIRED(() => notes().raw())).rejects.toThrow(NoTenantContextError);
      expect(await stored()).toEqual(['A one', 'B two']);
    });

    it('a row for another tenant is refused by PostgreSQL, and all is undone', async () => {
      await tenantContext(A, async () => {
        await expect(
          transactions().REQUIRED(async () => {
            await work('A', 'outer');
            await notes().addForeign(B);
          }),
        ).rejects.toThrow(RlsViolationError);
        await work('A', 'afterwards');
      });
      expect(await stored()).toEqual(['A afterwards']);
    });
  });

  it('over HTTP: each request’s transaction is its tenant’s', async () => {
    const { url } = current();
    const requests = Array.from({ length: 30 }, (_, n) => ({
      tenantId: n % 2 ? A : B,
      n,
      fails: n % 3 === 0,
    }));
    const answers = await Promise.all(
      requests.map(async ({ tenantId, n, fails }) => {
        const answer = await fetch(`${url}/notes?body=${n}${fails ? '&fail=1' : ''}`, {
          method: 'POST',
          headers: { 'x-tenant': tenantId },
        });
        return [answer.status, fails ? undefined : await answer.json()];
      }),
    );
    expect(answers).toEqual(
      requests.map(({ tenantId, fails }) =>
        fails ? [418, undefined] : [201, { owners: [letterOf(tenantId)], oneTransaction: true }],
      ),
    );
    expect(await stored()).toEqual(
      requests
        .filter(({ fails }) => !fails)
        .map(({ tenantId, n }) => `${letterOf(tenantId)} ${n}`)
        .sort(),
    );
    expect((await fetch(`${url}/notes?body=none`, { method: 'POST' })).status).toBe(403);
  });
}
