import { Controller, HttpException, Injectable, Module, Post, Query } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { InjectDataSource, InjectRepository, TypeOrmModule } from '@nestjs/typeorm';
import { DataSource, type DataSourceOptions, type Repository } from 'typeorm';
import {
  addTransactionalDataSource,
  IsolationLevel,
  Propagation,
  Transactional,
} from 'typeorm-transactional';
import { fromHeader, RlsTenantsModule } from '../../../libs/rls-tenants/src/index.js';
import { Note, NOTES } from '../../support/notes.js';
import {
  createNotesDatabase,
  letterOf,
  POOL_SIZE,
  sealingOf,
  type Form,
  type TransactionalApp,
  type TransactionalNotes,
  type Transactions,
} from './notes-app.js';

/** A plain repository and a plain data source: what is injected once takes part in whatever transaction surrounds a call. */
@Injectable()
export class Notes implements TransactionalNotes {
  constructor(
    @InjectRepository(Note) private readonly notes: Repository<Note>,
    @InjectDataSource() private readonly dataSource: DataSource,
  ) {}

  add(body: string) {
    return this.notes.save({ body });
  }
  addForeign(tenantId: string) {
    return this.dataSource.query("INSERT INTO note (tenant_id, body) VALUES ($1, 'foreign')", [tenantId]);
  }
  find() {
    return this.notes.find();
  }
  raw() {
    return this.dataSource.query<{ tenantId: string; body: string }[]>(
      'SELECT tenant_id AS "tenantId", body FROM note',
    );
  }
  async transactionId() {
    const [row] = await this.notes.query<[{ id: string }]>('SELECT txid_current() AS id');
    return row.id;
  }
  async isolationLevel() {
    const [row] = await this.notes.query<[{ transaction_isolation: string }]>('SHOW transaction_isolation');
    return row.transaction_isolation;
  }
}

@Injectable()
export class TypeOrmTransactions implements Transactions {
  @Transactional({ propagation: Propagation.REQUIRED }) REQUIRED<T>(fn: () => Promise<T>) {
    return fn();
  }
  @Transactional({ propagation: Propagation.REQUIRES_NEW }) REQUIRES_NEW<T>(fn: () => Promise<T>) {
    return fn();
  }
  @Transactional({ propagation: Propagation.NESTED }) NESTED<T>(fn: () => Promise<T>) {
    return fn();
  }
  @Transactional({ propagation: Propagation.SUPPORTS }) SUPPORTS<T>(fn: () => Promise<T>) {
    return fn();
  }
  @Transactional({ propagation: Propagation.NOT_SUPPORTED }) NOT_SUPPORTED<T>(fn: () => Promise<T>) {
    return fn();
  }
  @Transactional({ propagation: Propagation.MANDATORY }) MANDATORY<T>(fn: () => Promise<T>) {
    return fn();
  }
  @Transactional({ propagation: Propagation.NEVER }) NEVER<T>(fn: () => Promise<T>) {
    return fn();
  }
  @Transactional({ isolationLevel: IsolationLevel.SERIALIZABLE }) SERIALIZABLE<T>(fn: () => Promise<T>) {
    return fn();
  }
}

@Controller('notes')
class NotesController {
  constructor(private readonly notes: Notes) {}

  @Post()
  @Transactional()
  async add(@Query('body') body: string, @Query('fail') fail?: string) {
    const first = await this.notes.transactionId();
    await this.notes.add(body);
    const owners = new Set((await this.notes.find()).map(({ tenantId }) => letterOf(tenantId)));
    if (fail) throw new HttpException('no', 418);
    return { owners: [...owners], oneTransaction: first === (await this.notes.transactionId()) };
  }
}

/** When an application hands its data source to typeorm-transactional. */
export type When =
  'in dataSourceFactory' | 'initialised, in dataSourceFactory' | 'after the application started' | 'never';

/** Starts an application with typeorm-transactional, whose context somebody has initialised. */
export async function startApp(when: When, form?: Form): Promise<TransactionalApp> {
  const db = await createNotesDatabase(form);
  const sealing = sealingOf(db);
  @Module({
    imports: [
      TypeOrmModule.forRootAsync({
        useFactory: () => ({
          type: 'postgres' as const,
          url: db.url('app'),
          entities: NOTES,
          poolSize: POOL_SIZE,
          retryAttempts: 0,
        }),
        dataSourceFactory: async (options?: DataSourceOptions) => {
          const dataSource = new DataSource(options!);
          if (when === 'in dataSourceFactory') return addTransactionalDataSource(dataSource);
          if (when === 'initialised, in dataSourceFactory')
            return addTransactionalDataSource(await dataSource.initialize());
          return dataSource;
        },
      }),
      TypeOrmModule.forFeature([Note]),
      RlsTenantsModule.forRoot({
        tenantIdType: 'uuid',
        adminRole: db.roles.admin,
        resolveTenant: fromHeader('x-tenant'),
        authorize: () => true,
        ...sealing.options,
      }),
      ...sealing.imports,
    ],
    providers: [Notes, TypeOrmTransactions],
    controllers: [NotesController],
  })
  class AppModule {}
  const app = await NestFactory.create(AppModule, {
    logger: false,
    forceCloseConnections: true,
    abortOnError: false,
  }).catch(async (error: unknown) => {
    await db.drop();
    throw error;
  });
  if (when === 'after the application started') addTransactionalDataSource(app.get(DataSource));
  await app.listen(0, '127.0.0.1');
  return {
    db,
    app,
    url: await app.getUrl(),
    notes: app.get(Notes),
    transactions: app.get(TypeOrmTransactions),
  };
}

/** Ends the application, and forgets its data source. */
export async function stopApp(started: TransactionalApp | undefined): Promise<void> {
  await started?.app.close();
  await started?.db.drop();
}
