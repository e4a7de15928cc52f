import { Counter, register, type CounterConfiguration } from 'prom-client';
import type { DataSource } from 'typeorm';
import { Isolation } from '../connection/isolation.js';
import type { CountsByKind, StatementCounts } from '../connection/statement-events.js';

type Registry = NonNullable<CounterConfiguration<string>['registers']>[number];

const COUNTERS: [name: string, help: string, counts: keyof StatementCounts][] = [
  ['rls_statements_carried_total', 'Statements that carried a tenant context to PostgreSQL', 'carried'],
  [
    'rls_statements_refused_total',
    'Statements refused before any I/O, for want of a valid tenant',
    'refused',
  ],
  [
    'rls_violations_total',
    'Statements refused by row-level security or for want of a privilege',
    'violations',
  ],
];

/**
 * Registers counters of what became of the statements of isolated data sources: `rls_statements_carried_total`,
 * `rls_statements_refused_total` and `rls_violations_total`, with the labels `context` (`tenant`, `admin`, `nobody`) and
 * `data_source` (its name). Never by tenant: there may be too many, and who scrapes need not know them.
 *
 * The numbers are counted all the time, and read when the registry is asked. A data source has none before it is
 * isolated.
 *
 * @param registry of prom-client. Default: its global one.
 * @throws whatever prom-client throws, if a metric of the name is registered already: call it once for all data sources.
 */
export function registerStatementCounters(
  dataSources: DataSource | readonly DataSource[],
  registry: Registry = register,
): void {
  const sources = [dataSources].flat();
  for (const [name, help, counts] of COUNTERS) {
    const counter = new Counter({
      name,
      help,
      labelNames: ['data_source', 'context'],
      registers: [],
      collect() {
        this.reset();
        for (const source of sources) {
          const counted: CountsByKind | undefined = Isolation.get(source)?.counts[counts];
          for (const [context, count] of Object.entries(counted ?? {}))
            this.inc({ data_source: nameOf(source), context }, count);
        }
      },
    });
    registry.registerMetric(counter);
  }
}

function nameOf({ options }: DataSource): string {
  return (options as { name?: string }).name ?? 'default';
}
