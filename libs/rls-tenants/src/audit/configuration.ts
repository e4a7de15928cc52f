import { RlsConfigurationError } from '../errors.js';
import { parseAllowEntry, type AllowEntry } from './allow-list.js';
import { SEVERITIES, type Severity } from './finding.js';

/** What a configuration file says. `configuration.schema.json` describes the file to editors. */
export interface AuditConfiguration {
  /** By rule id; `'off'` for rules that do not run. */
  readonly severities: ReadonlyMap<string, Severity | 'off'>;
  readonly allow: readonly AllowEntry[];
}

/** What holds without a file. */
export const NO_CONFIGURATION: AuditConfiguration = { severities: new Map(), allow: [] };

const KEYS = ['$schema', 'rules', 'allow'];

/**
 * Reads a configuration file's text.
 *
 * @param file its name, for messages.
 * @param ruleIds of all rules there are.
 * @throws RlsConfigurationError for anything that is not understood: a typing error must not change what is checked.
 */
export function parseConfiguration(
  text: string,
  file: string,
  ruleIds: ReadonlySet<string>,
): AuditConfiguration {
  const content = parseObject(text, file);
  const unknown = Object.keys(content).find((key) => !KEYS.includes(key));
  if (unknown !== undefined) {
    throw new RlsConfigurationError(
      `${file} has an unknown key ${JSON.stringify(unknown)}.`,
      'It may have "rules" and "allow".',
    );
  }
  return {
    severities: severitiesOf(content.rules ?? {}, file, ruleIds),
    allow: listOf(content.allow ?? [], file).map((entry, index) =>
      parseAllowEntry(entry, `${file}: allow[${index}]`, ruleIds),
    ),
  };
}

function severitiesOf(
  value: unknown,
  file: string,
  ruleIds: ReadonlySet<string>,
): Map<string, Severity | 'off'> {
  if (!isObject(value)) {
    throw new RlsConfigurationError(
      `${file}: "rules" is no object.`,
      'Write { "RLS046": "off", "RLS072": "error" }.',
    );
  }
  return new Map(
    Object.entries(value).map(([id, severity]) => {
      if (!ruleIds.has(id)) {
        throw new RlsConfigurationError(
          `${file}: "rules" names a rule ${JSON.stringify(id)} that does not exist.`,
          'docs/rules has a page for each rule there is.',
        );
      }
      const known = [...SEVERITIES, 'off' as const].find((one) => one === severity);
      if (known !== undefined) return [id, known];
      throw new RlsConfigurationError(
        `${file}: the severity of ${id} is ${JSON.stringify(severity)}.`,
        `It is one of ${SEVERITIES.join(', ')}; or off.`,
      );
    }),
  );
}

function listOf(value: unknown, file: string): unknown[] {
  if (Array.isArray(value)) return value;
  throw new RlsConfigurationError(
    `${file}: "allow" is no list.`,
    'Write [{ "rule": …, "object": …, "reason": … }].',
  );
}

/** A JSON text that must be an object. @throws RlsConfigurationError that names the file. */
export function parseObject(text: string, file: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new RlsConfigurationError(
      `${file} is no JSON: ${cause instanceof Error ? cause.message : String(cause)}.`,
      'Correct it there; comments and trailing commas are not JSON.',
      { cause },
    );
  }
  if (isObject(value)) return value;
  throw new RlsConfigurationError(`${file} holds no JSON object.`, 'Begin it with {.');
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
