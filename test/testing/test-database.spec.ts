import { randomUUID } from 'node:crypto';
import { Test } from '@nestjs/testing';
import { TypeOrmModule } from '@nestjs/typeorm';
import pg from 'pg';
import { Column, DataSource, Entity, PrimaryGeneratedColumn, type MigrationInterface } from 'typeorm';
import type { QueryRunner } from 'typeorm';
import { verifyIsolation } from '../../libs/rls-tenants/src/audit/index.js';
import { TenantColumn, TenantScoped } from '../../libs/rls-tenants/src/entities/index.js';
import { RlsConfigurationError } from '../../libs/rls-tenants/src/errors.js';
import { fromUser, RlsTenantsModule } from '../../libs/rls-tenants/src/index.js';
import { protectTable, RlsMigration } from '../../libs/rls-tenants/src/migrations/index.js';
import {
  asAdmin,
  asTenant,
  expectIsolated,
  type TestDatabase,
} from '../../libs/rls-tenants/src/testing/index.js';
import { A, B } from '../support/notes.js';
import { SHOP } from './support/entities.js';
import { KIT_ROLES, kitDatabase } from './support/kit-database.js';
import { Note, NOTES } from './support/notes.js';

@Entity()
@TenantScoped()
class Memo {
  @PrimaryGeneratedColumn() id!: number;
  @TenantColumn() tenantId!: string;
  @Column({ type: 'text' }) text!: string;
}

let created = 0;

class CreateMemo1764000000000 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    created++;
    await queryRunner.query(
      'CREATE TABLE memo (id serial PRIMARY KEY, tenant_id uuid NOT NULL, text text NOT NULL)',
    );
  }
  async down(): Promise<void> {}
}

class ProtectMemo1764000000001 extends RlsMigration {
  readonly operations = [protectTable({ table: 'memo', tenantIdType: 'uuid', ...KIT_ROLES })];
}

class FailingMigration1764000000002 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('SELECT no_such_function()');
  }
  async down(): Promise<void> {}
}

const MIGRATIONS = [CreateMemo1764000000000, ProtectMemo1764000000001];

