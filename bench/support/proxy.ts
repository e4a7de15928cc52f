import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** A TCP proxy in front of a server, in a process of its own so that it takes no time of whoever is measured. */
export interface Proxy {
  /** The same connection string, through the proxy. */
  url(connectionString: string): string;
  /** Adds so much to each round trip from now on. */
  setLatency(milliseconds: number): Promise<void>;
  /** Times that a client wrote after the server had answered, since the last call. */
  roundTrips(): Promise<number>;
  close(): Promise<void>;
}

export type ProxyRequest = { latency: number } | { count: true };
export type ProxyAnswer = { port: number } | { done: true } | { roundTrips: number };

export async function startProxy(targetPort: number): Promise<Proxy> {
  const child = fork(fileURLToPath(new URL('./proxy.process.js', import.meta.url)), [String(targetPort)]);
  const answer = async <T extends ProxyAnswer>() => ((await once(child, 'message')) as [T])[0];
  const ask = async <T extends ProxyAnswer>(request: ProxyRequest) => {
    const answered = answer<T>();
    child.send(request);
    return answered;
  };
  const { port } = await answer<{ port: number }>();
  return {
    url: (connectionString) => {
      const proxied = new URL(connectionString);
      proxied.port = String(port);
      return proxied.toString();
    },
    setLatency: async (latency) => void (await ask({ latency })),
    roundTrips: async () => (await ask<{ roundTrips: number }>({ count: true })).roundTrips,
    close: async () => {
      const exited = once(child, 'exit');
      child.kill();
      await exited;
    },
  };
}
