import pg from 'pg';
import Cursor from 'pg-cursor';
import { to as copyTo } from 'pg-copy-streams';
import { text as readAll } from 'node:stream/consumers';
import type { DataSource, EntityManager } from 'typeorm';
import {
  adminContext,
  tenantContext,
  withoutTenant,
} from '../../libs/rls-tenants/src/context/tenant-context.js';
import { Note, Notebook, Tag, tenant } from './notes.js';

export interface ScheduleOptions {
  /** Isolated, over a small pool, with `onMissingTenant: 'empty'`, so that forgotten contexts show as rows or not. */
  dataSource: DataSource;
  /** A superuser's pool: cancels and kills backends. */
  operator: pg.Pool;
  seed: number;
  operations: number;
  tenants: number;
  /** Actors that work at the same time; more than the pool has connections. */
  actors: number;
  /**
   * The context is sealed, and admin contexts have connections of their own: a statement of one in a tenant's transaction
   * must be refused. Default `false`.
   */
  sealed?: boolean;
  /** How an operation gets into its tenant's context: by a job or a message, for example. Default `tenantContext`. */
  enter?: (tenantId: string, work: () => Promise<unknown>) => Promise<unknown>;
}

export interface ScheduleResult {
  operations: number;
  rows: number;
  /** How often each kind of operation ran. */
  kinds: Record<string, number>;
  /** Rows of another tenant, or none where there should be some; empty if isolation held. */
  wrong: string[];
}

/** What an admin must see: rows of more than one tenant. */
const ALL = Symbol('every tenant');

/** Rows an operation saw and the tenant they must all belong to (`null`: there must be none). */
interface Actor {
  random: () => number;
  sealed: boolean;
  check: (
    what: string,
    expected: string | null | typeof ALL,
    rows: { tenant_id?: string; tenantId?: string }[],
  ) => void;
}

type Operation = (ds: DataSource, actor: Actor, tenantId: string, operator: pg.Pool) => Promise<unknown>;

const SELECT = 'SELECT tenant_id FROM note';

const poolOf = (ds: DataSource) => (ds.driver as unknown as { master: pg.Pool }).master;
const raw = (manager: EntityManager | DataSource): Promise<{ tenant_id: string }[]> => manager.query(SELECT);
const fails = async (query: Promise<unknown>, ...codes: string[]) => {
  const error = await query.then(
    () => undefined,
    (reason: { driverError?: { code: string }; code?: string; message: string }) => reason,
  );
  const code = error && (error.driverError?.code ?? error.code);
  if (!error || (codes.length > 0 && !codes.includes(code ?? ''))) {
    throw new Error(`expected ${codes.join(' or ')}, got ${error ? `${code} ${error.message}` : 'success'}`);
  }
};

async function refusesAdmin(query: Promise<unknown>): Promise<void> {
  const error = await query.then(
    () => undefined,
    (reason: Error & { driverError?: Error }) => reason.driverError ?? reason,
  );
  if (error?.name !== 'RlsConfigurationError')
    throw new Error(`an admin's statement in a tenant's transaction: ${error?.stack ?? 'success'}`);
}

async function withClient(ds: DataSource, work: (client: pg.PoolClient) => Promise<unknown>): Promise<void> {
  const client = await poolOf(ds).connect();
  client.on('error', ignore);
  let failure: Error | undefined;
  try {
    await work(client);
  } catch (error) {
    failure = error as Error;
    throw error;
  } finally {
    client.removeListener('error', ignore);
    client.release(failure);
  }
}
const ignore = () => {};

/** Strikes at the backend of a client while it sleeps in a transaction. */
function struck(strike: 'pg_cancel_backend' | 'pg_terminate_backend'): Operation {
  return (ds, { check }, tenantId, operator) =>
    withClient(ds, async (client) => {
      await client.query('BEGIN');
      const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
      const sleeping = client.query('SELECT pg_sleep(30)').then(
        () => 'slept',
        (error: { code?: string }) => error.code ?? 'lost',
      );
      await asleep(operator, rows[0]!.pid);
      await operator.query(`SELECT ${strike}($1)`, [rows[0]!.pid]);
      if ((await sleeping) === 'slept') throw new Error(`${strike} did not strike`);
      if (strike === 'pg_terminate_backend') {
        throw Object.assign(new Error('killed as planned'), { planned: true });
      }
      await fails(client.query(SELECT), '25P02');
      await client.query('ROLLBACK');
      check(strike, tenantId, (await client.query(SELECT)).rows);
    }).catch((error: { planned?: boolean }) => {
      if (!error.planned) throw error;
    });
}

/** Resolves when the backend sleeps: a strike that comes earlier would miss the statement. */
async function asleep(operator: pg.Pool, pid: number): Promise<void> {
  const sql = "SELECT FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'PgSleep'";
  while ((await operator.query(sql, [pid])).rowCount === 0) await new Promise((done) => setTimeout(done, 1));
}

