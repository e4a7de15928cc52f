import { fork } from 'node:child_process';
import { once } from 'node:events';
import type { RunAnswer, RunRequest, Tenants } from './contender.js';
import type { ContenderAnswer, ContenderRequest } from './serve.js';

/** A contender in its own process. */
export interface ContenderProcess {
  readonly name: string;
  readonly versions: Record<string, string>;
  run(request: RunRequest): Promise<RunAnswer>;
  close(): Promise<void>;
}

export interface ContenderFile {
  name: string;
  /** The module that calls `serve()`. */
  file: string;
  /** Default: the Node.js that runs this. */
  node?: string;
  /** Handed to the module as `process.argv[2]`: which of its ways to work. */
  variant?: string;
}

/** Starts a contender and connects it. @throws what the contender's process reports. */
export async function startContender(
  { name, file, node, variant }: ContenderFile,
  options: { url: string; poolSize: number; rows: Tenants },
): Promise<ContenderProcess> {
  const child = fork(file, variant === undefined ? [] : [variant], {
    ...(node !== undefined && { execPath: node }),
    execArgv: [],
  });
  const ask = async <T extends ContenderAnswer>(request: ContenderRequest): Promise<T> => {
    const ended = new AbortController();
    const answered = once(child, 'message', { signal: ended.signal }) as Promise<[ContenderAnswer]>;
    const exited = once(child, 'exit', { signal: ended.signal }).then(([code]) => {
      throw new Error(`${name} ended with exit code ${code}.`);
    });
    exited.catch(() => {});
    answered.catch(() => {});
    child.send(request);
    try {
      const [answer] = await Promise.race([answered, exited]);
      if ('error' in answer) throw new Error(`${name}: ${answer.error}`);
      return answer as T;
    } finally {
      ended.abort();
    }
  };
  const { versions, node: nodeVersion } = await ask<{ versions: Record<string, string>; node: string }>({
    open: options,
  });
  return {
    name,
    versions: { ...versions, node: nodeVersion },
    run: async (request) => (await ask<{ answer: RunAnswer }>({ run: request })).answer,
    async close() {
      await ask({ close: true });
      const exited = once(child, 'exit');
      child.disconnect();
      await exited;
    },
  };
}
