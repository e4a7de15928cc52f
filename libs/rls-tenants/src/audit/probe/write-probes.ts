import type { CatalogRelation } from '../database-catalog.js';
import type { DatabaseAudit } from '../database-audit.js';
import {
  HELD,
  inconclusiveBecause,
  LEAKED,
  mustSeeNothing,
  type ProbeLog,
  type Verdict,
} from './probe-log.js';
import { truncates, writesOtherTenant } from './probe-rules.js';
import type { Outcome, ProbeSession, RunStatement } from './probe-session.js';
import type { ProbeTarget } from './probe-target.js';
import {
  deleteAllSql,
  deleteRowSql,
  insertCopySql,
  lockRowOfSql,
  moreRowsThanSql,
  moveRowSql,
  rowAddressSql,
  rowThereSql,
  rowWrittenSql,
  takeAllSql,
  truncateSql,
  upsertCopySql,
} from './probe.sql.js';
import { unknownTenant, type KnownTenants } from './tenants.js';

/** What the write probes share. */
export interface WriteProbes {
  readonly session: ProbeSession;
  readonly audit: DatabaseAudit;
  readonly log: ProbeLog;
  readonly tenants: KnownTenants;
}

/** Two tenants, seen from the one that tries to reach the other's rows. */
interface Pair {
  readonly own: string;
  readonly other: string;
}

/** The most rows of its own that a tenant's statement without WHERE may change before it is rolled back. */
const MOST_ROWS_CHANGED = 1000;

/** Tries to write what belongs to another tenant, and rolls it back. */
export async function probeWrites(probes: WriteProbes, target: ProbeTarget): Promise<void> {
  const { audit, log, session, tenants } = probes;
  const may = (privilege: string) => audit.appMay(target.relation, privilege);
  if (may('TRUNCATE'))
    log.record(truncates, target.object, 'empties the table', await truncate(session, target));
  if (target.column === undefined) return;
  const record = (way: string, verdict: Verdict) =>
    log.record(writesOtherTenant, target.object, way, verdict);

  const holders = tenants.holdersOf(target);
  if (holders.length === 0) return record('', inconclusiveBecause('no row of a tenant is known to be there'));
  if (tenants.all.length < 2) return record('', inconclusiveBecause('only one tenant is known'));
  for (const holder of holders) {
    const stranger = [...holders, ...tenants.all].find((tenant) => tenant !== holder)!;
    const attempt = new WriteAttempt(session, audit, target, target.column);
    const owner = { own: holder, other: stranger };
    const intruder = { own: stranger, other: holder };
    if (may('INSERT')) record('adds a row for another tenant', await attempt.insert(owner));
    if (may('UPDATE')) {
      record('moves a row to another tenant', await attempt.move(owner));
      record('locks a row of another tenant', await attempt.lock(intruder));
      record('takes a row of another tenant', await attempt.take(intruder));
      record('moves rows to another tenant with an UPDATE without WHERE', await attempt.moveAll(owner));
    }
    if (may('DELETE')) record('deletes a row of another tenant', await attempt.delete(intruder));
    const key = attempt.conflictKey;
    if (key && may('INSERT') && may('UPDATE')) {
      const way = 'takes a row of another tenant with ON CONFLICT DO UPDATE';
      record(way, await attempt.upsert(intruder, key));
    }
  }
  const { declared } = audit.tenantTable(target.relation)!;
  const nobody = unknownTenant(declared.tenantIdType);
  const attempt = new WriteAttempt(session, audit, target, target.column);
  if (may('UPDATE'))
    record('takes the rows of other tenants with an UPDATE without WHERE', await attempt.takeAll(nobody));
  if (may('DELETE'))
    record('deletes the rows of other tenants with a DELETE without WHERE', await attempt.deleteAll(nobody));
}

