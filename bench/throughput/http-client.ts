import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { USER_HEADER } from './load.js';

export interface HttpAnswer {
  status: number;
  body: string;
}

interface Waiting {
  resolve(answer: HttpAnswer): void;
  reject(error: Error): void;
}

const HEAD_END = '\r\n\r\n';

/**
 * A client with one connection that it keeps, and one request on it at a time. It parses only what the two platforms
 * send, because every microsecond that it takes on this machine is the application's.
 */
export class HttpClient {
  private received: Buffer = Buffer.alloc(0);
  private waiting: Waiting | undefined;

  private constructor(private readonly socket: Socket) {
    socket.setNoDelay(true);
    socket.on('data', (bytes: Buffer) => this.receive(bytes));
    socket.on('error', (error) => this.fail(error));
    socket.on('close', () => this.fail(new Error('The application closed the connection.')));
  }

  static async connect(port: number): Promise<HttpClient> {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    return new HttpClient(socket);
  }

  get(path: string, user: string): Promise<HttpAnswer> {
    return new Promise((resolve, reject) => {
      this.waiting = { resolve, reject };
      this.socket.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n${USER_HEADER}: ${user}\r\n\r\n`);
    });
  }

  close(): void {
    this.socket.destroy();
  }

  private receive(bytes: Buffer): void {
    this.received = this.received.length === 0 ? bytes : Buffer.concat([this.received, bytes]);
    const headEnd = this.received.indexOf(HEAD_END);
    if (headEnd < 0) return;
    const head = this.received.toString('latin1', 0, headEnd);
    const length = /^content-length: *(\d+)/im.exec(head)?.[1];
    if (length === undefined) return this.fail(new Error(`An answer without a length: ${head}`));
    const start = headEnd + HEAD_END.length;
    const end = start + Number(length);
    if (this.received.length < end) return;
    const answer = { status: Number(head.slice(9, 12)), body: this.received.toString('utf8', start, end) };
    this.received = this.received.subarray(end);
    this.settle()?.resolve(answer);
  }

  private fail(error: Error): void {
    this.settle()?.reject(error);
    this.socket.destroy();
  }

  private settle(): Waiting | undefined {
    const { waiting } = this;
    this.waiting = undefined;
    return waiting;
  }
}
