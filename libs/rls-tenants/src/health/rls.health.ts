import { Inject, Injectable, Logger } from '@nestjs/common';
import { HealthIndicatorService, type HealthIndicatorResult } from '@nestjs/terminus';
import type { DataSource } from 'typeorm';
import { formatFindings, verifyIsolation, type Finding } from '../audit/index.js';
import { RLS_TENANTS_OPTIONS } from '../context/index.js';
import { ISOLATED_DATA_SOURCES } from '../rls-tenants.module.js';
import type { RlsTenantsOptions } from '../rls-tenants.options.js';
import { SharedAnswer } from './shared-answer.js';

/** How {@link RlsHealthIndicator.isolated} checks. */
export interface IsolatedOptions {
  /** How old the last audit of a data source may be, in milliseconds. Younger ones answer without a query. Default 30,000. */
  maxAgeMs?: number;
  /** How long to wait for an audit, in milliseconds. Default 1,000. */
  timeoutMs?: number;
}

/** What the endpoint tells of what is wrong, which strangers may read: neither names of objects nor SQL. */
export interface IsolationHealth {
  /** How many findings of severity error or above each rule has. */
  readonly findings: Readonly<Record<string, number>>;
  /** How many data sources could not be audited in time. */
  readonly unchecked: number;
}

const DEFAULT_MAX_AGE_MS = 30_000;
const DEFAULT_TIMEOUT_MS = 1_000;

/** What one audit said, or why there is none. */
type Outcome = readonly Finding[] | Error;

interface WatchedDataSource {
  readonly description: string;
  readonly findings: SharedAnswer<readonly Finding[]>;
  /** What was logged of it last. */
  logged: string;
}

/**
 * Health indicator for `@nestjs/terminus`: are the application's data sources still isolated? It runs what boot
 * verification runs, on every data source of `RlsTenantsModule`, over the application's own connections.
 *
 * ```ts
 * @TenantOptional()
 * @Get('ready')
 * @HealthCheck()
 * ready() { return this.health.check([() => this.rls.isolated('tenant_isolation')]); }
 * ```
 */
@Injectable()
export class RlsHealthIndicator {
  private readonly logger = new Logger(RlsHealthIndicator.name);
  private readonly watched: readonly WatchedDataSource[];

  constructor(
    @Inject(HealthIndicatorService) private readonly health: HealthIndicatorService,
    @Inject(ISOLATED_DATA_SOURCES) dataSources: readonly DataSource[],
    @Inject(RLS_TENANTS_OPTIONS) { adminRole }: RlsTenantsOptions,
  ) {
    this.watched = dataSources.map((dataSource) => ({
      description: describe(dataSource),
      findings: new SharedAnswer(() => verifyIsolation(dataSource, { adminRole })),
      logged: '',
    }));
  }

  /**
   * `down` while an audit has findings of severity error or above, and while a data source cannot be audited in time.
   * The log says which objects, why and what to run: once, until that changes. However often and from wherever it is
   * called, a data source is audited once at a time, and no more often than `maxAgeMs` says.
   */
  async isolated<Key extends string>(
    key: Key,
    { maxAgeMs = DEFAULT_MAX_AGE_MS, timeoutMs = DEFAULT_TIMEOUT_MS }: IsolatedOptions = {},
  ): Promise<HealthIndicatorResult<Key>> {
    const outcomes = await Promise.all(
      this.watched.map(async (source) => {
        const outcome = await outcomeOf(source.findings.get(maxAgeMs), timeoutMs);
        this.log(source, outcome);
        return outcome;
      }),
    );
    const health = healthOf(outcomes);
    const indicator = this.health.check(key);
    const isUp = health.unchecked === 0 && Object.keys(health.findings).length === 0;
    return isUp ? indicator.up() : indicator.down({ ...health });
  }

  private log(source: WatchedDataSource, outcome: Outcome): void {
    const text = outcome instanceof Error ? reasonOf(outcome) : formatFindings(outcome);
    if (text === source.logged) return;
    source.logged = text;
    if (outcome instanceof Error) this.logger.warn(`${source.description} could not be audited: ${text}`);
    else if (text === '') this.logger.log(`${source.description} isolates its tenants again.`);
    else this.logger.error(`${source.description} does not isolate its tenants:\n${text}`);
  }
}

function describe({ options, driver }: DataSource): string {
  const { name = 'default' } = options as { name?: string };
  return `The data source "${name}" of database "${driver.database}"`;
}

/** Never rejects. The audit goes on when the time is up, and whoever asks next waits for the same one. */
async function outcomeOf(findings: Promise<readonly Finding[]>, timeoutMs: number): Promise<Outcome> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<Error>((resolve) => {
    timer = setTimeout(() => resolve(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([findings, timeout]);
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  } finally {
    clearTimeout(timer);
  }
}

/** A refused connection may have a code and no message. */
function reasonOf(error: Error): string {
  const { code } = error as { code?: unknown };
  return error.message || (typeof code === 'string' ? code : error.name);
}

function healthOf(outcomes: readonly Outcome[]): IsolationHealth {
  const findings: Record<string, number> = {};
  for (const { ruleId } of outcomes.flatMap((outcome) => (outcome instanceof Error ? [] : outcome))) {
    findings[ruleId] = (findings[ruleId] ?? 0) + 1;
  }
  return { findings, unchecked: outcomes.filter((outcome) => outcome instanceof Error).length };
}
