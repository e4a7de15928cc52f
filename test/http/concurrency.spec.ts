import { setTimeout as delay } from 'node:timers/promises';
import { Controller, Get, HttpException, Injectable, Param } from '@nestjs/common';
import { CurrentTenant, tenantContext } from '../../libs/rls-tenants/src/context/index.js';
import { eventually, PLATFORMS, useHttpApp, who } from './support/http-app.js';

const REQUESTS = 400;
const TENANTS = ['acme', 'umbrella'];

/** Work that outlives its request, and for whom it turned out to run. */
const background: { startedFor: string; ranFor: string[] }[] = [];
/** Chains that requests of all tenants queue behind, as they do behind a pool. */
let queue: Promise<unknown> = Promise.resolve();

const pause = () => delay(Math.random() * 8);

/** A singleton, as repositories are. */
@Injectable()
class Work {
  async steps(): Promise<string[]> {
    const seen = [who()];
    await pause();
    seen.push(who());
    await Promise.all([pause(), pause().then(() => seen.push(who())), pause()]);
    const inner = await tenantContext('inner', () => pause().then(who));
    seen.push(inner === 'inner' ? who() : `inner was ${inner}`);
    const mine = queue.then(() => delay(Math.random())).then(() => seen.push(who()));
    queue = mine;
    await mine;
    await new Promise<void>((resolve) => setImmediate(() => resolve(void seen.push(who()))));
    return [...seen, who()];
  }

  start(startedFor: string): void {
    void (async () => {
      const ranFor = [who()];
      for (let step = 0; step < 3; step++) {
        await delay(10 + Math.random() * 20);
        ranFor.push(who());
      }
      background.push({ startedFor, ranFor });
    })();
  }
}

@Controller()
class BusyController {
  constructor(private readonly work: Work) {}

  @Get('busy/:number')
  async busy(@CurrentTenant() tenantId: string, @Param('number') number: string): Promise<unknown> {
    await pause();
    this.work.start(tenantId);
    const seen = await this.work.steps();
    if (Number(number) % 7 === 0) throw new HttpException({ tenantId, seen }, 409);
    return { tenantId, seen };
  }
}

describe.each(PLATFORMS)('on %s', (platform) => {
  describe.each([
    ['with the interceptor alone', false],
    ['with the middleware', true],
  ])('%s', (_name, middleware) => {
    const app = useHttpApp(platform, {
      controllers: [BusyController],
      providers: [Work],
      middleware,
      context: { authorize: () => pause().then(() => true) },
    });

    it(`${REQUESTS} requests of two tenants at a time never see each other, nor does what they leave behind`, async () => {
      background.length = 0;
      const answers = await Promise.all(
        Array.from({ length: REQUESTS }, async (_, number) => {
          const tenantId = TENANTS[number % TENANTS.length] as string;
          await delay(Math.random() * 200);
          const response = await app.current.get(`/busy/${number}`, tenantId);
          expect(response.status).toBe(number % 7 === 0 ? 409 : 200);
          return { tenantId, answer: (await response.json()) as { tenantId: string; seen: string[] } };
        }),
      );
      for (const { tenantId, answer } of answers) {
        expect(answer).toEqual({ tenantId, seen: Array.from({ length: 7 }, () => tenantId) });
      }
      await eventually(() => background.length === REQUESTS);
      for (const { startedFor, ranFor } of background) expect(new Set(ranFor)).toEqual(new Set([startedFor]));
      expect(who()).toBe('nobody');
    });
  });
});
