import {
  Column,
  DataSource,
  Entity,
  Generated,
  JoinColumn,
  ManyToOne,
  PrimaryColumn,
  PrimaryGeneratedColumn,
  type MigrationInterface,
} from 'typeorm';
import {
  consolidate,
  consolidatedKeyTable,
  planConsolidation,
  verifyConsolidation,
  type ConsolidationOptions,
} from '../../libs/rls-tenants/src/consolidate/index.js';
import { backfillProgressTable, TenantColumn, TenantScoped } from '../../libs/rls-tenants/src/index.js';
import { RlsMigration } from '../../libs/rls-tenants/src/migrations/index.js';
import { createProtectedDatabase, type ProtectedDatabase } from '../support/protected-database.js';

@Entity()
@TenantScoped()
class Team {
  @PrimaryGeneratedColumn('identity', { generatedIdentity: 'ALWAYS' }) id!: number;
  @TenantColumn() tenantId!: number;
  @Column('text') name!: string;
  @Column({ type: 'enum', enum: ['red', 'green'], array: true }) colors!: string[];
  @ManyToOne('Person')
  @JoinColumn([
    { name: 'tenant_id', referencedColumnName: 'tenantId' },
    { name: 'lead', referencedColumnName: 'id' },
  ])
  lead!: object;
}

@Entity()
@TenantScoped()
class Person {
  @TenantColumn({ primary: true }) tenantId!: number;
  @PrimaryColumn('integer') @Generated('increment') id!: number;
  @ManyToOne(() => Team, { nullable: false }) team!: Team;
  @Column('bigint', { name: 'Shoe Size' }) shoeSize!: string;
  @Column('text', { default: 'unknown' }) origin!: string;
}

const SCHEMAS = { 'Acme & Sons': 7, globex: 8 };
const options: ConsolidationOptions = { mapping: { schemas: SCHEMAS }, renumber: true, batchSize: 2 };

let db: ProtectedDatabase;
let migrator: DataSource;

beforeAll(async () => {
  db = await createProtectedDatabase([Team, Person], 'integer');
  migrator = await new DataSource({
    type: 'postgres',
    url: db.url('migrator'),
    entities: [Team, Person],
  }).initialize();
  const settings = { tenantIdType: 'integer', appRole: db.roles.app, adminRole: db.roles.admin } as const;
  class Tables extends RlsMigration implements MigrationInterface {
    readonly operations = [backfillProgressTable(settings), consolidatedKeyTable(settings)];
  }
  await migrator.transaction((manager) => new Tables().up(manager.queryRunner!));
  await migrator.query('ALTER TABLE team ADD shout text GENERATED ALWAYS AS (upper(name)) STORED');
  for (const schema of Object.keys(SCHEMAS)) {
    await db.asSuperuser(`CREATE SCHEMA "${schema}";
      CREATE TYPE "${schema}".hue AS ENUM ('green', 'red');
      CREATE TABLE "${schema}".team (id int PRIMARY KEY GENERATED ALWAYS AS IDENTITY, name text NOT NULL,
        colors "${schema}".hue[] NOT NULL, lead int);
      CREATE TABLE "${schema}".person (id serial PRIMARY KEY, "teamId" int NOT NULL REFERENCES "${schema}".team, "Shoe Size" int NOT NULL);
      INSERT INTO "${schema}".team (name, colors) SELECT '${schema} ' || n, ARRAY['red', 'green']::"${schema}".hue[] FROM generate_series(1, 5) AS n;
      INSERT INTO "${schema}".person ("teamId", "Shoe Size") SELECT 1 + n % 5, 30 + n FROM generate_series(1, 9) AS n;
      UPDATE "${schema}".team SET lead = 10 - id WHERE id < 5;
      ALTER TABLE "${schema}".team ADD FOREIGN KEY (lead) REFERENCES "${schema}".person;
      GRANT USAGE ON SCHEMA "${schema}" TO ${db.roles.migrator};
      GRANT SELECT ON ALL TABLES IN SCHEMA "${schema}" TO ${db.roles.migrator}`);
  }
});
afterAll(async () => {
  await migrator.destroy();
  await db.drop();
});

const CONTENTS = `SELECT team.name, team.colors::text, lead.id AS lead, "leadTeam".name AS "leadTeam", lead."Shoe Size"::int AS size
FROM team LEFT JOIN person AS lead ON lead.id = team.lead LEFT JOIN team AS "leadTeam" ON "leadTeam".id = lead."teamId" ORDER BY 1`;

describe('two tables that refer to each other, identity, generated columns, arrays of enums, names that need quotes', () => {
  it('are planned: the cycle is broken where a column may be NULL', async () => {
    const { tables, problems, notes, sequences } = await planConsolidation(migrator, options);
    expect(problems).toEqual([]);
    expect(tables.map(({ scope, deferred, renumbered }) => [scope.table, deferred, renumbered])).toEqual([
      ['team', ['lead'], 'id'],
      ['person', [], undefined],
    ]);
    expect([...notes]).toEqual([
      ['column "origin" of table "person" is absent and gets its default', ['Acme & Sons', 'globex']],
    ]);
    expect(sequences).toEqual([{ sequence: 'public.person_id_seq', last: 0n, needed: 9n }]);
  });

  it('are copied, with the same contents for each tenant and for nobody else', async () => {
    const { verified, rows } = await consolidate(migrator, options);
    expect(rows).toBe(28);
    expect(verified!.filter(({ same }) => !same)).toEqual([]);
    for (const [schema, tenantId] of Object.entries(SCHEMAS)) {
      const old = await db.asSuperuser(`SET search_path TO "${schema}"; ${CONTENTS}`);
      expect(old.filter(({ leadTeam }) => leadTeam !== null)).toHaveLength(4);
      expect(await db.as('app', `SET rls.current_tenant TO ${tenantId}; ${CONTENTS}`)).toEqual(old);
    }
    expect(await db.as('app', CONTENTS)).toEqual([]);
    const [row] = await db.as(
      'app',
      `SET rls.current_tenant TO 7; SELECT count(*)::int AS n, min(origin) AS origin, min(shout) AS shout FROM person, team`,
    );
    expect(row).toEqual({ n: 45, origin: 'unknown', shout: 'ACME & SONS 1' });
  });

  it('keys that include the tenant stay, and new ones come after them', async () => {
    const [row] = await db.as(
      'app',
      `SET rls.current_tenant TO 8; INSERT INTO person ("teamId", "Shoe Size") SELECT id, 40 FROM team LIMIT 1 RETURNING id`,
    );
    expect(row).toEqual({ id: 10 });
    const { verified } = await verifyConsolidation(migrator, options);
    expect(verified!.filter(({ same }) => !same)).toMatchObject([
      { schema: 'globex', tenantId: '8', table: 'person', oldRows: 9, newRows: 10 },
    ]);
  });

  it('are not consolidated through an isolated data source', async () => {
    await expect(planConsolidation(await db.isolated(), options)).rejects.toThrow(
      'The data source is isolated',
    );
  });
});
