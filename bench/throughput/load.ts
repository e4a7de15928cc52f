import type { Tenants } from '../support/contender.js';

/** Names the user, whose id is the tenant's: what authentication would find out. */
export const USER_HEADER = 'x-user';
export const PAGE_ROWS = 20;

/** `GET /tasks/:id`, `GET /tasks`, and `GET /tasks/:id/transaction`. */
export type Endpoint = 'one' | 'page' | 'transaction';

/** How many tasks an endpoint answers with. */
export const EXPECTED_TASKS: Record<Endpoint, number> = { one: 1, page: PAGE_ROWS, transaction: 6 };

/** So many clients, each of which sends its next request when its last one was answered. */
export interface LoadRequest {
  port: number;
  endpoint: Endpoint;
  clients: number;
  /** For how long new requests are sent. */
  milliseconds: number;
}

export interface LoadAnswer {
  /** Requests that were answered. */
  answered: number;
  /** Requests that had no answer when nobody waited any longer. */
  unanswered: number;
  /** Answers with another status than 200, or with other rows than the tenant's own. */
  wrong: number;
  /** The first wrong answer. */
  example?: string;
  /** From the first request to the last answer, in seconds. */
  seconds: number;
  /** Latencies in milliseconds. */
  p50: number;
  p99: number;
  slowest: number;
}

/** The first message is the rows that may be asked for; nothing answers it. */
export type LoadMessage = { rows: Tenants } | { load: LoadRequest };
