import type { TenantContextState } from '../context/tenant-context.js';
import { LEFT, type Front, type Fronts } from './front.js';
import type { PgClient, TransactionStatus } from './pg-internals.js';
import { PreparedFront, type FrontForm } from './prepared-front.js';
import type { SealOptions } from './seal.options.js';
import type { CountsByKind } from './statement-events.js';
import type { TransactionControl } from './transaction-control.js';
import { transactionStatusOf } from './transaction-status.js';

/**
 * Decides, for one client, what each statement carries. It tracks nothing that could go stale: the tenant is carried
 * with every statement, because `ROLLBACK TO SAVEPOINT` restores an earlier value behind any tracker's back.
 */
export class Carrying {
  readonly prepared: PreparedFront;
  private readonly reported: () => TransactionStatus | null;
  // Sticky until the client is seen idle: errs towards taking back what is not there, never towards leaving it.
  private left: number = LEFT.nothing;
  /** Whom the running transaction was carried for last, and whether that were several. */
  private carriedFor: TenantContextState | undefined;
  private isShared = false;

  constructor(
    private readonly client: PgClient,
    private readonly fronts: Fronts,
    private readonly carried: CountsByKind,
    private readonly seal?: SealOptions,
  ) {
    this.prepared = new PreparedFront(client, (seal?.backend ?? 'detect') === 'detect');
    this.reported = transactionStatusOf(client);
  }

  /**
   * The front of a statement that is about to be written, or undefined where it goes alone. To be called from
   * `submit()` and no earlier: TypeORM issues `ROLLBACK TO SAVEPOINT` when the error arrives, before ReadyForQuery has
   * updated the status.
   */
  frontOf(state: TenantContextState): Front | undefined {
    const status = this.statusBeforeText();
    if (status === 'E') return undefined; // anything in front would fail, and mask the ROLLBACK
    // Under a seal nobody is carried too: an earlier statement may have left another setting in the session.
    if (status === 'I' && state.kind === 'nobody' && !this.seal) return undefined;
    // For nobody inside a transaction the empty setting is carried, or the statement would inherit the last tenant.
    return this.frontIn(state);
  }

  /** The front of a text that is a single statement of transaction control: none, but see {@link frontOfCommit}. */
  frontOfControl(control: TransactionControl): Front | undefined {
    this.statusBeforeText();
    return control === 'commit' ? this.frontOfCommit(true) : undefined;
  }

  /**
   * The front of a COMMIT: nobody, if the transaction was carried for several, else undefined. A cursor WITH HOLD that was
   * not fetched runs at COMMIT, and would show who declared it what the last tenant sees. Test: attack R10.
   *
   * @param isFirst whether it is the first statement of its text.
   */
  frontOfCommit(isFirst: boolean): Front | undefined {
    const status = this.status();
    if (!this.isShared || (isFirst && (status === 'E' || status === 'I'))) return undefined;
    return this.fronts.of({ kind: 'nobody' }, this.left);
  }

  /**
   * The front of what follows the first statement of a text that is sent in an aborted transaction: behind a
   * `ROLLBACK TO` the transaction goes on, as the tenant of the savepoint. Test: attack R21.
   */
  frontBehindRollback(state: TenantContextState): Front | undefined {
    return this.status() === 'E' ? this.frontIn(state) : undefined;
  }

  /** Outside a transaction nothing is left of earlier ones. */
  private statusBeforeText(): TransactionStatus | null {
    const status = this.status();
    if (status === 'I') {
      this.left = LEFT.nothing;
      this.isShared = false;
      this.carriedFor = undefined;
    }
    return status;
  }

  /** Null where it is not known. */
  private status(): TransactionStatus | null {
    // Pipelined statements are submitted before the earlier ones are answered, so the status says nothing about them.
    return this.client.pipeline ? null : this.reported();
  }

  private frontIn(state: TenantContextState): Front {
    this.isShared ||= this.carriedFor !== undefined && !isSame(this.carriedFor, state);
    this.carriedFor = state;
    const front = this.fronts.of(state, this.left);
    if (state.kind === 'admin') this.left |= LEFT.adminRole;
    else if (state.kind === 'tenant' && state.readableTenantIds !== undefined)
      this.left |= LEFT.readableTenants;
    this.carried[state.kind]++;
    return front;
  }

  /** Whether what is carried is sealed. */
  get seals(): boolean {
    return this.seal !== undefined;
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

function isSame(one: TenantContextState, other: TenantContextState): boolean {
  if (one === other) return true;
  if (one.kind !== 'tenant' || other.kind !== 'tenant') return one.kind === other.kind;
  return one.tenantId === other.tenantId && one.readableTenantIds === other.readableTenantIds;
}
