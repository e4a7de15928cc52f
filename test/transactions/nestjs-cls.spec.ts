import {
  Controller,
  type ExecutionContext,
  HttpException,
  Injectable,
  Module,
  Post,
  Query,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { getDataSourceToken, TypeOrmModule } from '@nestjs/typeorm';
import {
  ClsPluginTransactional,
  InjectTransaction,
  Propagation,
  Transactional,
  TransactionHost,
  type Transaction,
} from '@nestjs-cls/transactional';
import { TransactionalAdapterTypeOrm } from '@nestjs-cls/transactional-adapter-typeorm';
import { ClsModule, ClsService } from 'nestjs-cls';
import { fromHeader, RlsTenantsModule, TenantContext } from '../../libs/rls-tenants/src/index.js';
import { tenantContext } from '../../libs/rls-tenants/src/context/tenant-context.js';
import { A, B, Note, NOTES } from '../support/notes.js';
import {
  createNotesDatabase,
  letterOf,
  POOL_SIZE,
  sealingOf,
  storedNotes,
  type Form,
  type TransactionalApp,
  type TransactionalNotes,
  type Transactions,
} from './support/notes-app.js';
import { itKeepsTenantsApart } from './support/propagation-suite.js';

type Adapter = TransactionalAdapterTypeOrm;

@Injectable()
class Notes implements TransactionalNotes {
  constructor(private readonly host: TransactionHost<Adapter>) {}

  add(body: string) {
    return this.host.tx.getRepository(Note).save({ body });
  }
  addForeign(tenantId: string) {
    return this.host.tx.query("INSERT INTO note (tenant_id, body) VALUES ($1, 'foreign')", [tenantId]);
  }
  find() {
    return this.host.tx.getRepository(Note).find();
  }
  raw() {
    return this.host.tx.query<{ tenantId: string; body: string }[]>(
      'SELECT tenant_id AS "tenantId", body FROM note',
    );
  }
  async transactionId() {
    const [row] = await this.host.tx.query<[{ id: string }]>('SELECT txid_current() AS id');
    return row.id;
  }
  async isolationLevel() {
    const [row] = await this.host.tx.query<[{ transaction_isolation: string }]>('SHOW transaction_isolation');
    return row.transaction_isolation;
  }
}

@Injectable()
class ClsTransactions implements Transactions {
  @Transactional(Propagation.Required) REQUIRED<T>(fn: () => Promise<T>) {
    return fn();
  }
  @Transactional(Propagation.RequiresNew) REQUIRES_NEW<T>(fn: () => Promise<T>) {
    return fn();
  }
  @Transactional(Propagation.Nested) NESTED<T>(fn: () => Promise<T>) {
    return fn();
  }
  @Transactional(Propagation.Supports) SUPPORTS<T>(fn: () => Promise<T>) {
    return fn();
  }
  @Transactional(Propagation.NotSupported) NOT_SUPPORTED<T>(fn: () => Promise<T>) {
    return fn();
  }
  // The decorator throws where no promise was made yet.
  async MANDATORY<T>(fn: () => Promise<T>) {
    return this.mandatory(fn);
  }
  async NEVER<T>(fn: () => Promise<T>) {
    return this.never(fn);
  }
  @Transactional(Propagation.Mandatory) private mandatory<T>(fn: () => Promise<T>) {
    return fn();
  }
  @Transactional(Propagation.Never) private never<T>(fn: () => Promise<T>) {
    return fn();
  }
  @Transactional<Adapter>({ isolationLevel: 'SERIALIZABLE' }) SERIALIZABLE<T>(fn: () => Promise<T>) {
    return fn();
  }
}

/** What the application itself keeps in its CLS. */
interface Store {
  user: string;
  [key: symbol]: unknown;
}

@Injectable()
class ProxiedNotes {
  constructor(@InjectTransaction() private readonly tx: Transaction<Adapter>) {}
  find() {
    return this.tx.getRepository(Note).find();
  }
}

@Controller('notes')
class NotesController {
  constructor(
    private readonly notes: Notes,
    private readonly proxied: ProxiedNotes,
    private readonly cls: ClsService<Store>,
    private readonly context: TenantContext,
  ) {}

  @Post()
  @Transactional()
  async add(@Query('body') body: string, @Query('fail') fail?: string) {
    const first = await this.notes.transactionId();
    await this.notes.add(body);
    const owners = new Set((await this.proxied.find()).map(({ tenantId }) => letterOf(tenantId)));
    if (fail) throw new HttpException('no', 418);
    if (this.cls.get('user') !== `user of ${this.context.tenantId}`)
      throw new Error('another request’s store');
    return { owners: [...owners], oneTransaction: first === (await this.notes.transactionId()) };
  }
}

/** How nestjs-cls sets its store up for a request; its interceptor in front of the tenant context's, or behind it. */
type Mount = 'middleware' | 'guard' | 'interceptor in front' | 'interceptor behind';

async function start(mount: Mount, form?: Form): Promise<TransactionalApp> {
  const db = await createNotesDatabase(form);
  const sealing = sealingOf(db);
  const user = (cls: ClsService, request: { headers: Record<string, string> }) =>
    cls.set('user', `user of ${request.headers['x-tenant']}`);
  const inContext = (cls: ClsService, context: ExecutionContext) =>
    user(cls, context.switchToHttp().getRequest());
  const cls = ClsModule.forRoot({
    global: true,
    ...(mount === 'middleware' && { middleware: { mount: true, setup: user } }),
    ...(mount === 'guard' && { guard: { mount: true, setup: inContext } }),
    ...(mount.startsWith('interceptor') && { interceptor: { mount: true, setup: inContext } }),
    plugins: [
      new ClsPluginTransactional({
        imports: [TypeOrmModule],
        adapter: new TransactionalAdapterTypeOrm({ dataSourceToken: getDataSourceToken() }),
        enableTransactionProxy: true,
      }),
    ],
  });
  const rls = RlsTenantsModule.forRoot({
    tenantIdType: 'uuid',
    adminRole: db.roles.admin,
    resolveTenant: fromHeader('x-tenant'),
    authorize: () => true,
    ...sealing.options,
  });
  @Module({
    imports: [
      ...sealing.imports,
      TypeOrmModule.forRoot({
        type: 'postgres',
        url: db.url('app'),
        entities: NOTES,
        poolSize: POOL_SIZE,
        retryAttempts: 0,
      }),
      ...(mount === 'interceptor behind' ? [rls, cls] : [cls, rls]),
    ],
    providers: [Notes, ProxiedNotes, ClsTransactions],
    controllers: [NotesController],
  })
  class AppModule {}
  const app = await NestFactory.create(AppModule, {
    logger: false,
    forceCloseConnections: true,
    abortOnError: false,
  });
  await app.listen(0, '127.0.0.1');
  return { db, app, url: await app.getUrl(), notes: app.get(Notes), transactions: app.get(ClsTransactions) };
}

describe('@nestjs-cls/transactional, sealed', () => {
  let started: TransactionalApp;
  beforeAll(async () => {
    started = await start('middleware', 'sealed');
  });
  afterAll(async () => {
    await started?.app.close();
    await started?.db.drop();
  });

  itKeepsTenantsApart(() => started, 'outer', 'sealed');
});

describe('@nestjs-cls/transactional', () => {
  let started: TransactionalApp;

  beforeAll(async () => {
    started = await start('middleware');
  });
  afterAll(async () => {
    await started?.app.close();
    await started?.db.drop();
  });

  itKeepsTenantsApart(() => started, 'outer');

  it('its store and the tenant context’s are one, and neither hides the other’s values', async () => {
    const cls = started.app.get<ClsService<Store>>(ClsService);
    const host = started.app.get<TransactionHost<Adapter>>(TransactionHost);
    await cls.run(async () => {
      cls.set('user', 'Ann');
      await tenantContext(A, () =>
        host.withTransaction(async () => {
          expect(cls.get('user')).toBe('Ann');
          expect(host.isTransactionActive()).toBe(true);
          await tenantContext(B, async () => {
            expect(host.isTransactionActive()).toBe(true); // the same one
            cls.set('user', 'Bob'); // stays inside
          });
          expect(cls.get('user')).toBe('Ann');
        }),
      );
      expect(host.isTransactionActive()).toBe(false);
    });
    // A new store begins with nobody, whoever surrounds it.
    await tenantContext(A, () =>
      cls.run({ ifNested: 'override' }, async () => {
        await expect(started.notes.find()).rejects.toThrow('no tenant context');
      }),
    );
  });

  it('work that goes on behind a transaction’s end fails, and touches nobody’s rows', async () => {
    let late: Promise<unknown> | undefined;
    await tenantContext(A, () =>
      started.transactions.REQUIRED(async () => {
        late = tenantContext(B, async () => {
          await new Promise((resolve) => setTimeout(resolve, 50));
          return started.notes.add('late');
        });
        late.catch(() => undefined);
      }),
    );
    await expect(late).rejects.toThrow(/released/);
    expect(await storedNotes(started)).not.toContain('B late');
  });
});

describe.each<[Mount, number]>([
  ['guard', 201],
  ['interceptor in front', 201],
  ['interceptor behind', 403], // a new store has no tenant: the first statement is refused
])('nestjs-cls mounted as %s', (mount, status) => {
  let started: TransactionalApp;
  beforeAll(async () => {
    started = await start(mount);
  });
  afterAll(async () => {
    await started?.app.close();
    await started?.db.drop();
  });

  it(`answers ${status}, for two tenants at once`, async () => {
    const answers = await Promise.all(
      [A, B, A, B].map((tenantId, n) =>
        fetch(`${started.url}/notes?body=${n}`, { method: 'POST', headers: { 'x-tenant': tenantId } }),
      ),
    );
    expect(answers.map((answer) => answer.status)).toEqual([status, status, status, status]);
    expect(await storedNotes(started)).toEqual(status === 201 ? ['A 0', 'A 2', 'B 1', 'B 3'] : []);
  });
});
