import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { currentTenantContext } from '../../../libs/rls-tenants/src/context/tenant-context.js';
import type { TenantContextState } from '../../../libs/rls-tenants/src/index.js';

/** An event, and for whom its subscriber ran. */
export interface Published<E> {
  event: E;
  in: TenantContextState;
}

/** What a diagnostics channel publishes while `work` runs. */
export async function publishedBy<E>(
  name: string,
  work: () => unknown,
): Promise<{ events: E[]; published: Published<E>[] }> {
  const published: Published<E>[] = [];
  const listener = (event: unknown) => void published.push({ event: event as E, in: currentTenantContext() });
  subscribe(name, listener);
  try {
    await work();
  } finally {
    unsubscribe(name, listener);
  }
  return { published, events: published.map(({ event }) => event) };
}
