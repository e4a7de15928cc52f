import pg from 'pg';
import type { DataSource } from 'typeorm';
import { tenantContext } from '../../libs/rls-tenants/src/context/tenant-context.js';
import { Note, Notebook, NOTES, Tag, tenant } from '../support/notes.js';
import { createProtectedDatabase, type ProtectedDatabase } from '../support/protected-database.js';
import { hasPgBouncer, startPgBouncer, type PgBouncer } from '../support/pgbouncer.js';
import { runSchedule } from '../support/schedule.js';

const TENANTS = 50;
// SCHEDULE_SEED replays a failing run; SCHEDULE_OPERATIONS makes it a soak.
const seed = Number(process.env.SCHEDULE_SEED ?? Math.floor(Math.random() * 1e6));
const operations = Number(process.env.SCHEDULE_OPERATIONS ?? 100_000);

// CI installs PgBouncer. Elsewhere a machine may lack it, and the run then reports the suite as skipped.
const itThroughPgBouncer = hasPgBouncer() || process.env.CI ? it : it.skip;

describe(`random schedules, seed ${seed}`, () => {
  let db: ProtectedDatabase;
  let operator: pg.Pool;
  let bouncer: PgBouncer | undefined;

  beforeAll(async () => {
    db = await createProtectedDatabase(NOTES);
    operator = new pg.Pool({ connectionString: db.url(), max: 2 });
    const dataSource = await db.isolated();
    for (let n = 1; n <= TENANTS; n++) {
      await tenantContext(tenant(n), async () => {
        const tags = await dataSource.getRepository(Tag).save([{ name: 'red' }, { name: 'blue' }]);
        const notes = [1, 2, 3].map((note) => Object.assign(new Note(), { body: `note ${note}`, tags }));
        await dataSource.getRepository(Notebook).save({ title: 'book', notes });
      });
    }
  });
  afterAll(async () => {
    await operator.end();
    await bouncer?.stop();
    await db.drop();
  });

  async function expectIsolation(dataSource: DataSource): Promise<void> {
    const result = await runSchedule({
      dataSource,
      operator,
      seed,
      operations,
      tenants: TENANTS,
      actors: 12,
    });
    expect(result.wrong).toEqual([]);
    expect(result.operations).toBeGreaterThanOrEqual(operations);
    expect(result.rows).toBeGreaterThan(operations); // nobody was shown emptiness instead of isolation

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
    const planted = await operator.query("SELECT * FROM tag WHERE name = 'planted'");
    expect(planted.rows).toEqual([]);
  }

  it('over a pool of 3: no row of another tenant, no stuck connection', async () => {
    await expectIsolation(await db.isolated({ onMissingTenant: 'empty' }, { poolSize: 3 }));
  }, 600_000);

  itThroughPgBouncer(
    'through PgBouncer in transaction pooling mode: the same',
    async () => {
      bouncer = await startPgBouncer(db);
      await expectIsolation(
        await db.isolated({ onMissingTenant: 'empty' }, { poolSize: 6, url: bouncer.url }),
      );
    },
    600_000,
  );
});
