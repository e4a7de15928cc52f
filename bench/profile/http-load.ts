import { Agent, get } from 'node:http';

const CONCURRENCY = 8;

/** Requests over connections that are kept. */
export function startLoad(port: number) {
  const agent = new Agent({ keepAlive: true, maxSockets: CONCURRENCY });
  const request = () =>
    new Promise<void>((resolve, reject) => {
      get({ host: '127.0.0.1', port, agent }, (response) => {
        if (response.statusCode !== 200)
          reject(new Error(`The application answered ${response.statusCode}.`));
        response.resume().on('end', resolve);
      }).on('error', reject);
    });
  return {
    async send(count: number): Promise<void> {
      let left = count;
      const worker = async () => {
        while (left-- > 0) await request();
      };
      await Promise.all(Array.from({ length: CONCURRENCY }, worker));
    },
    close: () => agent.destroy(),
  };
}
