import type { DataSource } from 'typeorm';
import {
  adminContext,
  tenantContext,
  tenantSetContext,
  withoutTenant,
} from '../../libs/rls-tenants/src/index.js';
import { tenant } from '../support/notes.js';
import { createProtectedDatabase, type ProtectedDatabase } from '../support/protected-database.js';
import { Account, Document, ORGANISATIONS, SHARED, Tariff } from './support/organisations.js';

const TENANTS = 12;
const ACTORS = 9;
// SCHEDULE_SEED replays a failing run; SCHEDULE_OPERATIONS makes it longer.
const seed = Number(process.env.SCHEDULE_SEED ?? Math.floor(Math.random() * 1e6));
const operations = Number(process.env.SCHEDULE_OPERATIONS ?? 4_000);

type Manager = Pick<DataSource, 'query' | 'getRepository'>;
type Random = () => number;

/** A context at random: what is to be seen in it of each table, and what its updates reach. */
interface Context {
  readonly name: string;
  readonly run: <T>(fn: () => Promise<T>) => Promise<T>;
  readonly sees: Record<'account' | 'document' | 'tariff', readonly string[]>;
  readonly writes: readonly string[];
}

const EVERY = Array.from({ length: TENANTS }, (_, n) => tenant(n + 1));

function contextAtRandom(random: Random): Context {
  const one = () => EVERY[Math.floor(random() * TENANTS)]!;
  const home = one();
  const kind = random();
  if (kind < 0.45) {
    const set = [...new Set([home, ...Array.from({ length: Math.floor(random() * 5) }, one)])];
    return {
      name: `set of ${set.length}`,
      run: (fn) => tenantSetContext(home, set, fn),
      sees: { account: set, document: [home], tariff: [...set, SHARED] },
      writes: [home],
    };
  }
  if (kind < 0.8)
    return {
      name: 'tenant',
      run: (fn) => tenantContext(home, fn),
      sees: { account: [home], document: [home], tariff: [home, SHARED] },
      writes: [home],
    };
  if (kind < 0.9)
    return {
      name: 'nobody',
      run: (fn) => withoutTenant(fn),
      sees: { account: [], document: [], tariff: [] },
      writes: [],
    };
  return {
    name: 'admin',
    run: (fn) => adminContext('random', fn),
    sees: { account: EVERY, document: EVERY, tariff: [...EVERY, SHARED] },
    writes: EVERY,
  };
}

describe(`sets, tenants, the admin and nobody at random, seed ${seed}`, () => {
  let db: ProtectedDatabase;
  let dataSource: DataSource;
  beforeAll(async () => {
    db = await createProtectedDatabase(ORGANISATIONS);
    dataSource = await db.isolated({ onMissingTenant: 'empty' }, { poolSize: 3 });
    const rows = (ids: string[]) => ids.map((id) => `('${id}', 'row')`).join(', ');
    await db.asSuperuser(
      `INSERT INTO account (tenant_id, name) VALUES ${rows(EVERY)};
       INSERT INTO document (tenant_id, title) VALUES ${rows(EVERY)};
       INSERT INTO tariff (tenant_id, title) VALUES ${rows([...EVERY, SHARED])}`,
    );
  });
  afterAll(() => db.drop());

  const wrong: string[] = [];
  let rowsSeen = 0;
  const kinds: Record<string, number> = {};

  const check = (context: Context, what: string, expected: readonly string[], found: string[]) => {
    rowsSeen += found.length;
    if (JSON.stringify(found.toSorted()) !== JSON.stringify(expected.toSorted()))
      wrong.push(`${context.name}, ${what}: expected ${expected.join()}, saw ${found.join() || 'nothing'}`);
  };

  const statement = async (random: Random, context: Context, manager: Manager, where: string) => {
    const table = (['account', 'document', 'tariff'] as const)[Math.floor(random() * 3)]!;
    const expected = context.sees[table];
    const kind = Math.floor(random() * 4);
    const ids = (rows: { tenant_id: string }[]) => rows.map(({ tenant_id }) => tenant_id);
    await context.run(async () => {
      switch (kind) {
        case 0:
          return check(
            context,
            `${where} raw ${table}`,
            expected,
            ids(await manager.query(`SELECT tenant_id FROM ${table}`)),
          );
        case 1:
          return check(
            context,
            `${where} with values ${table}`,
            expected,
            ids(await manager.query(`SELECT tenant_id FROM ${table} WHERE id > $1`, [0])),
          );
        case 2: {
          const entity = { account: Account, document: Document, tariff: Tariff }[table];
          const found = await manager.getRepository<Account | Document | Tariff>(entity).find();
          return check(
            context,
            `${where} find ${table}`,
            expected,
            found.map(({ tenantId }) => tenantId),
          );
        }
        default: {
          // Rows of the set are seen, and only the home tenant's are reached. The admin would wait for others' locks.
          if (context.name === 'admin') return;
          const [rows] = await manager.query<[{ tenant_id: string }[]]>(
            'UPDATE account SET name = name RETURNING tenant_id',
          );
          return check(context, `${where} update`, context.writes, ids(rows));
        }
      }
    });
    kinds[context.name.replace(/ of .*/, '')] = (kinds[context.name.replace(/ of .*/, '')] ?? 0) + 1;
  };

  /** A few contexts in one transaction, with a savepoint that fails; updates are left out: their locks would meet. */
  const transaction = (random: Random) =>
    dataSource.transaction(async (manager) => {
      const reading: Random = () => Math.min(random(), 0.74);
      for (let n = 0; n < 4; n++) await statement(reading, contextAtRandom(random), manager, 'transaction');
      const inner = contextAtRandom(random);
      const failed = await manager
        .transaction(async (savepoint) => {
          await statement(reading, inner, savepoint, 'savepoint');
          await savepoint.query('SELECT 1/0');
        })
        .then(
          () => false,
          () => true,
        );
      if (!failed) wrong.push('the savepoint did not fail');
      for (let n = 0; n < 2; n++)
        await statement(reading, contextAtRandom(random), manager, 'after savepoint');
    });

  const act = async (actor: number) => {
    const random = mulberry32(seed * 1000 + actor);
    for (let n = 0; n < operations / ACTORS / 3 && wrong.length < 10; n++) {
      if (random() < 0.3) await transaction(random);
      else {
        // Contexts within contexts: only the innermost one counts.
        const outer = contextAtRandom(random);
        await outer.run(() => statement(random, contextAtRandom(random), dataSource, 'nested'));
        await statement(random, outer, dataSource, 'alone');
      }
    }
  };

  it('each of them sees its rows, all of them, and writes its own', async () => {
    await Promise.all(Array.from({ length: ACTORS }, (_, actor) => act(actor)));
    expect(wrong).toEqual([]);
    expect(Object.keys(kinds).sort()).toEqual(['admin', 'nobody', 'set', 'tenant']);
    expect(Object.values(kinds).reduce((sum, n) => sum + n)).toBeGreaterThan(operations * 0.8);
    expect(rowsSeen).toBeGreaterThan(operations);
  }, 120_000);
});

function mulberry32(start: number): Random {
  let state = start >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
