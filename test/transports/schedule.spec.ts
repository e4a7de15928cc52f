import { setTimeout as delay } from 'node:timers/promises';
import { Inject, Injectable, Logger, type INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Cron, Interval, ScheduleModule, SchedulerRegistry, Timeout } from '@nestjs/schedule';
import { adminContext, tenantContext, WithTenant, withoutTenant } from '../../libs/rls-tenants/src/index.js';
import { eventually, who } from '../http/support/http-app.js';
import type { ProtectedDatabase } from '../support/protected-database.js';
import { A, B, createNotesDatabase, Notes, ownersInDatabase, rootModule } from './support/notes-app.js';

const NEVER = '0 0 0 1 1 *';

/** What jobs did: for whom, and whose notes they saw. */
const done: { job: string; for: string; owners: string[] }[] = [];

@Injectable()
class Jobs {
  constructor(@Inject(Notes) private readonly notes: Notes) {}

  /** Knows of no tenant. */
  @Cron(NEVER, { name: 'forgetful' })
  async forgetful(): Promise<void> {
    await this.note('forgetful');
  }

  @Cron(NEVER, { name: 'each tenant' })
  async eachTenant(): Promise<void> {
    await Promise.all([A, B].map((tenantId) => tenantContext(tenantId, () => this.note('each tenant'))));
  }

  @Cron(NEVER, { name: 'decorated' })
  async decorated(): Promise<void> {
    for (const tenantId of [A, B]) await this.ofTenant(tenantId);
  }

  @WithTenant((tenantId: string) => tenantId)
  async ofTenant(_tenantId: string): Promise<void> {
    await this.note('decorated');
  }

  @Cron(NEVER, { name: 'admin' })
  async asAdmin(): Promise<void> {
    await adminContext('nightly report', () => this.note('admin'));
  }

  @Interval('interval', 20)
  interval(): void {
    done.push({ job: 'interval', for: who(), owners: [] });
  }

  @Timeout('timeout', 5)
  timeout(): void {
    done.push({ job: 'timeout', for: who(), owners: [] });
  }

  private async note(job: string): Promise<void> {
    await delay(Math.random() * 3);
    done.push({ job, for: who(), owners: await this.notes.owners() });
  }
}

describe('Jobs of @nestjs/schedule', () => {
  let db: ProtectedDatabase;
  let app: INestApplicationContext;
  let errors: string[] = [];

  beforeAll(async () => {
    db = await createNotesDatabase();
    const imports = [ScheduleModule.forRoot()];
    app = await NestFactory.createApplicationContext(rootModule(db, { imports, providers: [Jobs] }), {
      logger: false,
      abortOnError: false,
    });
  });
  afterAll(async () => {
    await app.close();
    await db.drop();
  });

  beforeEach(() => {
    done.length = 0;
    errors = [];
    jest.spyOn(Logger.prototype, 'error').mockImplementation((error) => void errors.push(String(error)));
  });
  afterEach(() => jest.restoreAllMocks());

  const fire = async (name: string) => {
    const job = app.get(SchedulerRegistry).getCronJob(name);
    await job.fireOnTick();
  };
  const doneBy = (name: string) => done.filter(({ job }) => job === name);

  it('run for nobody', async () => {
    await eventually(() => doneBy('interval').length >= 2);
    expect(new Set(done.map((entry) => entry.for))).toEqual(new Set(['nobody']));
  });

  it('that query for nobody fail, and the log says why', async () => {
    await fire('forgetful');
    await eventually(() => errors.length > 0);
    expect(doneBy('forgetful')).toEqual([]);
    expect(errors[0]).toMatch(/NoTenantContextError/);
  });

  it.each(['each tenant', 'decorated'])('%s: each tenant sees its own rows, both at once', async (job) => {
    expect(await ownersInDatabase(db)).toEqual([A, B]);
    await Promise.all([fire(job), fire(job), fire(job)]);
    await eventually(() => doneBy(job).length === 6);
    for (const { for: ranFor, owners } of doneBy(job)) expect(owners).toEqual([ranFor]);
    expect(
      doneBy(job)
        .map((entry) => entry.for)
        .toSorted(),
    ).toEqual([A, A, A, B, B, B]);
  });

  it('as admin: sees every tenant', async () => {
    await fire('admin');
    await eventually(() => doneBy('admin').length === 1);
    expect(doneBy('admin')[0]?.owners).toHaveLength(2);
  });

  it('that a request starts by hand keep its tenant, unless it starts them for nobody', async () => {
    const timers = [
      tenantContext(A, () => setInterval(() => done.push({ job: 'kept', for: who(), owners: [] }), 5)),
      tenantContext(A, () =>
        withoutTenant(() => setInterval(() => done.push({ job: 'nobody’s', for: who(), owners: [] }), 5)),
      ),
    ];
    for (const [index, timer] of timers.entries()) {
      app.get(SchedulerRegistry).addInterval(`by hand ${index}`, timer);
    }
    await eventually(() => doneBy('kept').length > 1 && doneBy('nobody’s').length > 1);
    expect(new Set(doneBy('kept').map((entry) => entry.for))).toEqual(new Set([A]));
    expect(new Set(doneBy('nobody’s').map((entry) => entry.for))).toEqual(new Set(['nobody']));
  });
});
