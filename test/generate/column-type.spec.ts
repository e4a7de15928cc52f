import { loadModule } from 'libpg-query';
import { addedColumn, changesInPlace } from '../../libs/rls-tenants/src/generate/column.js';
import { parseStatement } from '../../libs/rls-tenants/src/generate/statement.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

/** Changes that are made in place, and some that look like it and write the table anew. */
const CHANGES: [from: string, to: string, inPlace: boolean][] = [
  ['character varying(50)', 'character varying(60)', true],
  ['character varying(50)', 'character varying', true],
  ['character varying(50)', 'text', true],
  ['character varying', 'text', true],
  ['text', 'character varying', true],
  ['bit varying(3)', 'bit varying(5)', true],
  ['numeric(8,2)', 'numeric(12,2)', true],
  ['numeric(8,2)', 'numeric', true],
  ['timestamp(3)', 'timestamp(6)', true],
  ['timestamptz(3)', 'timestamptz', true],
  ['time(0)', 'time(3)', true],
  ['cidr', 'inet', true],
  ['character varying(50)', 'character varying(40)', false],
  ['text', 'character varying(40)', false],
  ['character varying', 'character varying(40)', false],
  ['character(5)', 'character(6)', false],
  ['character(5)', 'text', false],
  ['numeric(8,2)', 'numeric(12,3)', false],
  ['numeric', 'numeric(12,3)', false],
  ['timestamp(6)', 'timestamp(3)', false],
  ['timestamp', 'date', false],
  ['integer', 'bigint', false],
  ['character varying(5)[]', 'character varying(6)[]', false],
  ['json', 'jsonb', false],
];

describe('a change of a type', () => {
  let db: TestDatabase;

  beforeAll(async () => {
    await loadModule();
    db = await createTestDatabase();
  });
  afterAll(() => db.drop());

  function inPlace(from: string, to: string): boolean {
    const [one, other] = [from, to].map(
      (type) => addedColumn(parseStatement(`ALTER TABLE "t" ADD "c" ${type} NOT NULL DEFAULT 1`))!.type,
    );
    return changesInPlace(one!, other!);
  }

  /** Where the rows and the index of the table are stored: other files, if they were written anew. */
  async function files(): Promise<unknown> {
    return db.as(
      'migrator',
      `SELECT relname, relfilenode FROM pg_class WHERE relname IN ('t', 't_c') ORDER BY 1`,
    );
  }

  it.each(CHANGES)(
    'from %s to %s is made in place: %s, as PostgreSQL does it',
    async (from, to, expected) => {
      const index = from === 'json' ? '' : 'CREATE INDEX t_c ON t (c);';
      await db.as(
        'migrator',
        `DROP TABLE IF EXISTS t; CREATE TABLE t (c ${from}); ${index} INSERT INTO t VALUES (NULL)`,
      );
      const before = await files();
      await db.as('migrator', `ALTER TABLE t ALTER COLUMN c TYPE ${to} USING c::${to}`);
      const stayed = JSON.stringify(await files()) === JSON.stringify(before);
      expect({ told: inPlace(from, to), stayed }).toEqual({ told: expected, stayed: expected });
    },
  );
});
