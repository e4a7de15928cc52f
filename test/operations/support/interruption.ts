import pg from 'pg';
import { DataSource, type QueryRunner } from 'typeorm';
import {
  ConcurrentMigration,
  migrationDataSourceOptions,
  RlsMigration,
  type RlsOperation,
} from '../../../libs/rls-tenants/src/migrations/index.js';
import { catalogSnapshot } from '../../migrations/catalog-snapshot.js';
import type { TestDatabase } from '../../support/database.js';

/** What changes nothing that outlives the connection: a kill after it is the kill before it. */
const READ = /^\s*(SELECT|WITH|START TRANSACTION|SET LOCAL)\b/;

/** How many statements that write the server may finish before its backend is terminated; undefined for all of them. */
type Limit = number | undefined;

/** TypeORM's own `migration:run` or `migration:revert` of one migration, as the migration role. */
export class MigrationRun {
  constructor(
    private readonly db: TestDatabase,
    private readonly operations: readonly RlsOperation[],
    private readonly concurrent = true,
  ) {}

  /** Resolves to the number of statements that the migration took, reads aside. */
  up(limit?: Limit): Promise<number> {
    return this.run((dataSource) => dataSource.runMigrations(), limit);
  }

  /** The same for `migration:revert`. */
  down(limit?: Limit): Promise<number> {
    return this.run((dataSource) => dataSource.undoLastMigration(), limit);
  }

  private async run(work: (dataSource: DataSource) => Promise<unknown>, limit: Limit): Promise<number> {
    const { db, operations } = this;
    const started = { yet: false };
    const Base: abstract new () => RlsMigration = this.concurrent ? ConcurrentMigration : RlsMigration;
    class Interrupted1760000000001 extends Base {
      readonly operations = operations;
      override up(queryRunner: QueryRunner) {
        started.yet = true;
        return super.up(queryRunner);
      }
      override down(queryRunner: QueryRunner) {
        started.yet = true;
        return super.down(queryRunner);
      }
    }
    const options = migrationDataSourceOptions(
      { type: 'postgres', url: db.url('app'), migrations: [Interrupted1760000000001] },
      { username: db.roles.migrator, password: 'test' },
    );
    const dataSource = await new DataSource(options).initialize();
    let finished = 0;
    const create = dataSource.createQueryRunner.bind(dataSource);
    dataSource.createQueryRunner = (mode) => {
      const queryRunner = create(mode);
      const query = queryRunner.query.bind(queryRunner);
      queryRunner.query = (async (...statement: Parameters<QueryRunner['query']>) => {
        if (started.yet && finished === limit) await terminate(db, queryRunner);
        const result: unknown = await query(...statement);
        if (started.yet && !READ.test(statement[0])) finished += 1;
        return result;
      }) as QueryRunner['query'];
      return queryRunner;
    };
    try {
      await work(dataSource);
      return finished;
    } finally {
      await dataSource.destroy();
    }
  }
}

/** Kills the server process, as a crash or an administrator would, and waits until it is gone. */
async function terminate(db: TestDatabase, queryRunner: QueryRunner): Promise<void> {
  const client = (await queryRunner.connect()) as { processID: number };
  await db.asSuperuser('SELECT pg_terminate_backend($1, 5000)', [client.processID]);
}

/**
 * Runs the migration and reverts it, killed after 0, 1, 2 … statements that write and then run again, and compares the catalog each
 * time with that of a migration and a revert that nobody disturbed. Resolves to the number of kills.
 */
export async function expectToSurviveKills(
  db: TestDatabase,
  operations: readonly RlsOperation[],
  concurrent = true,
): Promise<number> {
  const superuser = new pg.Client({ connectionString: db.url() });
  await superuser.connect();
  const asSuperuser = async (sql: string, values?: unknown[]) => (await superuser.query(sql, values)).rows;
  try {
    return await killEverywhere({ ...db, asSuperuser } as TestDatabase, operations, concurrent);
  } finally {
    await superuser.end();
  }
}

async function killEverywhere(
  db: TestDatabase,
  operations: readonly RlsOperation[],
  concurrent: boolean,
): Promise<number> {
  const migration = new MigrationRun(db, operations, concurrent);
  await new MigrationRun(db, []).up();
  await new MigrationRun(db, []).down();
  const before = await catalogSnapshot(db);
  const longest = [await migration.up()];
  const after = await catalogSnapshot(db);
  expect(after).not.toEqual(before);
  longest.push(await migration.down());
  expect(await catalogSnapshot(db)).toEqual(before);
  let kills = 0;
  for (let limit = 0; limit < Math.max(...longest); limit += 1) {
    for (const [way, expected] of [
      ['up', after],
      ['down', before],
    ] as const) {
      const killed = await migration[way](limit).then(
        () => false,
        () => true,
      );
      // After the last statement there is nothing left to kill, and so there is nothing to run again.
      if (killed) {
        kills += 1;
        await migration[way]();
      }
      expect({ limit, way, ...(await catalogSnapshot(db)) }).toEqual({ limit, way, ...expected });
    }
  }
  return kills;
}
