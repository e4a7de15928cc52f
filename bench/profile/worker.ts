import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** What a process can be asked for, by name. */
export type Calls = Record<string, (argument: never) => unknown>;

type Argument<Call> = Call extends (argument: infer T) => unknown ? T : never;
type Answer<Call> = Call extends (argument: never) => infer T ? Awaited<T> : never;

/** A process of its own for what is measured, so that nothing else runs in it. */
export interface Worker<Offered extends Calls> {
  ask<Name extends keyof Offered & string>(
    name: Name,
    argument: Argument<Offered[Name]>,
  ): Promise<Answer<Offered[Name]>>;
  close(): Promise<void>;
}

interface Request {
  name: string;
  argument: unknown;
}
type Reply = { value: unknown } | { error: string };

/** @param file a module of this folder that calls {@link offer}. */
export function startWorker<Offered extends Calls>(
  file: string,
  args: readonly string[],
  execArgv: readonly string[] = [],
): Worker<Offered> {
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), [...args], { execArgv: [...execArgv] });
  const exited = once(child, 'exit').then(([code]): never => {
    throw new Error(`${file} ended with exit code ${code}.`);
  });
  exited.catch(() => {});
  return {
    async ask(name, argument) {
      const answered = once(child, 'message') as Promise<[Reply]>;
      child.send({ name, argument } satisfies Request);
      const [reply] = await Promise.race([answered, exited]);
      if ('error' in reply) throw new Error(`${file}: ${reply.error}`);
      return reply.value as never;
    },
    async close() {
      child.kill();
      await exited.catch(() => {});
    },
  };
}

/** Makes this process answer its parent. */
export function offer(calls: Calls): void {
  process.on('message', ({ name, argument }: Request) => {
    void Promise.resolve()
      .then(() => calls[name]!(argument as never))
      .then((value): Reply => ({ value }))
      .catch((error: unknown): Reply => ({ error: (error as Error).stack ?? String(error) }))
      .then((reply) => process.send!(reply));
  });
  process.on('disconnect', () => process.exit());
}
