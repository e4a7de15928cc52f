import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { Column, DataSource, Entity, PrimaryGeneratedColumn, type QueryRunner } from 'typeorm';
import type { SealKey } from '../../libs/rls-tenants/src/connection/index.js';
import { adminContext, tenantContext, tenantSetContext } from '../../libs/rls-tenants/src/context/index.js';
import { TenantColumn, tenantTablesOf, TenantScoped } from '../../libs/rls-tenants/src/entities/index.js';
import {
  installSeal,
  sealJoinTable,
  sealKeys,
  sealTable,
  upgradeSeal,
  type RlsOperation,
} from '../../libs/rls-tenants/src/migrations/index.js';
import { createProtectedDatabase, type ProtectedDatabase } from '../support/protected-database.js';
import { Note, NOTES, tenant } from '../support/notes.js';
import { newSealKey } from '../support/sealed-database.js';

@Entity()
@TenantScoped({ readableBySet: true })
class Report {
  @PrimaryGeneratedColumn() id!: number;
  @TenantColumn() tenantId!: string;
  @Column({ type: 'text' }) body!: string;
}

const TENANTS = [tenant(1), tenant(2), tenant(3)];
const [A, B, C] = TENANTS as [string, string, string];
/** Rows that are there all the time, of each tenant and in each table. */
const ROWS = 3;
const TABLES = ['note', 'notebook', 'report', 'tag', 'note_tags_tag'];
/** Seconds; the least that is allowed. Keys are asked for again after half of it. */
const LIFETIME = 10;

/** What readers and writers did, and all that went wrong. */
class Traffic {
  readonly problems: unknown[] = [];
  private readonly workers: { done: number; stopped: boolean; loop: Promise<void> }[] = [];

  /** Repeats the work until {@link stop}. */
  start(work: () => Promise<void>): void {
    const worker = { done: 0, stopped: false, loop: Promise.resolve() };
    worker.loop = (async () => {
      while (!worker.stopped) {
        try {
          await work();
          worker.done++;
        } catch (error) {
          this.problems.push(error);
          return;
        }
      }
    })();
    this.workers.push(worker);
  }

  /** Waits until every worker has done its work twice from beginning to end, and expects that nothing went wrong. */
  async pass(): Promise<void> {
    const goals = this.workers.map((worker) => [worker, worker.done + 2] as const);
    while (this.problems.length === 0 && goals.some(([worker, goal]) => worker.done < goal)) await pause(5);
    if (this.problems.length > 0) throw new AggregateError(this.problems, String(this.problems[0]));
  }

  async stop(): Promise<void> {
    for (const worker of this.workers) worker.stopped = true;
    await Promise.all(this.workers.map(({ loop }) => loop));
  }
}

let db: ProtectedDatabase;
let migrator: DataSource;
let queryRunner: QueryRunner;
let adminLogin: string;
let opened: DataSource[];
let keys: SealKey[];

beforeEach(async () => {
  db = await createProtectedDatabase([...NOTES, Report]);
  migrator = await new DataSource({ type: 'postgres', url: db.url('migrator') }).initialize();
  queryRunner = migrator.createQueryRunner();
  keys = [newSealKey('first')];
  opened = [];
  adminLogin = `admin_login_${randomUUID().slice(0, 8)}`;
  await db.asSuperuser(
    `CREATE ROLE ${adminLogin} LOGIN PASSWORD 'test' NOINHERIT; GRANT ${db.roles.admin} TO ${adminLogin}`,
  );
  for (const [index, id] of TENANTS.entries()) {
    const numbers = `generate_series(${index * 100 + 1}, ${index * 100 + ROWS}) AS n`;
    await db.asSuperuser(
      `INSERT INTO note (id, tenant_id, body) SELECT n, '${id}', 'kept' FROM ${numbers};
       INSERT INTO tag (id, tenant_id, name) SELECT n, '${id}', 'kept' FROM ${numbers};
       INSERT INTO notebook (tenant_id, title) SELECT '${id}', 'kept' FROM ${numbers};
       INSERT INTO report (tenant_id, body) SELECT '${id}', 'kept' FROM ${numbers};
       INSERT INTO note_tags_tag ("noteId", "tagId", tenant_id) SELECT n, n, '${id}' FROM ${numbers};
       SELECT setval('note_id_seq', 1000), setval('tag_id_seq', 1000)`,
    );
  }
});
afterEach(async () => {
  await queryRunner.release();
  await Promise.all([migrator, ...opened].map((one) => one.destroy()));
  await db.drop();
  const server = await new DataSource({ type: 'postgres', url: process.env.TEST_DATABASE_URL! }).initialize();
  await server.query(`DROP ROLE ${adminLogin}`);
  await server.destroy();
});

const plainApplication = () => db.isolated();
async function sealedApplication(lifetime = LIFETIME): Promise<DataSource> {
  const url = new URL(db.url());
  [url.username, url.password] = [adminLogin, 'test'];
  const adminDataSource = await new DataSource({
    type: 'postgres',
    url: url.toString(),
    poolSize: 2,
  }).initialize();
  opened.push(adminDataSource);
  return db.isolated({ seal: { keys: () => keys, lifetime }, adminDataSource });
}

