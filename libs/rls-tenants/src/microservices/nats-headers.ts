import { NatsRecord, type ClientNats, type Serializer } from '@nestjs/microservices';
import { RlsConfigurationError } from '../errors.js';

type Header = readonly [name: string, values: readonly string[]];

/** Headers of a NATS message. The package that makes them belongs to the application, and is not imported. */
export interface NatsHeaders extends Iterable<Header> {
  has(name: string): boolean;
  get(name: string): string;
  append(name: string, value: string): void;
}

interface Packet {
  pattern: unknown;
  data: unknown;
}

interface SerializedPacket {
  data: unknown;
  headers?: NatsHeaders | undefined;
}

/** What subclasses of a NATS client may use. */
interface Subclassable {
  serializer: Serializer<Packet, SerializedPacket> & { init?(): unknown };
  mergeHeaders(headers: NatsHeaders | undefined): NatsHeaders;
}

/**
 * Makes a NATS client put a header on each message, in the place of one of that name that its `NatsRecord` has. Nest's
 * NATS server hands headers to handlers, and nothing else of a packet but its data. The headers of the record are copied:
 * whoever sends it twice, for two tenants, has one object.
 */
export function addNatsHeader(
  client: ClientNats,
  name: string,
  valueOf: (packet: Packet) => string | undefined,
): void {
  const subclassable = client as unknown as Subclassable;
  const { serializer } = subclassable;
  // The client serializes a packet once each time that it sends it, right before that.
  subclassable.serializer = {
    init: () => serializer.init?.(),
    serialize(packet) {
      const value = valueOf(packet);
      const withHeader = (message: SerializedPacket): SerializedPacket => {
        const others = [...(message.headers ?? [])].filter(([other]) => other !== name);
        const headers = value === undefined ? others : [...others, [name, [value]] as const];
        return { ...message, headers: makeHeaders(client, headers) };
      };
      const message = serializer.serialize(packet);
      return message instanceof Promise ? message.then(withHeader) : withHeader(message);
    },
  };
}

/** What a handler is given of a value that was sent by a NATS client. */
export function natsData(data: unknown): unknown {
  return data instanceof NatsRecord ? (data.data as unknown) : data;
}

/** By way of Nest, which loaded the package: it makes headers if it is to add any to a message that has none. */
function makeHeaders(client: ClientNats, entries: readonly Header[]): NatsHeaders | undefined {
  if (entries.length === 0) return undefined;
  requireHeaders(client);
  const adding = Object.create(client, { options: { value: { headers: {} } } }) as Subclassable;
  const headers = adding.mergeHeaders(undefined);
  for (const [name, values] of entries) {
    for (const value of values) headers.append(name, value);
  }
  return headers;
}

/** The server would close the connection, and the sender wait for an answer for ever. */
function requireHeaders(client: ClientNats): void {
  const { info } = client.unwrap<{ info?: { headers?: boolean } }>();
  if (!info || info.headers) return;
  throw new RlsConfigurationError(
    'The NATS server takes no headers, so that messages cannot have a tenant token.',
    'Use NATS 2.2 or later, without `no_header_support` in its configuration.',
  );
}
