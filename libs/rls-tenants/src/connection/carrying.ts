import type { TenantContextState } from '../context/tenant-context.js';
import { LEFT, type Front, type Fronts } from './front.js';
import type { PgClient, TransactionStatus } from './pg-internals.js';
import { PreparedFront, type FrontForm } from './prepared-front.js';
import type { SealOptions } from './seal.options.js';
import type { CountsByKind } from './statement-events.js';

/**
 * Decides, for one client, what each statement carries. It tracks nothing that could go stale: the tenant is carried
 * with every statement, because `ROLLBACK TO SAVEPOINT` restores an earlier value behind any tracker's back.
 */
export class Carrying {
  readonly prepared: PreparedFront;
  private readonly status: () => TransactionStatus | null;
  // Sticky until the client is seen idle: errs towards taking back what is not there, never towards leaving it.
  private left: number = LEFT.nothing;

  constructor(
    private readonly client: PgClient,
    private readonly fronts: Fronts,
    private readonly carried: CountsByKind,
    private readonly seal?: SealOptions,
  ) {
    this.prepared = new PreparedFront(client, (seal?.backend ?? 'detect') === 'detect');
    this.status = client.getTransactionStatus ? () => client.getTransactionStatus!() : trackStatus(client);
  }

  /**
   * The front of a statement that is about to be written, or undefined where it goes alone. To be called from
   * `submit()` and no earlier: TypeORM issues `ROLLBACK TO SAVEPOINT` when the error arrives, before ReadyForQuery has
   * updated the status.
   */
  frontOf(state: TenantContextState): Front | undefined {
    // Pipelined statements are submitted before the earlier ones are answered, so the status says nothing about them.
    const status = this.client.pipeline ? null : this.status();
    if (status === 'E') return undefined; // anything in front would fail, and mask the ROLLBACK
    if (status === 'I') {
      this.left = LEFT.nothing;
      // Under a seal nobody is carried too: an earlier statement may have left another setting in the session.
      if (state.kind === 'nobody' && !this.seal) return undefined;
    }
    // For nobody inside a transaction the empty setting is carried, or the statement would inherit the last tenant.
    const front = this.fronts.of(state, this.left);
    if (state.kind === 'admin') this.left |= LEFT.adminRole;
    else if (state.kind === 'tenant' && state.readableTenantIds !== undefined)
      this.left |= LEFT.readableTenants;
    this.carried[state.kind]++;
    return front;
  }

  /** The messages of a front that is about to be written in that form. */
  messagesOf(front: Front, form: FrontForm): Buffer {
    if (front.sealed) return form === 'asking' ? front.sealed.asking() : front.sealed.of(this.backend());
    switch (form) {
      case 'unnamed':
        return front.messages;
      case 'asking':
        return front.askingMessages;
      case 'preparing':
        return front.preparingMessages;
      case 'prepared':
        return front.preparedMessages;
    }
  }

  /** The process id that a seal is bound to; 0 for none. */
  private backend(): number {
    const { backend = 'detect' } = this.seal!;
    const bound = backend === 'bound' || (backend === 'detect' && this.prepared.ownsBackend);
    return bound ? (this.client.processID ?? 0) : 0;
  }
}

function trackStatus(client: PgClient): () => TransactionStatus {
  // Until the server says otherwise: nothing was carried on this client yet, so there is nothing to inherit.
  let status: TransactionStatus = 'I';
  // Before the client's own listener, which submits the next statement.
  client.connection.prependListener('readyForQuery', (message) => (status = message.status));
  return () => status;
}
