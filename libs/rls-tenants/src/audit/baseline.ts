import { RlsConfigurationError } from '../errors.js';
import { parseObject } from './configuration.js';
import { SEVERITIES, type Finding } from './finding.js';

/** A finding that was there when the baseline was written. */
export type BaselineEntry = Pick<Finding, 'ruleId' | 'object' | 'severity'>;

const VERSION = 1;

/** What makes a finding the same one in another run. Neither its message nor its fix does: they may be worded better. */
export function fingerprint({ ruleId, object }: Pick<Finding, 'ruleId' | 'object'>): string {
  return JSON.stringify([ruleId, object]);
}

/**
 * Reads a baseline.
 *
 * @param file its name, for messages.
 * @throws RlsConfigurationError if it is not one that {@link baselineText} wrote.
 */
export function parseBaseline(text: string, file: string): BaselineEntry[] {
  const { version, findings } = parseObject(text, file);
  if (version === VERSION && Array.isArray(findings) && findings.every(isEntry)) return findings;
  throw new RlsConfigurationError(
    `${file} is no baseline of this version of check-rls.`,
    'Write it again with --update-baseline, and look at what changes.',
  );
}

function isEntry(value: unknown): value is BaselineEntry {
  const { ruleId, object, severity } = (value ?? {}) as Partial<Record<keyof BaselineEntry, unknown>>;
  return (
    typeof ruleId === 'string' && typeof object === 'string' && SEVERITIES.some((one) => one === severity)
  );
}

/** A baseline of findings, one entry for each fingerprint, in an order that keeps its history readable. */
export function baselineText(findings: readonly BaselineEntry[]): string {
  const entries = new Map<string, BaselineEntry>();
  const worstFirst = SEVERITIES.flatMap((severity) => findings.filter((one) => one.severity === severity));
  for (const { ruleId, object, severity } of worstFirst) {
    const entry = { ruleId, object, severity };
    if (!entries.has(fingerprint(entry))) entries.set(fingerprint(entry), entry);
  }
  const sorted = [...entries].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, entry]) => entry);
  return `${JSON.stringify({ version: VERSION, findings: sorted }, null, 2)}\n`;
}