/** Weight and work of each kind of operation. */
const OPERATIONS: Record<string, [number, Operation]> = {
  find: [20, async (ds, { check }, tenantId) => check('find', tenantId, await ds.getRepository(Note).find())],
  raw: [20, async (ds, { check }, tenantId) => check('raw', tenantId, await raw(ds))],
  rawWithParameters: [
    20,
    async (ds, { check }, tenantId) =>
      check('parameters', tenantId, await ds.query(`${SELECT} WHERE id > $1`, [0])),
  ],
  multiStatement: [
    8,
    async (ds, { check }, tenantId) => {
      const results = (await poolOf(ds).query(
        `SELECT 1; ${SELECT}; ${SELECT} ORDER BY id`,
      )) as unknown as pg.QueryResult[];
      check('multi 2', tenantId, results[1]!.rows);
      check('multi 3', tenantId, results[2]!.rows);
    },
  ],
  queryBuilder: [
    8,
    async (ds, { check }, tenantId) => {
      const notes = await ds
        .createQueryBuilder(Note, 'note')
        .leftJoinAndSelect('note.tags', 'tag')
        .innerJoinAndSelect('note.notebook', 'book')
        .getMany();
      check('builder', tenantId, notes);
      check(
        'builder tags',
        tenantId,
        notes.flatMap(({ tags }) => tags),
      );
    },
  ],
  relations: [
    6,
    async (ds, { check }, tenantId) => {
      const books = await ds.getRepository(Notebook).find({ relations: { notes: { tags: true } } });
      check(
        'relations',
        tenantId,
        books.flatMap(({ notes }) => notes),
      );
    },
  ],
  update: [
    6,
    async (ds, { check }, tenantId) => {
      const [rows] = await ds.query<[{ tenant_id: string }[]]>(
        'UPDATE note SET body = body RETURNING tenant_id',
      );
      check('update', tenantId, rows);
    },
  ],
  insertAndDelete: [
    5,
    async (ds, { check }, tenantId) => {
      const saved = await ds.getRepository(Tag).save({ name: 'passing' });
      check('insert', tenantId, [saved]);
      await ds.getRepository(Tag).delete({ id: saved.id });
    },
  ],
  stream: [
    6,
    async (ds, { check }, tenantId) => {
      const runner = ds.createQueryRunner();
      try {
        check('stream', tenantId, (await (await runner.stream(SELECT)).toArray()) as { tenant_id: string }[]);
      } finally {
        await runner.release();
      }
    },
  ],
  streamAbandoned: [
    3,
    async (ds, { check }, tenantId) => {
      const runner = ds.createQueryRunner();
      try {
        const stream = await runner.stream('SELECT tenant_id FROM note, generate_series(1, 500)');
        for await (const row of stream) {
          check('abandoned', tenantId, [row as { tenant_id: string }]);
          break;
        }
        check('after abandoned', tenantId, await runner.query(SELECT));
      } finally {
        await runner.release();
      }
    },
  ],
  cursorAbandoned: [
    4,
    (ds, { check, random }, tenantId) =>
      withClient(ds, async (client) => {
        const cursor = client.query(new Cursor<{ tenant_id: string }>(SELECT));
        check('cursor', tenantId, await cursor.read(1 + Math.floor(random() * 2)));
        await cursor.close();
        check('after cursor', tenantId, (await client.query(SELECT)).rows);
      }),
  ],
  copy: [
    3,
    (ds, { check }, tenantId) =>
      withClient(ds, async (client) => {
        const copied = await readAll(client.query(copyTo('COPY note (tenant_id) TO STDOUT')));
        check(
          'copy',
          tenantId,
          copied
            .trim()
            .split('\n')
            .map((tenant_id) => ({ tenant_id })),
        );
      }),
  ],
  transaction: [
    8,
    (ds, { check }, tenantId) =>
      ds.transaction(async (outer) => {
        check('outer', tenantId, await raw(outer));
        const inner = outer.transaction(async (manager) => {
          check('inner', tenantId, await raw(manager));
          await manager.query('SELECT 1/0');
        });
        await fails(inner, '22012');
        check('after savepoint', tenantId, await raw(outer));
      }),
  ],
  nestedContexts: [
    8,
    (ds, { check, random, sealed }, tenantId) =>
      ds.transaction(async (manager) => {
        const other = tenant(1 + Math.floor(random() * 50));
        check('mine', tenantId, await raw(manager));
        await tenantContext(other, async () => check('other', other, await raw(manager)));
        await adminContext('random schedule', async () => {
          if (sealed) await refusesAdmin(raw(manager));
          else check('admin', ALL, await raw(manager));
        });
        await withoutTenant(async () => check('nobody', null, await raw(manager)));
        check('mine again', tenantId, await raw(manager));
      }),
  ],
  together: [
    6,
    async (ds, { check, random }) => {
      const tenants = Array.from({ length: 8 }, () => tenant(1 + Math.floor(random() * 50)));
      await Promise.all(
        tenants.map((each) => tenantContext(each, async () => check('together', each, await raw(ds)))),
      );
    },
  ],
  togetherInTransaction: [
    4,
    (ds, { check, random }) =>
      ds.transaction((manager) =>
        Promise.all(
          Array.from({ length: 4 }, () => {
            const each = tenant(1 + Math.floor(random() * 50));
            return tenantContext(each, async () =>
              check('together in transaction', each, await raw(manager)),
            );
          }),
        ),
      ),
  ],
  admin: [
    2,
    (ds, { check }) => adminContext('random schedule', async () => check('admin', ALL, await raw(ds))),
  ],
  nobody: [4, (ds, { check }) => withoutTenant(async () => check('nobody', null, await raw(ds)))],
  callback: [
    4,
    (ds, { check }, tenantId) =>
      new Promise<void>((resolve, reject) => {
        poolOf(ds).query(SELECT, [], (error, result) => {
          if (error) return reject(error);
          check('callback', tenantId, result.rows);
          resolve();
        });
      }),
  ],
  error: [5, (ds) => fails(ds.query('SELECT 1/0'), '22012')],
  errorWithParameters: [5, (ds) => fails(ds.query('SELECT 1/$1::int', [0]), '22012')],
  crossTenantWrite: [
    3,
    (ds, { random }, tenantId) => {
      const other = tenant(1 + Math.floor(random() * 50));
      return other === tenantId
        ? Promise.resolve()
        : fails(ds.query('INSERT INTO tag (tenant_id, name) VALUES ($1, $2)', [other, 'planted']), '42501');
    },
  ],
  statementTimeout: [
    1,
    (ds, { check }, tenantId) =>
      ds.transaction(async (manager) => {
        // One text, undone with the savepoint: the timeout must strike nothing but the sleep, on a busy machine too.
        const sleep = 'SET LOCAL statement_timeout = 20; SELECT pg_sleep(1)';
        await fails(
          manager.transaction((savepoint) => savepoint.query(sleep)),
          '57014',
        );
        check('after timeout', tenantId, await raw(manager));
      }),
  ],
  cancelled: [0.3, struck('pg_cancel_backend')],
  killed: [0.1, struck('pg_terminate_backend')],
};

