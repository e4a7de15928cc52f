import { RlsTenantsError } from '../errors.js';
import type { Severity } from '../audit/index.js';

/** Where a command writes. */
export interface CliOutput {
  out(text: string): void;
  err(text: string): void;
  /** Whether escape sequences for colours belong in the text. */
  readonly colors: boolean;
}

/** The process's own streams. Colours on a terminal only, and never where NO_COLOR is set (https://no-color.org). */
export function processOutput(): CliOutput {
  return {
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    colors: [process.stdout, process.stderr].every(({ isTTY }) => isTTY) && !process.env.NO_COLOR,
  };
}

const ESCAPES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33 } as const;

/** Colours text, or leaves it as it is. */
export function paint(
  { colors }: Pick<CliOutput, 'colors'>,
  style: keyof typeof ESCAPES,
  text: string,
): string {
  return colors ? `\u001B[${ESCAPES[style]}m${text}\u001B[0m` : text;
}

/** The colour of a severity. */
export function severityStyle(severity: Severity): keyof typeof ESCAPES {
  switch (severity) {
    case 'critical':
    case 'error':
      return 'red';
    case 'warning':
      return 'yellow';
    case 'info':
      return 'dim';
  }
}

/**
 * Text with names of a database's objects in it: whatever they hold, they move no cursor, change no colour, turn no text
 * around, and begin no workflow command, which GitHub takes from a log at the beginning of any line, spaces aside.
 */
export function visible(text: string): string {
  return text
    .replaceAll(/[\p{Cc}\p{Bidi_Control}]/gu, (sign) => (sign === '\n' ? sign : escaped(sign)))
    .replaceAll(/^(\s*):(?=:)/gm, (_colon, margin: string) => margin + escaped(':'));
}

/** {@link visible} on one line. */
export function visibleLine(text: string): string {
  return visible(text.replaceAll('\n', escaped('\n')));
}

function escaped(sign: string): string {
  return `\\u{${sign.codePointAt(0)!.toString(16)}}`;
}

/** What an error says to a person, with the next step. A refused connection may have a code and no message. */
export function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code } = error as { code?: unknown };
  const message = error.message || (typeof code === 'string' ? code : error.name);
  return error instanceof RlsTenantsError ? `${message}\n  ${error.hint}` : message;
}
