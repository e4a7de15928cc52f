import { setTimeout as delay } from 'node:timers/promises';
import type { Tenants } from '../support/contender.js';
import type { Task } from './entities.js';
import { HttpClient, type HttpAnswer } from './http-client.js';
import {
  EXPECTED_TASKS,
  type Endpoint,
  type LoadAnswer,
  type LoadMessage,
  type LoadRequest,
} from './load.js';

/** How long after the last request an answer is still waited for: one that has not come by then never will. */
const PATIENCE_MS = 10_000;

const PATHS: Record<Endpoint, (id: string) => string> = {
  one: (id) => `/tasks/${id}`,
  page: () => '/tasks',
  transaction: (id) => `/tasks/${id}/transaction`,
};

let rows: Tenants = { tenants: [], ids: [] };
let turn = 0;
/** By port. Connections are kept from run to run, as a load balancer in front of an application keeps them. */
const clientsOf = new Map<number, HttpClient[]>();

class Load {
  private readonly latencies: number[] = [];
  private sent = 0;
  private wrong = 0;
  private example: string | undefined;
  private readonly started = performance.now();

  constructor(private readonly request: LoadRequest) {}

  async run(clients: readonly HttpClient[]): Promise<LoadAnswer> {
    const { milliseconds } = this.request;
    const noMoreWaiting = new AbortController();
    await Promise.race([
      Promise.all(clients.map((client) => this.keepAsking(client))),
      delay(milliseconds + PATIENCE_MS, undefined, { signal: noMoreWaiting.signal }),
    ]);
    noMoreWaiting.abort();
    return this.answer();
  }

  private async keepAsking(client: HttpClient): Promise<void> {
    const end = this.started + this.request.milliseconds;
    for (let sentAt = this.started; sentAt < end; sentAt = performance.now()) {
      const { tenantId, id } = nextRow();
      this.sent++;
      const answer = await client.get(PATHS[this.request.endpoint](id), tenantId);
      this.latencies.push(performance.now() - sentAt);
      if (!isRight(answer, this.request.endpoint, tenantId, id)) {
        this.wrong++;
        this.example ??= `${answer.status} ${answer.body.slice(0, 200)}`;
      }
    }
  }

  private answer(): LoadAnswer {
    const sorted = this.latencies.toSorted((a, b) => a - b);
    const quantile = (q: number) => sorted[Math.floor((sorted.length - 1) * q)] ?? Number.NaN;
    return {
      answered: sorted.length,
      unanswered: this.sent - sorted.length,
      wrong: this.wrong,
      ...(this.example !== undefined && { example: this.example }),
      seconds: (performance.now() - this.started) / 1000,
      p50: quantile(0.5),
      p99: quantile(0.99),
      slowest: quantile(1),
    };
  }
}

function nextRow(): { tenantId: string; id: string } {
  const owner = turn % rows.tenants.length;
  const ids = rows.ids[owner]!;
  const id = ids[Math.floor(turn / rows.tenants.length) % ids.length]!;
  turn++;
  return { tenantId: rows.tenants[owner]!, id };
}

function isRight({ status, body }: HttpAnswer, endpoint: Endpoint, tenantId: string, id: string): boolean {
  if (status !== 200) return false;
  const tasks = [JSON.parse(body) as Task | Task[]].flat();
  return (
    tasks.length === EXPECTED_TASKS[endpoint] &&
    tasks.every((task) => task.tenantId === tenantId && (endpoint === 'page' || task.id === id))
  );
}

async function clientsFor({ port, clients: count }: LoadRequest): Promise<HttpClient[]> {
  const clients = clientsOf.get(port) ?? [];
  clientsOf.set(port, clients);
  while (clients.length < count) clients.push(await HttpClient.connect(port));
  return clients.slice(0, count);
}

async function run(request: LoadRequest): Promise<LoadAnswer> {
  const answer = await new Load(request).run(await clientsFor(request));
  if (answer.unanswered > 0) {
    for (const client of clientsOf.get(request.port)!) client.close();
    clientsOf.delete(request.port);
  }
  return answer;
}

process.on('message', (message: LoadMessage) => {
  if ('rows' in message) rows = message.rows;
  else {
    void run(message.load)
      .catch((error: unknown) => ({ error: (error as Error).message }))
      .then((answer) => process.send!(answer));
  }
});
process.on('disconnect', () => process.exit());
