import 'reflect-metadata';
import {
  Column,
  DataSource,
  Entity,
  JoinTable,
  ManyToMany,
  ManyToOne,
  PrimaryGeneratedColumn,
  type DataSourceOptions,
  type QueryRunner,
} from 'typeorm';
import { createTestDatabase, SERVER_VERSION, type TestDatabase } from '../support/database.js';
import { TenantColumn, TenantScoped } from '../../libs/rls-tenants/src/entities/index.js';
import {
  compositeForeignKey,
  compositeUnique,
  migrationDataSourceOptions,
  protectJoinTable,
  protectTable,
  RlsMigration,
  runSql,
  type RlsOperation,
} from '../../libs/rls-tenants/src/migrations/index.js';
import { catalogSnapshot } from './catalog-snapshot.js';

const A = '00000000-0000-4000-8000-00000000000a';
const B = '00000000-0000-4000-8000-00000000000b';

/** Before PostgreSQL 15 a composite key with SET NULL is refused, for it would set the tenant column too. */
const ON_DELETE = SERVER_VERSION >= 150000 ? 'SET NULL' : 'CASCADE';

let db: TestDatabase;
let opened: DataSource[] = [];

beforeEach(async () => {
  // TypeORM prints the error of a failing migration, whatever `logging` says.
  jest.spyOn(console, 'log').mockImplementation(() => undefined);
  db = await createTestDatabase();
});
afterEach(async () => {
  jest.restoreAllMocks();
  await Promise.all(opened.map((dataSource) => dataSource.destroy()));
  opened = [];
  await db.drop();
});

/** The application's data source, turned into the one that runs migrations. */
async function migrationDataSource(overrides: Partial<DataSourceOptions>): Promise<DataSource> {
  const application = { type: 'postgres', url: db.url('app'), ...overrides } as DataSourceOptions;
  const credentials = { username: db.roles.migrator, password: 'test' };
  const dataSource = await new DataSource(migrationDataSourceOptions(application, credentials)).initialize();
  opened.push(dataSource);
  return dataSource;
}

/** An operation that writes down when it ran, and whether in a transaction. */
function noted(log: string[], name: string): RlsOperation {
  const note = (way: string) => (queryRunner: QueryRunner) => {
    log.push(`${way} ${name}${queryRunner.isTransactionActive ? '' : ' without a transaction'}`);
    return Promise.resolve();
  };
  return { description: name, up: note('up'), down: note('down') };
}

describe('RlsMigration', () => {
  it('runs its operations in order, and undoes them in reverse, in the runner’s transaction', async () => {
    const log: string[] = [];
    class Ordered1760000000001 extends RlsMigration {
      readonly operations = ['first', 'second', 'third'].map((name) => noted(log, name));
    }
    const dataSource = await migrationDataSource({ migrations: [Ordered1760000000001] });
    const [ran] = await dataSource.runMigrations();
    expect(ran?.name).toBe('Ordered1760000000001');
    await dataSource.undoLastMigration();
    expect(log).toEqual(['up first', 'up second', 'up third', 'down third', 'down second', 'down first']);
  });

  it('keeps a `name` and `transaction` of its own', async () => {
    const log: string[] = [];
    class Named extends RlsMigration {
      readonly name = 'Renamed1760000000002';
      readonly transaction = false;
      readonly operations = [noted(log, 'only')];
    }
    const dataSource = await migrationDataSource({ migrations: [Named] });
    const [ran] = await dataSource.runMigrations();
    expect(ran?.name).toBe('Renamed1760000000002');
    expect(log).toEqual(['up only without a transaction']);
  });

  it('leaves nothing of a migration whose last operation fails', async () => {
    class Failing1760000000003 extends RlsMigration {
      readonly operations = [
        runSql('CREATE TABLE note (id int, tenant_id uuid NOT NULL)', 'DROP TABLE note'),
        protectTable({
          table: 'note',
          tenantIdType: 'uuid',
          adminRole: db.roles.admin,
          appRole: db.roles.app,
        }),
        runSql('SELECT 1/0', ''),
      ];
    }
    const dataSource = await migrationDataSource({ migrations: [Failing1760000000003] });
    await expect(dataSource.runMigrations()).rejects.toMatchObject({ code: '22012' });
    expect(await db.asSuperuser(`SELECT * FROM pg_tables WHERE tablename = 'note'`)).toEqual([]);
  });

  it('leaves nothing of an operation that fails half-way without the runner’s transaction', async () => {
    await db.as('migrator', `CREATE TABLE note (id int, tenant_id uuid NOT NULL DEFAULT '${A}')`);
    const before = await catalogSnapshot(db);
    class Half1760000000004 extends RlsMigration {
      readonly transaction = false;
      readonly operations = [
        protectTable({
          table: 'note',
          tenantIdType: 'uuid',
          adminRole: db.roles.admin,
          appRole: db.roles.app,
        }),
      ];
    }
    const dataSource = await migrationDataSource({ migrations: [Half1760000000004] });
    await expect(dataSource.runMigrations()).rejects.toThrow('has another default');
    const after = await catalogSnapshot(db);
    expect(after.policies).toEqual(before.policies);
    expect(after.relations?.filter((row) => row.includes('"note"'))).toEqual(
      before.relations?.filter((row) => row.includes('"note"')),
    );
  });
});

