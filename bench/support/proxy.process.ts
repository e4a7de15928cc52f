import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import type { ProxyAnswer, ProxyRequest } from './proxy.js';

/** Bytes on their way to the server. */
interface Parcel {
  due: number;
  to: Socket;
  bytes: Buffer;
}

// A timer of Node.js is late by up to a millisecond. The last stretch is slept through in pieces this long, between
// which the event loop takes in what arrived.
const TIMER_PRECISION_MS = 1.5;
const NAP_MS = 0.03;
const nap = new Int32Array(new SharedArrayBuffer(4));

const targetPort = Number(process.argv[2]);
const underWay: Parcel[] = [];
let latency = 0;
let roundTrips = 0;
let waiting = false;

/** The whole latency lies on the way to the server: the answer of one round trip is never sent before the question. */
function send(to: Socket, bytes: Buffer): void {
  if (latency === 0) return void to.write(bytes);
  underWay.push({ due: performance.now() + latency, to, bytes });
  if (!waiting) deliver();
}

function deliver(): void {
  const now = performance.now();
  while (underWay.length > 0 && underWay[0]!.due <= now) {
    const { to, bytes } = underWay.shift()!;
    to.write(bytes);
  }
  waiting = underWay.length > 0;
  if (!waiting) return;
  const left = underWay[0]!.due - now;
  if (left > TIMER_PRECISION_MS) {
    setTimeout(deliver, left - TIMER_PRECISION_MS);
    return;
  }
  Atomics.wait(nap, 0, 0, Math.min(left, NAP_MS));
  setImmediate(deliver);
}

const server = createServer((client) => {
  const upstream = connect(targetPort, '127.0.0.1');
  for (const socket of [client, upstream]) socket.setNoDelay(true).on('error', () => socket.destroy());
  let serverSpoke = true;
  client.on('data', (bytes: Buffer) => {
    if (serverSpoke) roundTrips++;
    serverSpoke = false;
    send(upstream, bytes);
  });
  upstream.on('data', (bytes: Buffer) => {
    serverSpoke = true;
    client.write(bytes);
  });
  client.on('close', () => upstream.destroy());
  upstream.on('close', () => client.destroy());
});

const answer = (message: ProxyAnswer) => process.send!(message);
process.on('message', (request: ProxyRequest) => {
  if ('latency' in request) {
    latency = request.latency;
    answer({ done: true });
  } else {
    answer({ roundTrips });
    roundTrips = 0;
  }
});
process.on('disconnect', () => process.exit());
server.listen(0, '127.0.0.1', () => answer({ port: (server.address() as AddressInfo).port }));