const up = async (operation: RlsOperation) => operation.up(queryRunner);
const down = async (operation: RlsOperation) => operation.down(queryRunner);

function sealings(): { table: string; operation: RlsOperation }[] {
  const [source] = plain;
  return tenantTablesOf(source!).map(({ table, tenantIdType, tenantColumn, readableBySet, kind }) => ({
    table,
    operation:
      kind === 'entity'
        ? sealTable({ table, tenantIdType, tenantColumn, ...(readableBySet && { readableBySet }) })
        : sealJoinTable({ joinTable: table, tenantIdType, tenantColumn }),
  }));
}
let plain: DataSource[] = [];

function expectOwn(rows: readonly { tenant: string }[], readable: readonly string[], least: number): void {
  const foreign = rows.filter(({ tenant: one }) => !readable.includes(one));
  if (foreign.length > 0)
    throw new Error(`${readable.join()} saw ${foreign.length} rows of ${foreign[0]!.tenant}`);
  if (rows.length < least) throw new Error(`${readable.join()} saw ${rows.length} rows, and has ${least}`);
}

const tenantsOf = (source: Pick<DataSource, 'query'>, table: string) =>
  source.query<{ tenant: string }[]>(`SELECT tenant_id AS tenant FROM ${table}`);

/** Readers and writers of an application, of every tenant, of a set of two, and of the admin. */
function use(source: DataSource, traffic: Traffic): void {
  for (const id of TENANTS) {
    traffic.start(() =>
      tenantContext(id, async () => {
        for (const table of TABLES) expectOwn(await tenantsOf(source, table), [id], ROWS);
        const notes = await source.getRepository(Note).find({ relations: { tags: true } });
        expectOwn(
          notes.flatMap((note) => [note, ...note.tags]).map(({ tenantId }) => ({ tenant: tenantId })),
          [id],
          2 * ROWS,
        );
      }),
    );
    traffic.start(() =>
      tenantContext(id, async () => {
        const notes = source.getRepository(Note);
        const note = await notes.save({ body: 'new', tags: [{ name: 'new' }] });
        await source.transaction(async (manager) => {
          expectOwn(await tenantsOf(manager, 'note'), [id], ROWS + 1);
          await manager.update(Note, note.id, { body: 'changed' });
          expectOwn(await tenantsOf(manager, 'tag'), [id], ROWS + 1);
        });
        await notes.remove(note);
      }),
    );
  }
  traffic.start(() =>
    tenantSetContext(A, [A, B], async () => {
      expectOwn(await tenantsOf(source, 'report'), [A, B], 2 * ROWS);
      expectOwn(await tenantsOf(source, 'note'), [A], ROWS);
    }),
  );
  traffic.start(() =>
    adminContext('sees all rows, all the time', async () => {
      expectOwn(await tenantsOf(source, 'notebook'), TENANTS, 3 * ROWS);
    }),
  );
}

/** Which tables take a tenant from anybody who says that he is one: a control, and the point of it all. */
async function forgeable(): Promise<string[]> {
  const admitted: string[] = [];
  for (const table of TABLES) {
    const forge = `SELECT set_config('rls.current_tenant', '${C}', true); SELECT tenant_id AS tenant FROM ${table}`;
    try {
      expectOwn(await db.as<{ tenant: string }>('app', forge), [C], ROWS);
      admitted.push(table);
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith('Seal refused'))) throw error;
    }
  }
  return admitted.sort();
}

const ALL = TABLES.toSorted();

