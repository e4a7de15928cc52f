import type { MigrationEvent, MigrationStatus } from '../migrations/index.js';
import { describeBackend } from '../migrations/runner/backends.js';
import { paint, type CliOutput } from './cli-output.js';

type Colors = Pick<CliOutput, 'colors'>;

/** One event of a runner, on one line or a few. */
export function eventText(event: MigrationEvent, colors: Colors): string {
  switch (event.type) {
    case 'waiting':
      return `Waiting for the migration lock: ${event.holders.map(describeBackend).join('; ')}\n`;
    case 'warning':
      return `${paint(colors, 'yellow', 'Warning:')} ${event.message}\n  ${event.hint}\n`;
    case 'started':
      return `[${event.position}/${event.of}] ${event.action} ${event.name}\n`;
    case 'finished':
      return `[${event.position}/${event.of}] ${paint(colors, 'green', 'done')} in ${seconds(event.durationMs)}\n`;
    case 'retry': {
      const blockers = event.blockers.map((blocker) => `  in the way: ${describeBackend(blocker)}\n`);
      const next = `${event.reason}, again in ${seconds(event.delayMs)} (try ${event.attempt} of ${event.tries} failed)`;
      return `[${event.position}/${event.of}] ${paint(colors, 'yellow', next)}\n${blockers.join('')}`;
    }
  }
}

/** Every migration with its state, oldest first. */
export function statusText(status: readonly MigrationStatus[], colors: Colors): string {
  if (status.length === 0) return 'There are no migrations.\n';
  const lines = status.map(({ name, timestamp, state, outOfOrder }) => {
    const note = outOfOrder ? paint(colors, 'yellow', '  older than the newest applied one') : '';
    return `${paint(colors, state === 'applied' ? 'green' : 'yellow', state.padEnd(7))}  ${timestamp.toISOString()}  ${name}${note}\n`;
  });
  const pending = status.filter(({ state }) => state === 'pending').length;
  return `${lines.join('')}\n${pending} pending.\n`;
}

/** The same for machines. */
export function statusJson(status: readonly MigrationStatus[]): string {
  return `${JSON.stringify(status, null, 2)}\n`;
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}
