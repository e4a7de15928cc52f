// A NestJS application of two tenants on the installed package, over HTTP: what each sees, and what nobody sees.
import 'reflect-metadata';
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { Controller, Get, Inject, Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { getRepositoryToken, TypeOrmModule } from '@nestjs/typeorm';
import {
  fromHeader,
  NoTenantContextError,
  RlsTenantsModule,
  TenantColumn,
  tenantContext,
  TenantScoped,
} from 'nestjs-rls-tenants';
import { protectTable, RlsMigration, setupRolesSql } from 'nestjs-rls-tenants/migrations';
import pg from 'pg';
import { Column, DataSource, Entity, PrimaryGeneratedColumn, Repository } from 'typeorm';

const [A, B] = [randomUUID(), randomUUID()];
const suffix = randomUUID().slice(0, 8);
const roles = { app: `app_${suffix}`, migrator: `migrator_${suffix}`, admin: `admin_${suffix}` };
const database = `consumer_${suffix}`;

@Entity()
@TenantScoped()
class Task {
  @PrimaryGeneratedColumn('uuid') id!: string;
  @TenantColumn() tenantId!: string;
  @Column({ type: 'text' }) title!: string;
}

class ProtectTask1700000000000 extends RlsMigration {
  readonly operations = [
    protectTable({ table: 'task', tenantIdType: 'uuid', appRole: roles.app, adminRole: roles.admin }),
  ];
}

@Injectable()
class TasksService {
  constructor(@Inject(getRepositoryToken(Task)) private readonly tasks: Repository<Task>) {}

  list(): Promise<{ title: string }[]> {
    return this.tasks.query('SELECT title FROM task ORDER BY title');
  }

  add(title: string): Promise<Task> {
    return this.tasks.save(this.tasks.create({ title }));
  }
}

@Controller('tasks')
class TasksController {
  constructor(@Inject(TasksService) private readonly tasks: TasksService) {}

  @Get() async list(): Promise<string[]> {
    return (await this.tasks.list()).map(({ title }) => title);
  }
}

const SERVER = process.env.TEST_DATABASE_URL!;

function url(role?: string): string {
  const target = new URL(SERVER);
  target.pathname = `/${database}`;
  if (role) Object.assign(target, { username: role, password: 'test' });
  return target.toString();
}

async function asSuperuser(connectionString: string, ...statements: string[]): Promise<pg.QueryResult> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  let last!: pg.QueryResult;
  for (const statement of statements) last = await client.query(statement);
  await client.end();
  return last;
}

/** As an operator would: roles, schema and policies, each by whose task it is. */
async function setUp(): Promise<void> {
  await asSuperuser(SERVER, `CREATE DATABASE ${database}`);
  const steps = setupRolesSql({ appRole: roles.app, migrationRole: roles.migrator, adminRole: roles.admin });
  await asSuperuser(
    url(),
    'BEGIN',
    ...steps.map(({ sql }) => sql),
    'COMMIT',
    `ALTER ROLE ${roles.app} PASSWORD 'test'`,
    `ALTER ROLE ${roles.migrator} PASSWORD 'test'`,
  );
  const migrations = new DataSource({
    type: 'postgres',
    url: url(roles.migrator),
    entities: [Task],
    migrations: [ProtectTask1700000000000],
  });
  await migrations.initialize();
  await migrations.synchronize();
  await migrations.runMigrations();
  await migrations.destroy();
}

@Module({
  imports: [
    TypeOrmModule.forRoot({ type: 'postgres', url: url(roles.app), autoLoadEntities: true }),
    TypeOrmModule.forFeature([Task]),
    RlsTenantsModule.forRoot({
      tenantIdType: 'uuid',
      adminRole: roles.admin,
      resolveTenant: fromHeader('x-tenant'),
      authorize: () => true,
    }),
  ],
  providers: [TasksService],
  controllers: [TasksController],
})
class AppModule {}

async function main(): Promise<void> {
  await setUp();
  const app = await NestFactory.create(AppModule, { logger: ['error', 'fatal'] });
  await app.listen(0, '127.0.0.1');
  try {
    const { port } = app.getHttpServer().address() as AddressInfo;
    const tasks = app.get(TasksService);
    await tenantContext(A, () => tasks.add('of A'));
    await tenantContext(B, () => tasks.add('of B'));

    const { rows } = await asSuperuser(url(), 'SELECT title FROM task ORDER BY title');
    assert.deepEqual(rows, [{ title: 'of A' }, { title: 'of B' }]); // the control: both are there
    const get = (headers: Record<string, string>) => fetch(`http://127.0.0.1:${port}/tasks`, { headers });
    assert.deepEqual(await (await get({ 'x-tenant': A })).json(), ['of A']);
    assert.deepEqual(await (await get({ 'x-tenant': B })).json(), ['of B']);
    assert.ok((await get({})).status >= 400);
    await assert.rejects(async () => tasks.list(), NoTenantContextError);
  } finally {
    await app.close();
  }
  console.log('The application isolates its tenants.');
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
