/** What GitHub calls its annotations. */
export type WorkflowCommand = 'error' | 'warning' | 'notice';

/**
 * A workflow command, which GitHub shows beside the line or in the summary of a run. Whatever the texts hold, it is one
 * command on one line.
 */
export function workflowCommand(
  command: WorkflowCommand,
  properties: Readonly<Record<string, string | number>>,
  message: string,
): string {
  const list = Object.entries(properties).map(([key, value]) => `${key}=${property(String(value))}`);
  return `::${command}${list.length === 0 ? '' : ` ${list.join(',')}`}::${data(message)}\n`;
}

function data(text: string): string {
  return text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
}

function property(text: string): string {
  return data(text).replaceAll(':', '%3A').replaceAll(',', '%2C');
}