describe('createTestDatabase()', () => {
  const databases: TestDatabase[] = [];

  async function make(...args: Parameters<typeof kitDatabase>): Promise<TestDatabase> {
    const database = await kitDatabase(...args);
    databases.push(database);
    return database;
  }

  async function query<Row extends pg.QueryResultRow>(url: string, sql: string): Promise<Row[]> {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try {
      return (await client.query<Row>(sql)).rows;
    } finally {
      await client.end();
    }
  }

  /** Of this process: the server is shared with other suites. */
  async function databaseNames(): Promise<string[]> {
    const rows = await query<{ name: string }>(
      process.env.TEST_DATABASE_URL!,
      "SELECT datname::text AS name FROM pg_database WHERE datname LIKE 'rls_test_%'",
    );
    const run = process.env.RLS_TEST_RUN;
    return rows.map(({ name }) => name).filter((name) => run !== undefined && name.includes(run));
  }

  afterAll(async () => {
    await Promise.all(databases.map((database) => database.destroy()));
  });

  it.each([
    ['entities', () => make(SHOP)],
    ['migrations', () => make([Memo], { dataSource: { entities: [Memo], migrations: MIGRATIONS } })],
  ])('makes a database from %s that the application would start on', async (_from, database) => {
    const { dataSource } = await database();
    expect(await verifyIsolation(dataSource, { adminRole: KIT_ROLES.adminRole })).toEqual([]);
    expect(await dataSource.query('SELECT current_user AS login')).toEqual([{ login: KIT_ROLES.appRole }]);
  });

  it('has what migrations make, nothing of the entities', async () => {
    @Entity({ name: 'memo' })
    @TenantScoped()
    class LongMemo extends Memo {
      @Column({ type: 'text', nullable: true }) more!: string | null;
    }
    const { dataSource } = await make([LongMemo], {
      dataSource: { entities: [LongMemo], migrations: MIGRATIONS },
    });
    await expect(asTenant(A, () => dataSource.getRepository(LongMemo).find())).rejects.toThrow(
      'column LongMemo.more does not exist',
    );
  });

  it('runs migrations once for all databases that have them, whose rows are their own', async () => {
    const options = { dataSource: { entities: [Memo], migrations: MIGRATIONS } };
    const one = await make([Memo], options);
    const before = created;
    const [two, three] = await Promise.all([make([Memo], options), make([Memo], options)]);
    expect(created).toBe(before);
    expect(new Set([one.name, two.name, three.name]).size).toBe(3);

    await asTenant(A, () => one.dataSource.getRepository(Memo).insert({ text: 'one' }));
    expect(await asAdmin(() => one.dataSource.getRepository(Memo).count())).toBe(1);
    for (const { dataSource } of [two, three])
      expect(await asAdmin(() => dataSource.getRepository(Memo).count())).toBe(0);
    expect(await asTenant(B, () => one.dataSource.getRepository(Memo).count())).toBe(0);
  });

  it('makes another schema where entities of the same name differ', async () => {
    const variant = (length: number) => {
      @Entity({ name: 'word' })
      class Word {
        @PrimaryGeneratedColumn() id!: number;
        @Column({ type: 'varchar', length }) text!: string;
      }
      return Word;
    };
    for (const length of [10, 20]) {
      const { dataSource } = await make([variant(length)]);
      const rows = await dataSource.query(
        "SELECT character_maximum_length AS length FROM information_schema.columns WHERE table_name = 'word' AND column_name = 'text'",
      );
      expect(rows).toEqual([{ length }]);
    }
  });

  it('keeps the privileges on the database in copies', async () => {
    const [first, copy] = [await make(NOTES), await make(NOTES)];
    for (const { url } of [first, copy]) {
      await expect(query(url('app'), 'CREATE TEMPORARY TABLE t ()')).rejects.toThrow('permission denied');
      await expect(query(url('app'), 'CREATE TABLE t ()')).rejects.toThrow('permission denied');
      await query(url('migration'), 'CREATE TABLE t ()');
    }
  });

  it('serves a Nest application', async () => {
    const database = await make(NOTES);
    const module = await Test.createTestingModule({
      imports: [
        TypeOrmModule.forRoot({ type: 'postgres', url: database.url('app'), entities: NOTES }),
        RlsTenantsModule.forRoot({
          tenantIdType: 'uuid',
          adminRole: KIT_ROLES.adminRole,
          resolveTenant: fromUser((user: { tenantId: string }) => user.tenantId),
        }),
      ],
    }).compile();
    try {
      const attacks = await expectIsolated(Note, { dataSource: module.get(DataSource) });
      expect(attacks).toContain('reads the row with raw SQL');
    } finally {
      await module.close();
    }
  });

  it('drops the database when it is destroyed, twice if need be', async () => {
    const database = await kitDatabase(NOTES);
    expect(await databaseNames()).toContain(database.name);
    await database.destroy();
    await database.destroy();
    expect(await databaseNames()).not.toContain(database.name);
    expect(database.dataSource.isInitialized).toBe(false);
  });

  it('leaves no database behind where a migration fails', async () => {
    const before = await databaseNames();
    const migrations = [...MIGRATIONS, FailingMigration1764000000002];
    await expect(kitDatabase([Memo], { dataSource: { entities: [Memo], migrations } })).rejects.toThrow(
      'no_such_function',
    );
    expect(await databaseNames()).toEqual(before);
    expect(before.length).toBeGreaterThan(0);
  });

  it.each([{ synchronize: true }, { dropSchema: true }, { migrationsRun: true }])(
    'refuses %p before it makes anything',
    async (option) => {
      const before = await databaseNames();
      await expect(kitDatabase([Memo], { dataSource: { entities: [Memo], ...option } })).rejects.toThrow(
        RlsConfigurationError,
      );
      expect(await databaseNames()).toEqual(before);
    },
  );

  it('hands the isolation options on', async () => {
    const { dataSource } = await make(NOTES, { onMissingTenant: 'empty' });
    await asTenant(randomUUID(), () => dataSource.query('INSERT INTO folder DEFAULT VALUES'));
    expect(await dataSource.query('SELECT FROM folder')).toEqual([]);
  });
});
