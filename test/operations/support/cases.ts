import { SERVER_VERSION, type TestDatabase } from '../../support/database.js';
import { A, B, setTenant } from './suite.js';

/** An operation by its name in `nestjs-rls-tenants/migrations`, its options, and which of its steps if it has several. */
export type OperationSpec = readonly [name: string, options: object, step?: string];

/** One operation, on {@link SCHEMA}, with what readers and writers do meanwhile. */
export interface OperationCase {
  readonly name: string;
  /** Whether it is for a ConcurrentMigration. */
  readonly concurrent: boolean;
  /** What comes before it, as the migration role. */
  readonly before: readonly OperationSpec[];
  readonly operations: readonly OperationSpec[];
  /** What the app role does in a tenant's context, which works before, during and after it, up and down. */
  readonly read: string;
  readonly write: string;
}

/**
 * Two tenants' projects, tasks and tags, a join table, a table partitioned on two levels, and a table without a tenant
 * column, all in use by the app role.
 */
export function schemaSql(db: TestDatabase): string {
  return `
    CREATE TABLE project (id serial PRIMARY KEY, tenant_id uuid NOT NULL, name text, UNIQUE (tenant_id, id));
    CREATE TABLE task (id serial PRIMARY KEY, tenant_id uuid NOT NULL, project_id int
      CONSTRAINT task_project REFERENCES project ON DELETE ${onDelete()}, code text);
    CREATE INDEX task_code ON task (code);
    CREATE TABLE tag (id serial PRIMARY KEY, tenant_id uuid NOT NULL, UNIQUE (tenant_id, id));
    CREATE TABLE project_tag (project_id int CONSTRAINT to_project REFERENCES project ON DELETE CASCADE ON UPDATE CASCADE,
      tag_id int CONSTRAINT to_tag REFERENCES tag ON DELETE CASCADE ON UPDATE CASCADE, PRIMARY KEY (project_id, tag_id));
    CREATE TABLE plain (id serial PRIMARY KEY, project_id int CONSTRAINT plain_project REFERENCES project, title text);
    CREATE TABLE event (tenant_id uuid NOT NULL, day int NOT NULL, kind text) PARTITION BY RANGE (day);
    CREATE TABLE event_2 PARTITION OF event FOR VALUES FROM (10) TO (30) PARTITION BY RANGE (day);
    CREATE TABLE event_2_1 PARTITION OF event_2 FOR VALUES FROM (10) TO (20);
    INSERT INTO project (tenant_id, name) VALUES ('${A}', 'a'), ('${B}', 'b');
    INSERT INTO tag (tenant_id) VALUES ('${A}'), ('${B}');
    INSERT INTO project_tag VALUES (1, 1), (2, 2);
    INSERT INTO task (tenant_id, project_id, code) SELECT '${A}', 1, n::text FROM generate_series(1, 200) AS n;
    INSERT INTO task (tenant_id, project_id, code) SELECT '${B}', 2, n::text FROM generate_series(1, 200) AS n;
    INSERT INTO plain (project_id, title) SELECT 1 + n % 2, n::text FROM generate_series(1, 200) AS n;
    INSERT INTO event SELECT '${A}', 10 + n % 10, n::text FROM generate_series(1, 200) AS n;
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO ${db.roles.app};
    GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO ${db.roles.app};
    CREATE TABLE fresh (id serial PRIMARY KEY, tenant_id uuid NOT NULL DEFAULT '${A}')`;
}

/** Before PostgreSQL 15 a composite key with SET NULL is refused, for it would set the tenant column too. */
function onDelete(): 'SET NULL' | 'CASCADE' {
  return SERVER_VERSION >= 150000 ? 'SET NULL' : 'CASCADE';
}

const BOTH_SETTINGS = `${setTenant(A)} SELECT set_config('acme.tenant', '${A}', true); `;

/** A policy that somebody wrote before the library. */
const FORMER = `CASE WHEN current_setting('acme.is_admin', true) = 'true' THEN true
  ELSE tenant_id = NULLIF(current_setting('acme.tenant', true), '')::uuid END`;

const TASKS = {
  read: `${BOTH_SETTINGS} SELECT count(*) FROM task`,
  write: `${BOTH_SETTINGS} INSERT INTO task (tenant_id, project_id, code) VALUES ('${A}', 1, gen_random_uuid()::text)`,
};
const PROJECTS = {
  read: `${BOTH_SETTINGS} SELECT count(*) FROM project`,
  write: `${BOTH_SETTINGS} INSERT INTO project (tenant_id, name) VALUES ('${A}', 'new')`,
};
const EVENTS = {
  read: `${setTenant(A)} SELECT count(*) FROM event`,
  write: `${setTenant(A)} INSERT INTO event VALUES ('${A}', 15, 'new')`,
};
const PLAIN = {
  read: `${setTenant(A)} SELECT count(*) FROM plain`,
  write: `${setTenant(A)} INSERT INTO plain (project_id, title) VALUES (1, 'new')`,
};
const LINKS = {
  read: `${setTenant(A)} SELECT count(*) FROM project_tag`,
  write: `${setTenant(A)} UPDATE project_tag SET tag_id = 1 WHERE project_id = 1`,
};

