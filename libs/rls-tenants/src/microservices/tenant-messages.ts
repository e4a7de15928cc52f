import { ClientNats, ClientRedis, ClientTCP, type ClientProxy, type ReadPacket } from '@nestjs/microservices';
import type { Observable } from 'rxjs';
import { keepContext } from '../context/keep-context.js';
import type { TenantContextState } from '../context/tenant-context.js';
import { RlsConfigurationError } from '../errors.js';
import {
  canonicalJson,
  TenantTokens,
  type Audience,
  type Authorize,
  type TenantTokenOptions,
} from '../propagation/index.js';
import { addNatsHeader, natsData } from './nats-headers.js';

/** A message as `authorize` sees it. */
export interface TenantMessage {
  /** The pattern, as text. */
  pattern: string;
  /** What the sender signed, so that an id of a user in it can be trusted. */
  data: unknown;
}

/** Options of {@link TenantMessages}. */
export interface TenantMessagesOptions extends TenantTokenOptions {
  /**
   * Confirms, when a message arrives, that whoever sent it may act for the tenant. Runs for nobody. What it throws is the
   * handler's error.
   */
  authorize?: Authorize<TenantMessage>;
}

/** Where in a packet's metadata the token is, and in which header of a NATS message. */
export const METADATA_KEY = 'tenantToken';
const MAX_AGE_SECONDS = 60;

/** The method of a client that puts metadata on a packet: @nestjs/microservices 12.0.4 has it, 12.0.1 and 11 have not. */
interface Dispatching {
  setOnDispatchHook?(hook: (packet: PacketWithMetadata) => void): void;
  onDispatchHook?: (packet: PacketWithMetadata) => void;
  normalizePattern(pattern: unknown): string;
}

type PacketWithMetadata = ReadPacket & { metadata?: Record<string, unknown> };

/** What is changed of a client. */
type Client = Pick<ClientProxy, 'send' | 'emit'>;

const signedBy = new WeakMap<Client, TenantMessages>();

/**
 * Signs the tenant context into the metadata of messages that clients send, and verifies it where they arrive. A token is
 * good for one pattern and one value of the data, for `maxAgeSeconds`.
 */
export class TenantMessages {
  readonly #tokens: TenantTokens;
  readonly options: Pick<TenantMessagesOptions, 'authorize'>;

  /** @throws RlsConfigurationError if the keys cannot be used. */
  constructor({ maxAgeSeconds = MAX_AGE_SECONDS, ...options }: TenantMessagesOptions) {
    this.#tokens = new TenantTokens({ ...options, maxAgeSeconds });
    this.options = options;
  }

  /**
   * Makes a client (`ClientProxy`) sign each message that it sends or emits for the tenant context in which `send()` or
   * `emit()` was called; whoever subscribes to what they return, its operators run in that context too. Where there is no tenant in context, both
   * throw NoTenantContextError before any I/O. The client itself is changed, and returned.
   *
   * @throws RlsConfigurationError if another `TenantMessages` signs for it, or it is no client of TCP, Redis or NATS of
   * `@nestjs/microservices` 12.0.4 or later.
   */
  sign<C extends Client>(client: C): C {
    const signer = signedBy.get(client);
    if (signer === this) return client;
    if (signer) {
      throw new RlsConfigurationError(
        'A microservice client is signed for by two TenantMessages.',
        'Make one TenantMessages for an application and let it sign all clients.',
      );
    }
    this.#addTokens(client);
    signedBy.set(client, this);
    const { send, emit } = client;
    // Signs once to throw in the caller, and once more for each time that the message is sent.
    const carried = <R>(
      method: typeof send | typeof emit,
      pattern: unknown,
      data: unknown,
    ): Observable<R> => {
      // What Nest refuses by itself has no pattern or no data.
      if (pattern != null && data != null) this.#token(client, pattern, data);
      return keepContext(method.call(client, pattern, data) as Observable<R>);
    };
    client.send = (pattern, data) => carried(send, pattern, data);
    client.emit = (pattern, data) => carried(emit, pattern, data);
    return client;
  }

  /**
   * Whom a message speaks for.
   *
   * @throws InvalidTenantTokenError if it has no token that is good for it.
   */
  verify(metadata: unknown, { pattern, data }: TenantMessage): TenantContextState {
    return this.#tokens.verify(tokenOf(metadata), audienceOf(pattern), data);
  }

  /** Whether a message has a token, good or not. */
  hasToken(metadata: unknown): boolean {
    return tokenOf(metadata) !== undefined;
  }

  #addTokens(client: Client): void {
    const dispatching = client as unknown as Dispatching;
    if (!carriesTenants(client) || typeof dispatching.setOnDispatchHook !== 'function') {
      throw new RlsConfigurationError(
        `${client.constructor.name} cannot put metadata on a message.`,
        'Tenants travel over TCP, Redis and NATS, with @nestjs/microservices 12.0.4 or later.',
      );
    }
    if (client instanceof ClientNats) {
      addNatsHeader(client, METADATA_KEY, ({ pattern, data }) => this.#token(client, pattern, data));
      return;
    }
    const previous = dispatching.onDispatchHook;
    dispatching.setOnDispatchHook((packet) => {
      previous?.(packet);
      const token = this.#token(client, packet.pattern, packet.data);
      if (token !== undefined) packet.metadata = { ...packet.metadata, [METADATA_KEY]: token };
    });
  }

  #token(client: Client, pattern: unknown, data: unknown): string | undefined {
    const name = (client as unknown as Dispatching).normalizePattern(pattern);
    return this.#tokens.sign(audienceOf(name), client instanceof ClientNats ? natsData(data) : data);
  }
}

/** Whether a client's messages can have a token. */
export function carriesTenants(client: unknown): client is ClientTCP | ClientRedis | ClientNats {
  return client instanceof ClientTCP || client instanceof ClientRedis || client instanceof ClientNats;
}

function tokenOf(metadata: unknown): unknown {
  return (metadata as Record<string, unknown> | null | undefined)?.[METADATA_KEY];
}

/** A pattern that is an object arrives as JSON with its keys in the order that the transport likes. */
function audienceOf(pattern: string): Audience {
  const parsed = pattern.startsWith('{') ? parse(pattern) : undefined;
  return ['message', parsed === undefined ? pattern : canonicalJson(parsed)];
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined; // a plain name
  }
}
