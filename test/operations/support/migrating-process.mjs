// A process of its own, which works on many databases at once and is killed with SIGKILL when it has done to each of them
// as many statements as it was told. It runs the built library, as a deployment does. Its parent is processes.ts.
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { DataSource } from 'typeorm';
import * as library from '../../../libs/rls-tenants/dist/migrations/index.js';

/** What changes nothing that outlives the connection: a kill after it is the kill before it. */
const READ = /^\s*(SELECT|WITH|START TRANSACTION|SET|RESET|DISCARD|SHOW)\b/;

/** Operations by name; what takes a function elsewhere takes SQL here. */
const factories = {
  ...library,
  runSql: ({ up, down }) => library.runSql(up, down),
  withRlsDisabled: ({ table, up, down }) => {
    const work = (sql) => (queryRunner) =>
      library.withRlsDisabled(queryRunner, table, () => queryRunner.query(sql));
    return { description: 'withRlsDisabled', up: work(up), down: work(down) };
  },
};

function operationsOf(specs) {
  return specs.flatMap(([name, options, step]) => {
    const operation = factories[name](options);
    return step === undefined ? [operation] : operation[step];
  });
}

/** The data source of the case's one migration; `onStatement` is told how many writing statements are done before each. */
function dataSourceOf(
  { url, username, operations, concurrent, lockTimeoutMs },
  onStatement = () => undefined,
) {
  class Killed1760000000001 extends (concurrent ? library.ConcurrentMigration : library.RlsMigration) {
    operations = operationsOf(operations);
  }
  const options = { type: 'postgres', url, migrations: [Killed1760000000001], logging: [] };
  const login = { username, password: 'test', lockTimeoutMs };
  const dataSource = new DataSource(library.migrationDataSourceOptions(options, login));
  const create = dataSource.createQueryRunner.bind(dataSource);
  let written = 0;
  dataSource.createQueryRunner = (mode) => {
    const queryRunner = create(mode);
    const query = queryRunner.query.bind(queryRunner);
    queryRunner.query = async (...statement) => {
      await Promise.resolve(onStatement(written));
      const result = await query(...statement);
      if (!READ.test(statement[0])) written += 1;
      return result;
    };
    return queryRunner;
  };
  return dataSource;
}

/**
 * With the library's runner, but for `down` without a lock timeout: that is done with TypeORM's own, which opens a
 * transaction whatever the migration says, and does not try again.
 */
async function migrate(way, aCase, onStatement) {
  const dataSource = await dataSourceOf(aCase, onStatement).initialize();
  try {
    const runner = new library.MigrationRunner(dataSource, { sleep: () => pause(20), retry: { tries: 500 } });
    if (way === 'up') await runner.run();
    else if (aCase.lockTimeoutMs !== undefined) await runner.revert();
    else await dataSource.undoLastMigration();
  } finally {
    await dataSource.destroy();
  }
}

/** Runs what the case begins with, and leaves a migrations table without a migration. */
async function prepare(aCase) {
  const dataSource = await dataSourceOf({ ...aCase, operations: [] }).initialize();
  try {
    const queryRunner = dataSource.createQueryRunner();
    for (const operation of operationsOf(aCase.before)) await operation.up(queryRunner);
    await queryRunner.release();
    await dataSource.runMigrations();
    await dataSource.undoLastMigration();
  } finally {
    await dataSource.destroy();
  }
}

async function snapshot({ superuserUrl, snapshotSql }) {
  const client = new pg.Client({ connectionString: superuserUrl });
  await client.connect();
  const { rows } = await client.query(snapshotSql);
  await client.end();
  return rows;
}

/** Resolves when the case is done, or has come to where the process shall be killed: then nothing of it goes on. */
async function work(aCase) {
  if (aCase.prepare) await prepare(aCase);
  if (aCase.finish) await migrate(aCase.finish, aCase);
  const rows = await snapshot(aCase);
  let killed = false;
  if (aCase.kill) {
    await new Promise((done, failed) => {
      const onStatement = (written) => {
        if (written < aCase.limit) return Promise.resolve();
        killed = true;
        done();
        return new Promise(() => undefined);
      };
      migrate(aCase.kill, aCase, onStatement).then(done, failed);
    });
  }
  return { name: aCase.name, snapshot: rows, killed };
}

async function workOnAll(cases) {
  const outcomes = await Promise.all(
    cases.map((aCase) => work(aCase).catch((error) => ({ name: aCase.name, error: String(error.stack) }))),
  );
  process.send(outcomes, () => process.kill(process.pid, 'SIGKILL'));
}

process.on('message', (cases) => void workOnAll(cases));