describe('a live schema is moved', () => {
  it('to the sealed form, policy by policy, and back, while every tenant reads and writes', async () => {
    plain = [await plainApplication()];
    const traffic = new Traffic();
    const former = new Traffic();
    use(plain[0]!, former);
    const both = async () => {
      await former.pass();
      await traffic.pass();
    };
    try {
      await former.pass();
      expect(await forgeable()).toEqual(ALL);

      // 1. Seal and keys into the database: nobody notices.
      await up(installSeal({ appRole: db.roles.app, adminRole: db.roles.admin }));
      await up(sealKeys({ keys: () => keys }));
      await former.pass();
      expect(await forgeable()).toEqual(ALL);

      // 2. Applications that seal are deployed, beside those that do not.
      use(await sealedApplication(), traffic);
      await both();
      await former.stop();
      expect(former.problems).toEqual([]);
      await db.asSuperuser(`REVOKE ${db.roles.admin} FROM ${db.roles.app}`);

      // 3. Policies ask for the seal, one table after the other; and the functions are replaced under them.
      const moves = sealings();
      expect(moves.map(({ table }) => table).toSorted()).toEqual(ALL);
      const open = new Set(ALL);
      for (const { table, operation } of moves) {
        await up(operation);
        open.delete(table);
        await traffic.pass();
        expect(await forgeable()).toEqual([...open]);
      }
      await up(upgradeSeal());
      await traffic.pass();
      await down(upgradeSeal());
      await traffic.pass();
      expect(await forgeable()).toEqual([]);
      const late = await db.isolated({ autoScope: false });
      await expect(tenantContext(A, () => tenantsOf(late, 'note'))).rejects.toMatchObject({
        message: expect.stringMatching(/^Seal refused: the tenant was set without/),
      });

      // 4. Back again.
      for (const { table, operation } of moves.toReversed()) {
        await down(operation);
        open.add(table);
        await traffic.pass();
        expect(await forgeable()).toEqual([...open].toSorted());
      }
      await db.asSuperuser(`GRANT ${db.roles.admin} TO ${db.roles.app}`);
      const again = new Traffic();
      use(plain[0]!, again);
      await again.pass();
      await down(installSeal({ appRole: db.roles.app, adminRole: db.roles.admin }));
      await again.pass();
      await traffic.pass();
      await again.stop();
      expect(await forgeable()).toEqual(ALL);
    } finally {
      await Promise.all([former.stop(), traffic.stop()]);
    }
    expect(traffic.problems).toEqual([]);
  }, 120_000);

  it('to and fro a hundred times, and no table is ever without its policies', async () => {
    plain = [await plainApplication()];
    await up(installSeal({ appRole: db.roles.app, adminRole: db.roles.admin }));
    await up(sealKeys({ keys: () => keys }));
    const traffic = new Traffic();
    use(await sealedApplication(), traffic);
    const watcher = await new DataSource({ type: 'postgres', url: db.url() }).initialize();
    opened.push(watcher);
    const seen = new Set<string>();
    traffic.start(async () => {
      const rows: object[] = await watcher.query(
        `SELECT relname::text, relrowsecurity AND relforcerowsecurity AS forced, count(polname)::int AS policies
         FROM pg_class LEFT JOIN pg_policy ON polrelid = pg_class.oid WHERE relname = ANY ($1) GROUP BY 1, 2`,
        [TABLES],
      );
      for (const row of rows) seen.add(JSON.stringify(row));
    });
    const moves = sealings();
    try {
      for (let round = 0; round < 10; round++) {
        for (const { operation } of moves) await up(operation);
        for (const { operation } of moves) await down(operation);
      }
      await traffic.pass();
    } finally {
      await traffic.stop();
    }
    expect(traffic.problems).toEqual([]);
    expect([...seen].toSorted()).toEqual(
      ALL.map((relname) => JSON.stringify({ relname, forced: true, policies: relname === 'report' ? 5 : 2 })),
    );
  }, 120_000);
});

describe('the keys of a sealed schema are rotated', () => {
  beforeEach(async () => {
    plain = [await plainApplication()];
    await up(installSeal({ appRole: db.roles.app, adminRole: db.roles.admin }));
    await up(sealKeys({ keys: () => keys }));
    for (const { operation } of sealings()) await up(operation);
  });

  it('while every tenant reads and writes: two are valid at once, then the old one is not', async () => {
    const [first, second] = [keys[0]!, newSealKey('second')];
    const source = await sealedApplication();
    const traffic = new Traffic();
    use(source, traffic);
    const signedBy = async () => {
      const [row] = await tenantContext(A, () =>
        source.query<{ seal: string }[]>(`SELECT current_setting('rls.seal') AS seal`),
      );
      return row!.seal.split('.')[1];
    };
    try {
      await traffic.pass();
      expect(await signedBy()).toBe('first');
      await up(sealKeys({ keys: () => [second, first] }));
      const other = await db.isolated({ seal: { keys: [second] } });
      expectOwn(await tenantContext(B, () => tenantsOf(other, 'note')), [B], ROWS);
      await traffic.pass();
      keys = [second, first];
      for (let waited = 0; (await signedBy()) === 'first' && waited < LIFETIME; waited += 0.2)
        await pause(200);
      expect(await signedBy()).toBe('second');
      // What is under way was sealed with the first key at most.
      await traffic.pass();
      await up(sealKeys({ keys: () => [second], prune: true }));
      keys = [second];
      await traffic.pass();
    } finally {
      await traffic.stop();
    }
    const late = await db.isolated({ seal: { keys: [first] } });
    await expect(tenantContext(A, () => tenantsOf(late, 'note'))).rejects.toMatchObject({
      message: expect.stringMatching(/^Seal refused.*key "first" is unknown to the database/),
    });
  }, 60_000);

  it('and a seal that the old one made is worth nothing once it is pruned', async () => {
    const source = await db.isolated({ seal: { keys, backend: 'unbound' } });
    const [{ seal }] = await tenantContext(A, () =>
      source.query<[{ seal: string }]>(`SELECT current_setting('rls.seal') AS seal`),
    );
    const replay = () =>
      db.as<{ tenant: string }>(
        'app',
        `SELECT set_config('rls.current_tenant', '${A}', true), set_config('rls.seal', '${seal}', true);
         SELECT tenant_id AS tenant FROM note`,
      );
    // A control: within its lifetime an unbound seal is good for its own tenant, and for no other.
    expectOwn(await replay(), [A], ROWS);
    await up(sealKeys({ keys: () => [newSealKey('second')], prune: true }));
    await expect(replay()).rejects.toMatchObject({
      code: '42501',
      message: expect.stringMatching(/^Seal refused.*"first" is unknown/),
    });
  });
});
