import { paint, visibleLine, type CliOutput } from './cli-output.js';

/** A key of the tenant seal, without its secret. */
export interface ListedKey {
  readonly id: string;
  /** Null: never. */
  readonly expiresAt: Date | null;
  /** Whether the database has it when the command has done its work. */
  readonly inDatabase: boolean;
  readonly inEnvironment: boolean;
  /** The one that applications with these keys seal with now. */
  readonly seals: boolean;
  /** What happened to it in the database, or is to happen; undefined: nothing. */
  readonly change: 'added' | 'changed' | 'removed' | undefined;
}

/** What `seal-keys` did. */
export interface SealKeysReport {
  readonly tenantSetting: string;
  /** The environment variable. */
  readonly from: string;
  /** Nothing was changed. */
  readonly check: boolean;
  readonly keys: readonly ListedKey[];
}

export function keysJson({ tenantSetting, from, check, keys }: SealKeysReport): string {
  const listed = keys.map(({ change = null, ...key }) => ({ ...key, change }));
  return `${JSON.stringify({ tenantSetting, variable: from, check, keys: listed }, undefined, 2)}\n`;
}

export function keysText(report: SealKeysReport, output: CliOutput): string {
  const { tenantSetting, from, check, keys } = report;
  const width = Math.max(...keys.map(({ id }) => id.length));
  const lines = keys.map((key) => {
    const parts = [visibleLine(key.id).padEnd(width), expiry(key), whereabouts(key, from)];
    if (key.seals) parts.push(paint(output, 'green', 'seals'));
    if (key.change) parts.push(paint(output, 'yellow', check ? `to be ${key.change}` : key.change));
    return `  ${parts.join('  ')}\n`;
  });
  const left = keys.filter(({ inDatabase, inEnvironment }) => inDatabase && !inEnvironment);
  return [
    `Keys of the tenant seal of ${tenantSetting}:\n`,
    ...lines,
    left.length === 0
      ? ''
      : `--prune removes what ${from} does not hold, once no application seals with it.\n`,
  ].join('');
}

function expiry({ expiresAt }: ListedKey): string {
  if (expiresAt === null) return 'never expires';
  return `${expiresAt.getTime() <= Date.now() ? 'expired' : 'expires'} ${expiresAt.toISOString()}`;
}

function whereabouts({ inDatabase, inEnvironment }: ListedKey, from: string): string {
  if (inDatabase && inEnvironment) return `database and ${from}`;
  if (inDatabase) return 'database only';
  return inEnvironment ? `${from} only` : 'nowhere any more';
}
