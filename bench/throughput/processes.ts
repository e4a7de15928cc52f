import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Tenants } from '../support/contender.js';
import type { ApplicationOptions } from './application.js';
import type { LoadAnswer, LoadMessage, LoadRequest } from './load.js';

/** An application in a process of its own. */
export interface Application {
  readonly port: number;
  /** Microseconds of processor time that the process has used. */
  processorTime(): Promise<number>;
  close(): Promise<void>;
}

/** @throws what the application reports, for example that its boot verification found something. */
export async function startApplication(options: ApplicationOptions, node?: string): Promise<Application> {
  const child = forkModule('./application.process.js', [JSON.stringify(options)], node);
  const { port } = await answerOf<{ port: number }>(child).catch((error: unknown) => {
    child.kill();
    throw error;
  });
  return {
    port,
    async processorTime() {
      const { user, system } = await ask<NodeJS.CpuUsage>(child, {});
      return user + system;
    },
    close: () => end(child),
  };
}

/** What asks the applications, in a process of its own. */
export interface LoadGenerator {
  run(request: LoadRequest): Promise<LoadAnswer>;
  close(): Promise<void>;
}

export function startLoadGenerator(rows: Tenants): LoadGenerator {
  const child = forkModule('./load.process.js', []);
  child.send({ rows } satisfies LoadMessage);
  return {
    run: (load) => ask<LoadAnswer>(child, { load } satisfies LoadMessage),
    close: () => end(child),
  };
}

function forkModule(file: string, args: string[], node?: string): ChildProcess {
  // Nothing of the parent's own flags: an application is started without any.
  return fork(fileURLToPath(new URL(file, import.meta.url)), args, {
    execArgv: [],
    ...(node !== undefined && { execPath: node }),
    env: { ...process.env, NODE_ENV: 'production' },
  });
}

async function ask<Answer extends object>(child: ChildProcess, message: object): Promise<Answer> {
  const answered = answerOf<Answer>(child);
  child.send(message);
  return answered;
}

async function answerOf<Answer extends object>(child: ChildProcess): Promise<Answer> {
  const settled = new AbortController();
  const { signal } = settled;
  const exited = once(child, 'exit', { signal }).then(([code]) => {
    throw new Error(`A process of the throughput benchmark ended with exit code ${code}.`);
  });
  const answered = once(child, 'message', { signal }) as Promise<[Answer | { error: string }]>;
  for (const promise of [answered, exited]) promise.catch(() => {});
  try {
    const [answer] = await Promise.race([answered, exited]);
    if ('error' in answer) throw new Error(answer.error);
    return answer;
  } finally {
    settled.abort();
  }
}

async function end(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit');
  child.disconnect();
  await exited;
}
