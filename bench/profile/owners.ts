import type { Profiler } from 'node:inspector';

/** Whose code a sample was in. */
export type Owner = (typeof OWNERS)[number];
export const OWNERS = [
  'nestjs-rls-tenants',
  'nestjs-cls and async_hooks',
  'typeorm',
  'pg',
  'Node.js',
  'native code',
  'garbage collection',
  'waiting',
  'the loop itself',
] as const;

/** Microseconds of self time. */
export interface SelfTimes {
  owners: Record<Owner, number>;
  /** The library's functions: `submit (carried-query.js)`. */
  functions: Record<string, number>;
}

const META = new Map<string, Owner>([
  ['(garbage collector)', 'garbage collection'],
  ['(idle)', 'waiting'],
  ['(program)', 'native code'],
  ['(root)', 'native code'],
]);

// The first that matches, from the most to the least particular.
const BY_URL: readonly [RegExp, Owner][] = [
  [/\/libs\/rls-tenants\/|\/node_modules\/nestjs-rls-tenants\//, 'nestjs-rls-tenants'],
  [/\/node_modules\/nestjs-cls\/|^node:(?:internal\/)?async_/, 'nestjs-cls and async_hooks'],
  [/\/node_modules\/typeorm\//, 'typeorm'],
  [/\/node_modules\/(?:pg|pg-\w+|postgres-\w+)\//, 'pg'],
  // Built-in functions have no file.
  [/^node:|^$/, 'Node.js'],
];

/** Adds a CPU profile up. */
export function selfTimes({ nodes, samples = [], timeDeltas = [] }: Profiler.Profile): SelfTimes {
  const owners = Object.fromEntries(OWNERS.map((owner) => [owner, 0])) as Record<Owner, number>;
  const functions = new Map<string, number>();
  const frames = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]));
  for (const [index, id] of samples.entries()) {
    const frame = frames.get(id)!;
    const elapsed = timeDeltas[index + 1] ?? 0; // until the next sample
    const owner = ownerOf(frame.functionName, frame.url);
    owners[owner] += elapsed;
    if (owner !== 'nestjs-rls-tenants') continue;
    const name = `${frame.functionName || 'anonymous'} (${frame.url.split('/').at(-1)}:${frame.lineNumber + 1})`;
    functions.set(name, (functions.get(name) ?? 0) + elapsed);
  }
  return { owners, functions: Object.fromEntries(functions) };
}

function ownerOf(name: string, url: string): Owner {
  return META.get(name) ?? BY_URL.find(([pattern]) => pattern.test(url))?.[1] ?? 'the loop itself';
}
