import { Logger } from '@nestjs/common';
import { DataSource, type MigrationInterface } from 'typeorm';
import {
  InProcessBackfillDispatcher,
  TenantBackfillMigration,
  type Backfill,
  type BackfillDispatcher,
} from '../../libs/rls-tenants/src/backfill/index.js';
import { RlsTenantsError } from '../../libs/rls-tenants/src/errors.js';
import type { ProtectedDatabase } from '../support/protected-database.js';
import {
  backfillOf,
  createArticleDatabase,
  FILL_SLUGS,
  fillArticles,
  hits,
  tenant,
} from './support/articles.js';

let db: ProtectedDatabase;
let backfills: Backfill;
let dispatched: [string, readonly string[]][];

class FillSlugs1760000000000 extends TenantBackfillMigration {
  protected readonly backfillName: string = 'fill-slugs';
  protected override readonly inlineRows: number = 20;
  protected readonly backfill = () => backfills;
  protected override dispatcher(_: Backfill): BackfillDispatcher {
    return {
      dispatch: (name, tenantIds) => {
        dispatched.push([name, tenantIds]);
        return Promise.resolve();
      },
    };
  }
}

class FillForGood1760000000001 extends FillSlugs1760000000000 {
  protected override readonly irreversible = true;
}

beforeAll(async () => {
  Logger.overrideLogger(false);
  db = await createArticleDatabase();
  backfills = await backfillOf(db, [FILL_SLUGS]);
});
afterAll(() => db.drop());
beforeEach(async () => {
  dispatched = [];
  await db.asSuperuser('DROP TABLE IF EXISTS migrations');
});

/** Runs `work` on the migration role's data source, with TypeORM's own runner. */
async function migrating<T>(
  migration: new () => MigrationInterface,
  work: (dataSource: DataSource) => Promise<T>,
): Promise<T> {
  const dataSource = await new DataSource({
    type: 'postgres',
    url: db.url('migrator'),
    migrations: [migration],
    migrationsTransactionMode: 'each',
  }).initialize();
  try {
    return await work(dataSource);
  } finally {
    await dataSource.destroy();
  }
}

const up = (migration: new () => MigrationInterface) =>
  migrating(migration, (dataSource) => dataSource.runMigrations());

describe('a backfill migration', () => {
  it('changes a small table at once', async () => {
    await fillArticles(db, 2, 10);
    await up(FillSlugs1760000000000);
    expect(await hits(db)).toEqual({ 1: 20 });
    expect(dispatched).toEqual([]);
  });

  it('only dispatches for a large one, a job per tenant', async () => {
    await fillArticles(db, 3, 7);
    await up(FillSlugs1760000000000);
    expect(await hits(db)).toEqual({ 0: 21 });
    expect(dispatched).toEqual([['fill-slugs', [tenant(1), tenant(2), tenant(3)]]]);
  });

  it('dispatches to this process unless told otherwise', async () => {
    await fillArticles(db, 3, 25);
    const own: InProcessBackfillDispatcher[] = [];
    class InProcess1760000000002 extends FillSlugs1760000000000 {
      protected override dispatcher(backfill: Backfill) {
        const dispatcher = TenantBackfillMigration.prototype['dispatcher'].call(this, backfill);
        own.push(dispatcher as InProcessBackfillDispatcher);
        return dispatcher as InProcessBackfillDispatcher;
      }
    }
    await up(InProcess1760000000002);
    await own[0]!.idle();
    expect(await hits(db)).toEqual({ 1: 75 });
  });

  it('fails, and stays pending, where the backfill fails', async () => {
    await fillArticles(db, 2, 5);
    class Unknown1760000000003 extends FillSlugs1760000000000 {
      protected override readonly backfillName = 'unknown';
    }
    await expect(up(Unknown1760000000003)).rejects.toThrow('There is no backfill "unknown"');
    expect(await db.asSuperuser('SELECT name FROM migrations')).toEqual([]);
  });

  it('is refused in one transaction with others', async () => {
    await fillArticles(db, 2, 5);
    const all = (dataSource: DataSource) => dataSource.runMigrations({ transaction: 'all' });
    await expect(migrating(FillSlugs1760000000000, all)).rejects.toThrow('transaction');
    expect(await hits(db)).toEqual({ 0: 10 });
  });

  it('leaves the rows as they are when it is reverted', async () => {
    await fillArticles(db, 2, 5);
    await up(FillSlugs1760000000000);
    await migrating(FillSlugs1760000000000, (dataSource) => dataSource.undoLastMigration());
    expect(await hits(db)).toEqual({ 1: 10 });
    expect(await db.asSuperuser('SELECT name FROM migrations')).toEqual([]);
  });

  it('refuses to be reverted where it is irreversible', async () => {
    await fillArticles(db, 2, 5);
    await up(FillForGood1760000000001);
    const revert = migrating(FillForGood1760000000001, (dataSource) => dataSource.undoLastMigration());
    await expect(revert).rejects.toThrow(RlsTenantsError);
    expect(await db.asSuperuser('SELECT name FROM migrations')).toHaveLength(1);
  });
});

it('what the in-process dispatcher could not finish is told to who waits for it', async () => {
  await fillArticles(db, 1, 1);
  const dispatcher = new InProcessBackfillDispatcher(backfills);
  await dispatcher.dispatch('unknown', [tenant(1)]);
  await expect(dispatcher.idle()).rejects.toThrow('There is no backfill "unknown"');
});
