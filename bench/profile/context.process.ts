import { tenantContext } from 'nestjs-rls-tenants';
import { offer } from './worker.js';

const TENANTS = Array.from(
  { length: 100 },
  (_, n) => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`,
);

let calls = 0;
const work = () => ++calls;
const workLater = async () => ++calls;

// The hooks of AsyncLocalStorage are in force from the first use on: they must be for both sides, or for neither.
tenantContext(TENANTS[0]!, work);

/** Loops with and without the context; each awaits or none does, so that only the context differs. */
const LOOPS = {
  sync: (count: number) => {
    for (let n = 0; n < count; n++) work();
  },
  syncInContext: (count: number) => {
    for (let n = 0; n < count; n++) tenantContext(TENANTS[n % TENANTS.length]!, work);
  },
  async: async (count: number) => {
    for (let n = 0; n < count; n++) await workLater();
  },
  asyncInContext: async (count: number) => {
    for (let n = 0; n < count; n++) await tenantContext(TENANTS[n % TENANTS.length]!, workLater);
  },
};

export type Loop = keyof typeof LOOPS;

const offered = {
  /** Microseconds for one call. */
  async time({ loop, count }: { loop: Loop; count: number }): Promise<number> {
    const started = performance.now();
    await LOOPS[loop](count);
    return ((performance.now() - started) * 1000) / count;
  },
};
export type ContextCalls = typeof offered;
offer(offered);
