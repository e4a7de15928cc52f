import { bind, execute, kept, parse } from './messages.js';
import type { Sealer } from './sealer.js';

interface Kept {
  readonly generation: number;
  readonly messages: Buffer;
}

/** Backends for which the messages of one tenant are kept: thousands of tenants on a large pool would take a gigabyte. */
const KEPT_BACKENDS = 16;

/**
 * What carries one tenant with its seal: ready to write, for each backend that the tenant's statements go to, until the
 * seal is made anew. Always messages of the extended query protocol with the seal as a parameter: it stands in no text
 * that another session could read.
 */
export class SealedMessages {
  private readonly parsed: Buffer;
  private readonly byBackend = new Map<number, Kept>();

  /**
   * @param sql the query; $1 is the tenant, $2 the seal.
   * @param readable what a set context reads besides, as the query carries it.
   */
  constructor(
    private readonly sealer: Sealer,
    private readonly sql: string,
    private readonly tenant: string,
    private readonly readable: string,
  ) {
    this.parsed = kept(parse('', sql));
  }

  /** Parse, Bind and Execute, with a seal for the backend; 0 where that is not known. */
  of(backend: number): Buffer {
    const { generation } = this.sealer;
    const known = this.byBackend.get(backend);
    if (known?.generation === generation) return known.messages;
    // The others are as old, or there are too many of them.
    if (known !== undefined || this.byBackend.size >= KEPT_BACKENDS) this.byBackend.clear();
    const messages = kept(this.parsed, this.bound(backend));
    this.byBackend.set(backend, { generation, messages });
    return messages;
  }

  /** The same for any backend, and one row comes back that holds the process id of the one that it met. */
  asking(): Buffer {
    return Buffer.concat([parse('', `${this.sql}, pg_catalog.pg_backend_pid()::text`), this.bound(0)]);
  }

  private bound(backend: number): Buffer {
    const seal = this.tenant === '' ? '' : this.sealer.seal(this.tenant, this.readable, backend);
    return Buffer.concat([bind('', this.tenant, seal), execute()]);
  }
}
