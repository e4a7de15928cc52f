import 'reflect-metadata';
import { setTimeout as delay } from 'node:timers/promises';
import { SetMetadata } from '@nestjs/common';
import { defer, firstValueFrom, of, type Observable } from 'rxjs';
import { InvalidTenantIdError } from '../errors.js';
import { currentTenantContext, requireTenantId, tenantContext } from './tenant-context.js';
import { WithTenant } from './with-tenant.decorator.js';

interface Job {
  tenantId: string;
}

const OfJob = () => WithTenant((job: Job) => job.tenantId);

class Jobs {
  readonly name = 'jobs';
  ran = 0;

  @OfJob()
  sync(job: Job, suffix: string): string {
    this.ran++;
    return `${this.name} ${job.tenantId} ${requireTenantId()} ${suffix}`;
  }

  @SetMetadata('above', 1)
  @OfJob()
  @SetMetadata('below', 2)
  async async(_job: Job): Promise<string[]> {
    this.ran++;
    const before = requireTenantId();
    await delay(1);
    return [this.name, before, requireTenantId()];
  }

  @OfJob()
  async failing(_job: Job): Promise<never> {
    await delay(1);
    throw new Error(requireTenantId());
  }

  @OfJob()
  *generator(_job: Job): Generator<string> {
    yield `${this.name} ${requireTenantId()}`;
    yield requireTenantId();
  }

  @OfJob()
  async *asyncGenerator(_job: Job): AsyncGenerator<string> {
    this.ran++;
    yield `${this.name} ${requireTenantId()}`;
    await delay(1);
    yield requireTenantId();
  }

  @OfJob()
  observable(_job: Job): Observable<string> {
    return defer(() => of(requireTenantId()));
  }

  @OfJob()
  async nested(job: Job): Promise<string[]> {
    return [...(await this.async({ tenantId: `${job.tenantId}-inner` })), requireTenantId()];
  }

  @WithTenant(() => 7)
  constant(): string {
    return requireTenantId();
  }

  @OfJob()
  static onClass(_job: Job): string {
    return requireTenantId();
  }
}

function expectNobody(): void {
  expect(currentTenantContext()).toEqual({ kind: 'nobody' });
}

describe('@WithTenant', () => {
  const jobs = new Jobs();
  const job = { tenantId: 'a' };

  afterEach(expectNobody);

  it('runs a method for the tenant of its arguments, whatever surrounds it', async () => {
    expect(jobs.sync(job, '!')).toBe('jobs a a !');
    expect(tenantContext('b', () => jobs.sync(job, '!'))).toBe('jobs a a !');
    expect(await jobs.async(job)).toEqual(['jobs', 'a', 'a']);
    expect(await jobs.nested(job)).toEqual(['jobs', 'a-inner', 'a-inner', 'a']);
    expect(jobs.constant()).toBe('7');
    expect(Jobs.onClass(job)).toBe('a');
    await expect(jobs.failing(job)).rejects.toThrow('a');
  });

  it('keeps two calls at a time apart', async () => {
    const ids = Array.from({ length: 50 }, (_, index) => `t${index}`);
    const results = await Promise.all(ids.map((tenantId) => jobs.async({ tenantId })));
    expect(results).toEqual(ids.map((id) => ['jobs', id, id]));
  });

  it('keeps the tenant while a generator, an async generator or an Observable is consumed', async () => {
    expect([...jobs.generator(job)]).toEqual(['jobs a', 'a']);
    const seen: string[] = [];
    for await (const line of jobs.asyncGenerator(job)) seen.push(line);
    expect(seen).toEqual(['jobs a', 'a']);
    const observable = jobs.observable(job);
    expect(await tenantContext('b', () => firstValueFrom(observable))).toBe('a');
  });

  it('does not run the body without a tenant id: throws, or rejects where the method is async', async () => {
    const before = jobs.ran;
    const none = {} as Job;
    expect(() => jobs.sync(none, '')).toThrow(InvalidTenantIdError);
    expect(() => jobs.asyncGenerator(none)).toThrow(InvalidTenantIdError);
    await expect(jobs.async(none)).rejects.toThrow(InvalidTenantIdError);
    await expect(jobs.async(undefined as unknown as Job)).rejects.toThrow(TypeError);
    expect(jobs.ran).toBe(before);
  });

  it("keeps the method's name, arity and metadata", () => {
    expect([jobs.sync.name, jobs.sync.length]).toEqual(['sync', 2]);
    const method = Object.getOwnPropertyDescriptor(Jobs.prototype, 'async')?.value as object;
    expect(Reflect.getMetadata('above', method)).toBe(1);
    expect(Reflect.getMetadata('below', method)).toBe(2);
    expect(Reflect.getMetadata('design:paramtypes', Jobs.prototype, 'sync')).toEqual([Object, String]);
  });
});