/** The right is asked for before the lock. A referencing table stops it later, when the right was there. */
async function truncate(session: ProbeSession, { quoted }: ProbeTarget): Promise<Verdict> {
  const outcome = await session.attempt({ tenant: '', writes: true }, truncateSql(quoted));
  if (outcome.kind === 'done') return LEAKED;
  if (outcome.kind === 'refused') return HELD;
  return outcome.code === '0A000' ? LEAKED : outcome;
}

interface Address {
  readonly table: string;
  readonly place: string;
  readonly content: string;
}

type Seen = { seen: boolean };

const NO_ROW: Verdict = inconclusiveBecause('the tenant does not see its own rows either');

/** Every method is one transaction, rolled back. */
class WriteAttempt {
  private readonly columns: readonly string[];

  constructor(
    private readonly session: ProbeSession,
    private readonly audit: DatabaseAudit,
    private readonly target: ProbeTarget,
    private readonly column: string,
  ) {
    this.columns = [...target.relation.columns.values()].flatMap(({ name, generated }) =>
      generated ? [] : [name],
    );
  }

  /** A row of its own, copied with only the tenant changed. */
  insert({ own, other }: Pair): Promise<Verdict> {
    return this.withRow(own, own, async (run, { content }) => {
      const sql = insertCopySql(this.target.quoted, this.column, this.columns);
      return this.verdictOnWritten(run, await run(sql, [content, other]), other);
    });
  }

  move({ own, other }: Pair): Promise<Verdict> {
    return this.withRow(own, own, async (run, { table, place }) => {
      const sql = moveRowSql(this.target.quoted, this.column);
      return this.verdictOnWritten(run, await run(sql, [other, table, place]), other);
    });
  }

  async lock({ own, other }: Pair): Promise<Verdict> {
    const sql = lockRowOfSql(this.target.quoted, this.column);
    const outcome = await this.session.attempt({ tenant: own, writes: true }, sql, [other]);
    if (outcome.kind === 'inconclusive') return outcome;
    return outcome.kind === 'done' && outcome.rowCount > 0 ? LEAKED : HELD;
  }

  take({ own, other }: Pair): Promise<Verdict> {
    return this.withRow(other, own, async (run, address) => {
      const sql = moveRowSql(this.target.quoted, this.column);
      return this.verdictOnGone(run, await run(sql, [own, address.table, address.place]), other, address);
    });
  }

  delete({ own, other }: Pair): Promise<Verdict> {
    return this.withRow(other, own, async (run, address) => {
      const outcome = await run(deleteRowSql(this.target.quoted), [address.table, address.place]);
      return this.verdictOnGone(run, outcome, other, address);
    });
  }

  /** Its primary key, if two tenants can be in each other's way there. */
  get conflictKey(): readonly string[] | undefined {
    const key = this.audit.indexesOf(this.target.relation).find(({ primary }) => primary)?.keys ?? [];
    const names = key.flatMap(({ column }) => column ?? []);
    return names.length === 0 || names.includes(this.column) ? undefined : names;
  }

  /** Inserts the other's row as its own: the key is taken, and the row that has it is updated. */
  upsert({ own, other }: Pair, key: readonly string[]): Promise<Verdict> {
    return this.withRow(other, own, async (run, address) => {
      const sql = upsertCopySql(this.target.quoted, this.column, this.columns, key);
      return this.verdictOnGone(run, await run(sql, [address.content, own]), other, address);
    });
  }

  /** It reads no column, so that no SELECT policy holds the new rows to the tenant. */
  moveAll({ own, other }: Pair): Promise<Verdict> {
    return this.withRow(own, own, async (run) => {
      const many = await run<Seen>(moreRowsThanSql(this.target.quoted, MOST_ROWS_CHANGED));
      if (many.kind !== 'done' || many.rows[0]?.seen)
        return inconclusiveBecause(
          `a tenant has more than ${MOST_ROWS_CHANGED} rows, too many to change at once`,
        );
      const outcome = await run(takeAllSql(this.target.quoted, this.column), [other]);
      return this.verdictOnWritten(run, outcome, other);
    });
  }