describe('a schema that TypeORM made before it was protected', () => {
  // The same tables without and with tenants: what `migration:generate` wrote first, and what the entities say now.
  @Entity('Label')
  class PlainLabel {
    @PrimaryGeneratedColumn() id!: number;
    @Column('uuid', { name: 'tenant_id' }) tenantId!: string;
  }
  @Entity('task')
  class PlainTask {
    @PrimaryGeneratedColumn() id!: number;
    @Column('uuid', { name: 'tenant_id' }) tenantId!: string;
    @ManyToOne(() => PlainTask, { nullable: true, onDelete: ON_DELETE }) parent!: PlainTask | null;
    @ManyToMany(() => PlainLabel) @JoinTable({ name: 'task_label' }) labels!: PlainLabel[];
  }

  @TenantScoped()
  @Entity('Label')
  class Label {
    @PrimaryGeneratedColumn() id!: number;
    @TenantColumn() tenantId!: string;
  }
  @TenantScoped()
  @Entity('task')
  class Task {
    @PrimaryGeneratedColumn() id!: number;
    @TenantColumn() tenantId!: string;
    @ManyToOne(() => Task, { nullable: true, onDelete: ON_DELETE }) parent!: Task | null;
    @ManyToMany(() => Label) @JoinTable({ name: 'task_label' }) labels!: Label[];
  }

  const createPlainSchema = async () => {
    const plain = new DataSource({
      type: 'postgres',
      url: db.url('migrator'),
      entities: [PlainLabel, PlainTask],
    });
    opened.push(await plain.initialize());
    const { upQueries } = await plain.driver.createSchemaBuilder().log();
    for (const { query, parameters } of upQueries) await plain.query(query, parameters);
    await db.asSuperuser(
      `INSERT INTO "Label" (tenant_id) VALUES ('${A}'), ('${B}');
       INSERT INTO task (tenant_id) VALUES ('${A}'), ('${B}');
       INSERT INTO task_label VALUES (1, 1), (2, 2)`,
    );
  };

  const tenantMigration = () => {
    const settings = { tenantIdType: 'uuid', adminRole: db.roles.admin, appRole: db.roles.app } as const;
    return class ProtectTasks1760000000005 extends RlsMigration {
      readonly operations = [
        compositeUnique({ table: 'Label', columns: ['id'] }),
        compositeUnique({ table: 'task', columns: ['id'] }),
        protectTable({ table: 'Label', ...settings }),
        protectTable({ table: 'task', ...settings }),
        compositeForeignKey({
          table: 'task',
          columns: [{ column: 'parentId', referencedColumn: 'id' }],
          referencedTable: 'task',
          onDelete: ON_DELETE,
          replaces: true,
        }),
        protectJoinTable({
          joinTable: 'task_label',
          ...settings,
          sides: [
            { table: 'task', columns: [{ column: 'taskId', referencedColumn: 'id' }] },
            { table: 'Label', columns: [{ column: 'labelId', referencedColumn: 'id' }] },
          ],
        }),
      ];
    };
  };

  it('is isolated by one migration, after which migration:generate sees no difference', async () => {
    await createPlainSchema();
    const dataSource = await migrationDataSource({
      entities: [Label, Task],
      migrations: [tenantMigration()],
    });
    await dataSource.runMigrations();

    const { upQueries } = await dataSource.driver.createSchemaBuilder().log();
    expect(upQueries.map(({ query }) => query)).toEqual([]);
    const rows = await db.as(
      'app',
      `SELECT set_config('rls.current_tenant', '${A}', true); SELECT * FROM task_label`,
    );
    expect(rows).toEqual([{ taskId: 1, labelId: 1, tenant_id: A }]);
    expect(await db.asSuperuser('SELECT * FROM task_label')).toHaveLength(2);
  });

  it('is as it was after the migration is reverted, and can be migrated again', async () => {
    await createPlainSchema();
    const dataSource = await migrationDataSource({
      entities: [Label, Task],
      migrations: [tenantMigration()],
    });
    const relevant = async () => {
      const { relations, columns, constraints, indexes, ...rest } = await catalogSnapshot(db);
      const others = (lines: string[] = []) => lines.filter((line) => !line.includes('migrations'));
      return [relations, columns, constraints, indexes].map(others).concat(Object.values(rest));
    };
    const before = await relevant();
    await dataSource.runMigrations();
    const after = await relevant();
    await dataSource.undoLastMigration();
    expect(await relevant()).toEqual(before);
    await dataSource.runMigrations();
    expect(await relevant()).toEqual(after);
  });
});