/** Every operation that changes tables in use. */
export function operationCases(db: TestDatabase): OperationCase[] {
  const roles = { tenantIdType: 'uuid', adminRole: db.roles.admin, appRole: db.roles.app };
  const byCode = { table: 'task', columns: ['tenant_id', 'code'], name: 'task_by_code' };
  const byKind = { table: 'event', columns: ['tenant_id', 'kind'], name: 'event_kind' };
  const toProject = {
    table: 'task',
    columns: [{ column: 'project_id', referencedColumn: 'id' }],
    referencedTable: 'project',
    replaces: 'task_project',
    onDelete: onDelete(),
  };
  const uid = { table: 'task', column: 'uid', type: 'uuid', default: 'gen_random_uuid()' };
  const sides = [
    {
      table: 'project',
      columns: [{ column: 'project_id', referencedColumn: 'id' }],
      replaces: 'to_project',
      replacesIndex: false,
    },
    {
      table: 'tag',
      columns: [{ column: 'tag_id', referencedColumn: 'id' }],
      replaces: 'to_tag',
      replacesIndex: false,
    },
  ];
  const existing = {
    ...roles,
    table: 'plain',
    foreignKeys: [{ ...toProject, table: undefined, replaces: 'plain_project', onDelete: undefined }],
    indexes: [['project_id']],
  };
  const fillPlain: OperationSpec = [
    'runSql',
    {
      up: 'UPDATE plain SET tenant_id = project.tenant_id FROM project WHERE project.id = project_id',
      down: 'UPDATE plain SET tenant_id = NULL',
    },
  ];
  const steps = ['addColumn', 'constrain', 'connect', 'index', 'protect'];
  const existingSteps = steps.map((step): OperationSpec => ['protectExistingTable', existing, step]);
  const [addColumn, ...later] = existingSteps as [OperationSpec, ...OperationSpec[]];
  const stepsBefore = (step: string) =>
    step === 'addColumn' ? [] : [addColumn, fillPlain, ...later.slice(0, steps.indexOf(step) - 1)];

  const live = (name: string, operation: OperationSpec, traffic = TASKS, before: OperationSpec[] = []) => ({
    name,
    concurrent: true,
    before,
    operations: [operation],
    ...traffic,
  });
  const whole = (...values: Parameters<typeof live>) => ({ ...live(...values), concurrent: false });

  return [
    live('concurrentIndex', ['concurrentIndex', { ...byCode, unique: true }]),
    live('partitionedIndex', ['partitionedIndex', byKind], EVENTS),
    live('partitionIndexes', ['partitionIndexes', byKind], EVENTS),
    // Its `down` takes the partitions' indexes with it, so it makes them itself here.
    live('parentIndex', ['parentIndex', byKind], EVENTS),
    live('uniqueConstraint', ['uniqueConstraint', { table: 'task', columns: ['tenant_id', 'code'] }]),
    whole('uniqueColumn, its column', ['uniqueColumn', uid, 'add']),
    live('uniqueColumn, its constraint', ['uniqueColumn', uid, 'constrain'], TASKS, [
      ['uniqueColumn', uid, 'add'],
      ['runSql', { up: 'UPDATE task SET uid = gen_random_uuid()', down: 'SELECT 1' }],
    ]),
    live('addNullableColumn without a transaction', ['addNullableColumn', uid]),
    live('notNull', ['notNull', { table: 'task', column: 'code' }]),
    live('checkConstraint', [
      'checkConstraint',
      { table: 'task', name: 'short', expression: 'length(code) < 50' },
    ]),
    live('validatedForeignKey', ['validatedForeignKey', toProject]),
    whole(
      'protectedPartition',
      ['protectedPartition', { ...roles, parent: 'event', name: 'event_3', bound: { from: [30], to: [40] } }],
      EVENTS,
      [['protectTable', { ...roles, table: 'event' }]],
    ),
    ...steps.map((step, index) => {
      const name = `protectExistingTable, its step ${step}`;
      const values = [name, existingSteps[index]!, PLAIN, stepsBefore(step)] as const;
      return step === 'addColumn' || step === 'protect' ? whole(...values) : live(...values);
    }),
    whole('protectTable', ['protectTable', { ...roles, table: 'project' }], PROJECTS),
    whole('protectJoinTable', ['protectJoinTable', { ...roles, joinTable: 'project_tag', sides }], LINKS, [
      ['protectTable', { ...roles, table: 'project' }],
      ['protectTable', { ...roles, table: 'tag' }],
    ]),
    whole(
      'alterTenantPolicy',
      [
        'alterTenantPolicy',
        { table: 'task', tenantIdType: 'uuid', from: 'rls.current_tenant', to: 'acme.tenant' },
      ],
      TASKS,
      [['protectTable', { ...roles, table: 'task' }]],
    ),
    whole(
      'alterTenantPolicy, of a policy of another shape',
      [
        'alterTenantPolicy',
        { table: 'task', tenantIdType: 'uuid', from: { name: 'former', using: FORMER }, to: 'acme.tenant' },
      ],
      TASKS,
      [
        [
          'runSql',
          {
            up: `ALTER TABLE task ENABLE ROW LEVEL SECURITY; CREATE POLICY former ON task USING (${FORMER}) WITH CHECK (${FORMER})`,
            down: 'SELECT 1',
          },
        ],
      ],
    ),
    whole('tenantIndex', ['tenantIndex', { table: 'task', columns: ['code'], replaces: 'task_code' }]),
    whole(
      'addTenantColumn',
      ['addTenantColumn', { table: 'plain', tenantIdType: 'uuid', fill: { from: sides[0] } }],
      PLAIN,
    ),
    whole('compositeForeignKey', ['compositeForeignKey', toProject]),
    whole('compositeUnique', ['compositeUnique', { table: 'task', columns: ['id'] }]),
    whole('grantTable', ['grantTable', { table: 'fresh', role: db.roles.app }]),
    whole(
      'withRlsDisabled',
      [
        'withRlsDisabled',
        {
          table: 'task',
          up: `UPDATE task SET code = 'up ' || code`,
          down: `UPDATE task SET code = substr(code, 4)`,
        },
      ],
      TASKS,
      [['protectTable', { ...roles, table: 'task' }]],
    ),
  ];
}
