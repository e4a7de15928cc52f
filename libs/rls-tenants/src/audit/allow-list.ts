import { RlsConfigurationError } from '../errors.js';
import type { Finding } from './finding.js';

/** Findings of one rule that somebody looked at and accepts, and why. */
export interface AllowEntry {
  readonly rule: string;
  /** A finding's object, such as `view "public.report"`; `*` stands for any text. */
  readonly object: string;
  readonly reason: string;
  /** The last day on which it holds, in UTC: `2027-01-31`. Default: it holds until it is removed. */
  readonly expires?: string | undefined;
}

const KEYS = ['rule', 'object', 'reason', 'expires'];

/**
 * One entry of a configuration file's allow list.
 *
 * @param at where it stands, for messages.
 * @throws RlsConfigurationError if a part is missing, empty, unknown or malformed. Nobody accepts a finding by accident.
 */
export function parseAllowEntry(value: unknown, at: string, ruleIds: ReadonlySet<string>): AllowEntry {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw malformed(`${at} is no object`, 'Write { "rule": …, "object": …, "reason": … }.');
  }
  const entry = value as Record<string, unknown>;
  const unknown = Object.keys(entry).find((key) => !KEYS.includes(key));
  if (unknown !== undefined) {
    throw malformed(`${at} has an unknown key ${JSON.stringify(unknown)}`, `It may have ${KEYS.join(', ')}.`);
  }
  const rule = text(entry, 'rule', at);
  if (!ruleIds.has(rule)) {
    throw malformed(
      `${at} names a rule ${JSON.stringify(rule)} that does not exist`,
      'Name one, like RLS022.',
    );
  }
  const expires = entry.expires === undefined ? undefined : text(entry, 'expires', at);
  if (expires !== undefined && !isDate(expires)) {
    throw malformed(
      `${at} expires on ${JSON.stringify(expires)}, which is no day`,
      'Write it as "2027-01-31".',
    );
  }
  return { rule, object: text(entry, 'object', at), reason: text(entry, 'reason', at), expires };
}

/** The entry is about the finding, expired or not. */
export function matches({ rule, object }: AllowEntry, finding: Finding): boolean {
  if (rule !== finding.ruleId) return false;
  const literal = object.split('*').map((part) => part.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
  return new RegExp(`^${literal.join('[^]*')}$`).test(finding.object);
}

/** @param today a day in UTC, `2026-11-21`. */
export function isExpired({ expires }: AllowEntry, today: string): boolean {
  return expires !== undefined && expires < today;
}

function text(entry: Record<string, unknown>, key: string, at: string): string {
  const value = entry[key];
  if (typeof value === 'string' && value.trim() !== '') return value;
  const hint =
    key === 'reason'
      ? 'Say why this is no hole here; whoever reads it next has to know.'
      : 'An entry needs a rule, an object and a reason, each a text.';
  throw malformed(`${at} has no ${key}`, hint);
}

/** Also refuses days that no calendar has, which Date would move into the next month. */
function isDate(value: string): boolean {
  const day = /^\d{4}-\d{2}-\d{2}$/.test(value) ? new Date(`${value}T00:00:00Z`) : undefined;
  return day !== undefined && !Number.isNaN(day.getTime()) && day.toISOString().startsWith(value);
}

function malformed(message: string, hint: string): RlsConfigurationError {
  return new RlsConfigurationError(`${message}.`, hint);
}
