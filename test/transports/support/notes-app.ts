import { setTimeout as delay } from 'node:timers/promises';
import { Injectable, Module, type INestApplication, type ModuleMetadata } from '@nestjs/common';
import { NestFactory, type AbstractHttpAdapter } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { getDataSourceToken, InjectDataSource, TypeOrmModule } from '@nestjs/typeorm';
import type { AddressInfo } from 'node:net';
import { Like, type DataSource } from 'typeorm';
import { fromHeader, RlsTenantsModule, type RlsTenantsOptions } from '../../../libs/rls-tenants/src/index.js';
import { A, B, Note, NOTES } from '../../support/notes.js';
import { createProtectedDatabase, type ProtectedDatabase } from '../../support/protected-database.js';

export { A, B } from '../../support/notes.js';

/** Requests of a test that runs two tenants at once; more than the connections of the pool. */
export const AT_ONCE = 24;
export const POOL_SIZE = 2;

/** The tenants of requests that run at once, in turn. */
export const inTurn = Array.from({ length: AT_ONCE }, (_, index) => (index % 2 ? A : B));

/** A row, and whose it is. */
export interface Row {
  tenantId: string;
  body: string;
}

/** A singleton that queries without ever naming a tenant. */
@Injectable()
export class Notes {
  constructor(@InjectDataSource() private readonly dataSource: DataSource) {}

  /** Every note that PostgreSQL shows, by raw SQL. */
  async all(): Promise<Row[]> {
    await delay(Math.random() * 4);
    return this.dataSource.query(
      'SELECT tenant_id AS "tenantId", body FROM note, pg_sleep(0.001) ORDER BY body',
    );
  }

  /** The owners of what PostgreSQL shows. */
  async owners(): Promise<string[]> {
    return [...new Set((await this.all()).map(({ tenantId }) => tenantId))];
  }

  /** Entities whose notebooks are loaded when they are read. */
  entities(): Promise<Note[]> {
    return this.dataSource.getRepository(Note).findBy({ body: Like('archived%') });
  }

  async add(body: string): Promise<Row> {
    await delay(Math.random() * 2);
    const { tenantId } = await this.dataSource.getRepository(Note).save({ body });
    return { tenantId, body };
  }

  /** Writes a row of another tenant, which the policy refuses. */
  async steal(tenantId: string): Promise<void> {
    await this.dataSource.query('INSERT INTO note (tenant_id, body) VALUES ($1, $2)', [tenantId, 'stolen']);
  }
}

@Module({ imports: [TypeOrmModule.forFeature([Note])], providers: [Notes], exports: [Notes] })
export class NotesModule {}

/** A protected database with notes of two tenants; the control says that they are there. */
export async function createNotesDatabase(): Promise<ProtectedDatabase> {
  const db = await createProtectedDatabase(NOTES);
  await db.asSuperuser(
    `INSERT INTO note (tenant_id, body) VALUES ('${A}', 'a1'), ('${A}', 'a2'), ('${B}', 'b1'), ('${B}', 'b2')`,
  );
  await db.asSuperuser(
    `INSERT INTO notebook (id, tenant_id, title) VALUES (1, '${A}', 'a'), (2, '${B}', 'b');
     INSERT INTO note (tenant_id, body, "archiveId") VALUES ('${A}', 'archived', 1), ('${B}', 'archived', 2)`,
  );
  return db;
}

/** Whose rows there really are: what a superuser sees. */
export async function ownersInDatabase(db: ProtectedDatabase): Promise<string[]> {
  const rows = await db.asSuperuser<{ owner: string }>(
    'SELECT DISTINCT tenant_id AS owner FROM note ORDER BY 1',
  );
  return rows.map(({ owner }) => owner);
}

/** The root module of an application on the app role, over a pool smaller than what runs at once. */
export function rootModule(
  db: ProtectedDatabase,
  metadata: ModuleMetadata,
  options: Partial<RlsTenantsOptions> = {},
) {
  @Module({
    ...metadata,
    imports: [
      TypeOrmModule.forRoot({
        type: 'postgres',
        url: db.url('app'),
        entities: NOTES,
        poolSize: POOL_SIZE,
        retryAttempts: 0,
      }),
      RlsTenantsModule.forRoot({
        tenantIdType: 'uuid',
        adminRole: db.roles.admin,
        resolveTenant: fromHeader('x-tenant-id'),
        authorize: () => true,
        ...options,
      }),
      NotesModule,
      ...(metadata.imports ?? []),
    ],
  })
  class RootModule {}
  return RootModule;
}

/** Starts an application that serves on loopback, and says where. */
export async function listen(
  module: ReturnType<typeof rootModule>,
  configure: (app: INestApplication) => void = () => undefined,
  adapter: AbstractHttpAdapter = new ExpressAdapter(),
): Promise<{ app: INestApplication; port: number }> {
  const app = await NestFactory.create(module, adapter, {
    logger: false,
    forceCloseConnections: true,
    abortOnError: false,
  });
  configure(app);
  await app.listen(0, '127.0.0.1');
  return { app, port: (app.getHttpServer().address() as AddressInfo).port };
}

/** The data source of an application. */
export function dataSourceOf(app: INestApplication): DataSource {
  return app.get<DataSource>(getDataSourceToken());
}
