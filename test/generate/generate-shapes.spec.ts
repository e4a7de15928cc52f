import {
  Column,
  Entity,
  Index,
  JoinColumn,
  ManyToOne,
  PrimaryColumn,
  PrimaryGeneratedColumn,
  ViewColumn,
  ViewEntity,
} from 'typeorm';
import { TenantColumn, TenantScoped } from '../../libs/rls-tenants/src/entities/index.js';
import { protectTableSql } from '../../libs/rls-tenants/src/policies/index.js';
import { workEntities } from '../entities/support/work-entities.js';
import { SERVER_VERSION } from '../support/database.js';
import { createProject, type Project } from './generate-support.js';

// A list of columns in ON DELETE SET NULL, and security_invoker.
const since15 = SERVER_VERSION >= 150000 ? describe : describe.skip;

let project: Project;

beforeEach(async () => {
  project = await createProject();
});
afterEach(() => project.drop());

since15('generated migrations settle', () => {
  it.each(['bigint', 'text'] as const)('with %s tenants', async (tenantIdType) => {
    const entities = Object.values(workEntities(tenantIdType));
    await project.generate(entities);
    await project.migrate();
    expect(await project.failures(entities)).toEqual([]);
    expect(await project.generate(entities)).toMatchObject({ code: 0, files: [] });
  });

  it('with a view, a generated column, and a tenant column in the primary key under another name', async () => {
    @Entity('order_line')
    @TenantScoped()
    class OrderLine {
      @TenantColumn({ name: 'tenant', primary: true }) tenant!: string;
      @PrimaryColumn('int') no!: number;
      @Column('int') price!: number;
      @Column({ type: 'int', generatedType: 'STORED', asExpression: 'price * 2' }) twice!: number;
    }
    @ViewEntity('order_sum', {
      expression: `SELECT tenant, sum(price) AS total, '$1 it''s' AS note FROM order_line GROUP BY tenant`,
    })
    class OrderSum {
      @ViewColumn() tenant!: string;
      @ViewColumn() total!: number;
    }
    const entities = [OrderLine, OrderSum];
    const { stderr } = await project.generate(entities);
    expect(stderr).toMatch(/security_invoker = true/);
    await project.migrate();
    expect(await project.failures(entities)).toEqual([]);
    expect(await project.generate(entities)).toMatchObject({ code: 0, files: [] });
  });
});

describe('a partitioned table that was made by hand', () => {
  it('is protected, and its index comes in two files', async () => {
    @Entity('event')
    @TenantScoped()
    @Index(['tenantId', 'kind'])
    class Event {
      @TenantColumn({ primary: true }) tenantId!: string;
      @PrimaryColumn('int') id!: number;
      @Column('text') kind!: string;
    }
    await project.as(
      'migrator',
      `CREATE TABLE event (tenant_id uuid NOT NULL, id int NOT NULL, kind text NOT NULL, PRIMARY KEY (tenant_id, id))
         PARTITION BY HASH (tenant_id);
       CREATE TABLE event_0 PARTITION OF event FOR VALUES WITH (MODULUS 1, REMAINDER 0);
       ${protectTableSql({ table: 'event_0', tenantIdType: 'uuid', adminRole: project.roles.admin }).join(';')}`,
    );
    const { code, stderr, files } = await project.generate([Event]);
    expect(code).toBe(0);
    expect(stderr).not.toMatch(/event_0/);
    expect(files.map((file) => file.replace(/^\d+-my-change-/, ''))).toEqual([
      'alter-event.ts',
      'event-index-partitions.ts',
      'event-index-parent.ts',
    ]);
    expect(await project.lintErrors()).toEqual([]);
    await project.migrate();
    expect(await project.failures([Event])).toEqual([]);
    expect(await project.generate([Event])).toMatchObject({ code: 0, files: [] });
  });
});

since15('what is dropped', () => {
  it('comes back as it was when its migration is reverted', async () => {
    const definition = async () => {
      const rows = await project.asSuperuser<{ definition: string }>(
        `SELECT pg_get_constraintdef(oid) AS definition FROM pg_constraint WHERE conrelid = 'task'::regclass AND contype = 'f'
         UNION ALL SELECT indexdef FROM pg_indexes WHERE tablename = 'task' ORDER BY 1`,
      );
      return rows.map((row) => row.definition);
    };
    const related = (isRelated: boolean) => {
      @Entity('member')
      @TenantScoped()
      class Member {
        @PrimaryGeneratedColumn('uuid') id!: string;
        @TenantColumn() tenantId!: string;
      }
      @Entity('task')
      @TenantScoped()
      class Task {
        @PrimaryGeneratedColumn('uuid') id!: string;
        @TenantColumn() tenantId!: string;
        @Column('uuid', { name: 'reviewer_id', nullable: true }) reviewerId!: string | null;
        reviewer!: Member | null;
      }
      if (isRelated) {
        ManyToOne(() => Member, { onDelete: 'SET NULL' })(Task.prototype, 'reviewer');
        JoinColumn({ name: 'reviewer_id' })(Task.prototype, 'reviewer');
      }
      return [Member, Task];
    };
    await project.generate(related(true));
    await project.migrate();
    const index = 'IDX_0123456789abcdef0123456789';
    await project.as(
      'migrator',
      `CREATE INDEX "${index}" ON task (reviewer_id DESC NULLS LAST) INCLUDE (id)`,
    );
    const before = await definition();
    expect(before).toContain(
      'FOREIGN KEY (tenant_id, reviewer_id) REFERENCES member(tenant_id, id) ON DELETE SET NULL (reviewer_id)',
    );

    const { files } = await project.generate(related(false));
    await project.migrate();
    expect((await definition()).length).toBe(before.length - 2);
    for (const _file of files) await project.revert();
    expect(await definition()).toEqual(before);
  });
});