  /** A tenant without rows tries: whatever such a statement reaches is somebody else's. No SELECT policy is asked. */
  takeAll(nobody: string): Promise<Verdict> {
    return this.withoutWhere(nobody, takeAllSql(this.target.quoted, this.column), [nobody]);
  }

  deleteAll(nobody: string): Promise<Verdict> {
    return this.withoutWhere(nobody, deleteAllSql(this.target.quoted), []);
  }

  private async withoutWhere(tenant: string, sql: string, values: readonly unknown[]): Promise<Verdict> {
    const outcome = await this.session.attempt({ tenant, writes: true }, sql, values);
    if (outcome.kind === 'inconclusive') return outcome;
    if (outcome.kind === 'refused') return this.stoppedByConstraint(outcome);
    return outcome.rowCount > 0 ? LEAKED : HELD;
  }

  /** Gives `work` a row of the holder, and the transaction to whoever tries. */
  private withRow(
    holder: string,
    own: string,
    work: (run: RunStatement, address: Address) => Promise<Verdict>,
  ): Promise<Verdict> {
    return this.session.transaction({ tenant: holder, writes: true }, async (run) => {
      const found = await run<Address>(rowAddressSql(this.target.quoted, this.column), [holder]);
      if (found.kind === 'inconclusive') return found;
      const address = found.kind === 'done' ? found.rows[0] : undefined;
      if (!address) return NO_ROW;
      const became = own === holder ? found : await this.session.become({ tenant: own });
      return became.kind === 'done' ? work(run, address) : inconclusiveBecause('the tenant could not be set');
    });
  }

  /** A trigger may have put the tenant right: what counts is what is there. */
  private async verdictOnWritten(run: RunStatement, outcome: Outcome, other: string): Promise<Verdict> {
    if (outcome.kind === 'inconclusive') return outcome;
    if (outcome.kind === 'refused') return this.stoppedByConstraint(outcome);
    if (outcome.rowCount === 0) return HELD;
    return mustSeeNothing(await this.as(other, run, rowWrittenSql(this.target.quoted, this.column), [other]));
  }

  private async verdictOnGone(
    run: RunStatement,
    outcome: Outcome,
    other: string,
    { table, place }: Address,
  ): Promise<Verdict> {
    if (outcome.kind === 'inconclusive') return outcome;
    if (outcome.kind === 'refused') return this.stoppedByConstraint(outcome);
    const there = await this.as(other, run, rowThereSql(this.target.quoted), [table, place]);
    if (there.kind !== 'done') return inconclusiveBecause('the effect could not be seen');
    return there.rows[0]?.seen ? HELD : LEAKED;
  }

  private async as(
    tenant: string,
    run: RunStatement,
    sql: string,
    values: readonly unknown[],
  ): Promise<Outcome<Seen>> {
    const became = await this.session.become({ tenant });
    return became.kind === 'done' ? run<Seen>(sql, values) : became;
  }

  /**
   * PostgreSQL checks policies before constraints, so a constraint only stops a row that the policies let by. Not so
   * where rows are routed to partitions first, or a trigger may have changed the row.
   */
  private stoppedByConstraint({ code, routine }: Extract<Outcome, { kind: 'refused' }>): Verdict {
    if (routine === 'aclcheck_error') return inconclusiveBecause('the role lacks the privilege on a column');
    if (!code.startsWith('23')) return HELD;
    if (routine === 'ExecFindPartition') return inconclusiveBecause('no partition takes the row');
    return this.hasTriggers(this.target.relation)
      ? inconclusiveBecause('a constraint stopped it, and a trigger may have changed the row before')
      : LEAKED;
  }

  private hasTriggers(relation: CatalogRelation): boolean {
    return this.audit.triggersOf(relation).some(({ enabled }) => enabled !== 'D');
  }
}