/** Runs a random schedule. The same seed gives each actor the same operations; how actors interleave is real. */
export async function runSchedule(options: ScheduleOptions): Promise<ScheduleResult> {
  const { dataSource, operator, operations, tenants, sealed = false, enter = tenantContext } = options;
  const result: ScheduleResult = { operations: 0, rows: 0, kinds: {}, wrong: [] };
  const pick = weightedPick(Object.entries(OPERATIONS).map(([kind, [weight]]) => [kind, weight]));

  const act = async (actor: number) => {
    const random = mulberry32(options.seed * 1000 + actor);
    while (result.operations < operations && result.wrong.length < 20) {
      result.operations++;
      const kind = pick(random());
      result.kinds[kind] = (result.kinds[kind] ?? 0) + 1;
      const tenantId = tenant(1 + Math.floor(random() * tenants));
      const check: Actor['check'] = (what, expected, rows) => {
        result.rows += rows.length;
        const bad = explain(expected, rows);
        if (bad) result.wrong.push(`seed ${options.seed} actor ${actor} ${kind} (${what}): ${bad}`);
      };
      try {
        await enter(tenantId, () =>
          OPERATIONS[kind]![1](dataSource, { random, sealed, check }, tenantId, operator),
        );
      } catch (error) {
        result.wrong.push(`seed ${options.seed} actor ${actor} ${kind}: ${(error as Error).stack}`);
      }
    }
  };
  await Promise.all(Array.from({ length: options.actors }, (_, actor) => act(actor)));
  return result;
}

function explain(
  expected: string | null | typeof ALL,
  rows: { tenant_id?: string; tenantId?: string }[],
): string | undefined {
  const seen = new Set(rows.map((row) => row.tenant_id ?? row.tenantId ?? 'a row without tenant'));
  if (expected === null) return seen.size === 0 ? undefined : `nobody saw ${[...seen].join()}`;
  if (expected === ALL) return seen.size > 1 ? undefined : `admin saw ${[...seen].join()}`;
  return seen.size === 1 && seen.has(expected)
    ? undefined
    : `expected ${expected}, saw ${[...seen].join() || 'no rows'}`;
}

function weightedPick(weights: [string, number][]): (random: number) => string {
  const total = weights.reduce((sum, [, weight]) => sum + weight, 0);
  return (random) => {
    let rest = random * total;
    return (weights.find(([, weight]) => (rest -= weight) < 0) ?? weights[0]!)[0];
  };
}

function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
