import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { DataSource } from 'typeorm';
import { tenantContext } from '../../libs/rls-tenants/src/context/tenant-context.js';
import type { SealKey } from '../../libs/rls-tenants/src/connection/index.js';
import { tenantTablesOf } from '../../libs/rls-tenants/src/entities/index.js';
import {
  alterPolicySql,
  joinTablePolicyName,
  pruneSealKeysSql,
  sealFunctionsSql,
  tenantPolicyName,
  tenantTablePredicate,
} from '../../libs/rls-tenants/src/policies/index.js';
import { Note, Notebook, NOTES, Tag, tenant } from '../support/notes.js';
import type { PostgresOptions } from '../support/protected-database.js';
import { hasPgBouncer, startPgBouncer, type PgBouncer } from '../support/pgbouncer.js';
import { runSchedule } from '../support/schedule.js';
import { createSealedDatabase, newSealKey, type SealedDatabase } from '../support/sealed-database.js';

const TENANTS = 50;
/** The shortest that there is, in seconds: seals are made anew after half of it. */
const LIFETIME = 10;
// SCHEDULE_SEED replays a failing run; SCHEDULE_OPERATIONS makes it a soak.
const seed = Number(process.env.SCHEDULE_SEED ?? Math.floor(Math.random() * 1e6));
const operations = Number(process.env.SCHEDULE_OPERATIONS ?? 100_000) / 4;

// CI installs PgBouncer. Elsewhere a machine may lack it, and the run then reports the suite as skipped.
const itThroughPgBouncer = hasPgBouncer() || process.env.CI ? it : it.skip;

describe(`sealed random schedules, seed ${seed}`, () => {
  let db: SealedDatabase;
  let operator: pg.Pool;
  let bouncer: PgBouncer | undefined;

  beforeAll(async () => {
    db = await createSealedDatabase(NOTES);
    operator = new pg.Pool({ connectionString: db.url(), max: 2 });
    const dataSource = await db.isolated();
    for (let n = 1; n <= TENANTS; n++) {
      await tenantContext(tenant(n), async () => {
        const tags = await dataSource.getRepository(Tag).save([{ name: 'red' }, { name: 'blue' }]);
        const notes = [1, 2, 3].map((note) => Object.assign(new Note(), { body: `note ${note}`, tags }));
        await dataSource.getRepository(Notebook).save({ title: 'book', notes });
      });
    }
    await dataSource.destroy();
  });
  afterAll(async () => {
    await operator.end();
    await bouncer?.stop();
    await db.drop();
  });

  /** The keys of the application: what its provider answers, and how often it was asked. */
  class KeyRing {
    keys: readonly SealKey[] = [db.key];
    asked = 0;

    readonly provider = () => {
      this.asked++;
      return this.keys;
    };

    /** A key for the database, then for the application, then the old one leaves both. */
    async rotate(): Promise<void> {
      const [old] = this.keys;
      const added = newSealKey(`key_${this.asked}_${Date.now()}`);
      await db.addKey(added);
      this.keys = [added, old!];
      for (const before = this.asked; this.asked === before;) await sleep(50);
      await sleep(1_000); // statements that are under way with the old one
      await db.as('migrator', pruneSealKeysSql(), [[added.id]]);
      this.keys = [added];
    }
  }

  /** Moves the policies one by one to the plain form and back, and replaces the verifying functions in between. */
  async function movePolicies(dataSource: DataSource): Promise<void> {
    const installation = { appRole: db.roles.app, adminRole: db.roles.admin };
    for (const sealed of [false, true]) {
      for (const table of tenantTablesOf(dataSource)) {
        const name = (table.kind === 'entity' ? tenantPolicyName : joinTablePolicyName)(table.table);
        await db.as(
          'migrator',
          alterPolicySql(table.table, name, tenantTablePredicate({ ...table, sealed })),
        );
        await db.as('migrator', sealFunctionsSql(installation).join(';'));
        await sleep(100);
      }
    }
  }

  async function policies(): Promise<string[]> {
    const rows = await db.asSuperuser<{ qual: string }>(
      "SELECT qual FROM pg_policies WHERE policyname NOT LIKE '%admin_policy'",
    );
    return rows.map(({ qual }) => qual);
  }

  async function expectIsolation(overrides: Partial<PostgresOptions>): Promise<void> {
    const ring = new KeyRing();
    await db.addKey(db.key);
    const dataSource = await db.isolated(
      { onMissingTenant: 'empty', seal: { keys: ring.provider, lifetime: LIFETIME } },
      overrides,
    );
    const meanwhile = { rotations: 0, moves: 0 };
    const running = { is: true };
    const rotating = (async () => {
      for (; running.is; meanwhile.rotations++) await ring.rotate();
    })();
    const moving = (async () => {
      for (; running.is; meanwhile.moves++) await movePolicies(dataSource);
    })();
    const failed = Promise.all([rotating, moving]).then(
      () => undefined,
      (error: Error) => error,
    );

    // As many operations as are wished, and more until everything has changed once at least.
    const total = { operations: 0, rows: 0, wrong: [] as string[] };
    for (let run = 0; total.operations < operations || Math.min(...Object.values(meanwhile)) < 1; run++) {
      const result = await runSchedule({
        dataSource,
        operator,
        seed: seed + run,
        operations: Math.min(2_500, operations),
        tenants: TENANTS,
        actors: 12,
        sealed: true,
      });
      total.operations += result.operations;
      total.rows += result.rows;
      total.wrong.push(...result.wrong);
      if (total.wrong.length > 0) break;
    }
    running.is = false;
    // What still waits for the next time that the keys are asked for.
    while ((await Promise.race([failed, sleep(200, 'waiting')])) === 'waiting')
      await tenantContext(tenant(1), () => dataSource.query('SELECT 1'));
    expect(await failed).toBeUndefined();

    expect(total.wrong).toEqual([]);
    expect(total.rows).toBeGreaterThan(total.operations); // nobody was shown emptiness instead of isolation
    expect(meanwhile.rotations).toBeGreaterThanOrEqual(1);
    expect(meanwhile.moves).toBeGreaterThanOrEqual(1);
    expect(await policies()).toEqual(
      Array.from({ length: 4 }, () => expect.stringContaining('rls.current_tenant()')),
    );

    const pool = (dataSource.driver as unknown as { master: pg.Pool }).master;
    expect({ waiting: pool.waitingCount, inUse: pool.totalCount - pool.idleCount }).toEqual({
      waiting: 0,
      inUse: 0,
    });
    const stuck = await operator.query(
      "SELECT state, query FROM pg_stat_activity WHERE datname = $1 AND state LIKE 'idle in transaction%'",
      [db.name],
    );
    expect(stuck.rows).toEqual([]);
    expect((await operator.query("SELECT * FROM tag WHERE name = 'planted'")).rows).toEqual([]);
    await dataSource.destroy();
  }

  it('over a pool of 3, while keys and policies change: no row of another tenant, no stuck connection', async () => {
    await expectIsolation({ poolSize: 3 });
  }, 600_000);

  itThroughPgBouncer(
    'through PgBouncer in transaction pooling mode: the same',
    async () => {
      bouncer = await startPgBouncer(db);
      await expectIsolation({ poolSize: 6, url: bouncer.url });
    },
    600_000,
  );
});
