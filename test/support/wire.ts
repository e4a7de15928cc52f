import { createServer, connect, type AddressInfo, type Socket } from 'node:net';

/** What went over the wire between a client and PostgreSQL. */
export interface Wire {
  /** Connection string of the proxy, with everything else of `url` kept. */
  url(url: string): string;
  /** Types of the messages clients sent since the last call to `reset()`, for example 'P', 'B', 'E', 'S', 'Q'. */
  sent(): string[];
  /** Times a client wrote after the server had answered: what latency multiplies. */
  roundTrips(): number;
  reset(): void;
  close(): Promise<void>;
}

/** A TCP proxy in front of PostgreSQL that reads the protocol. */
export async function startWire(target: { port: number; host: string }): Promise<Wire> {
  let sent: string[] = [];
  let roundTrips = 0;
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(target.port, target.host);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.setNoDelay(true).on('error', () => socket.destroy());
      socket.on('close', () => sockets.delete(socket));
    }
    let serverSpoke = true;
    const read = messageReader((type) => sent.push(type));
    client.on('data', (chunk) => {
      read(chunk);
      if (serverSpoke) roundTrips++;
      serverSpoke = false;
      upstream.write(chunk);
    });
    upstream.on('data', (chunk) => {
      serverSpoke = true;
      client.write(chunk);
    });
    client.on('close', () => upstream.destroy());
    upstream.on('close', () => client.destroy());
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  return {
    url: (url) => {
      const proxied = new URL(url);
      proxied.hostname = '127.0.0.1';
      proxied.port = String(port);
      return proxied.toString();
    },
    sent: () => sent,
    roundTrips: () => roundTrips,
    reset: () => {
      sent = [];
      roundTrips = 0;
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((done) => server.close(done));
    },
  };
}

/** Reads a client's messages, after the untyped start-up message; passwords are left out. */
function messageReader(onMessage: (type: string) => void): (chunk: Buffer) => void {
  let bytes = Buffer.alloc(0);
  let started = false;
  return (chunk) => {
    bytes = Buffer.concat([bytes, chunk]);
    for (;;) {
      const header = started ? 1 : 0;
      const end = bytes.length >= header + 4 ? header + bytes.readUInt32BE(header) : Infinity;
      if (bytes.length < end) return;
      const type = started ? String.fromCharCode(bytes[0]!) : 'p';
      if (type !== 'p') onMessage(type);
      started = true;
      bytes = bytes.subarray(end);
    }
  };
}
