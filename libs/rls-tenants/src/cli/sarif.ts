/** A tool's run in SARIF's words. */
export interface SarifRun {
  readonly name: string;
  readonly rules: readonly object[];
  readonly results: readonly object[];
  /** What is no finding and must not be lost: what was not checked. */
  readonly notifications: readonly SarifNotification[];
}

/** A remark on the run itself. */
export interface SarifNotification {
  readonly level: 'note' | 'warning';
  readonly text: string;
  /** The rule that it is about. */
  readonly ruleId?: string | undefined;
}

/** A SARIF 2.1.0 log of one run. */
export function sarifText({ name, rules, results, notifications }: SarifRun): string {
  const log = {
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: [
      {
        tool: { driver: { name, rules } },
        columnKind: 'utf16CodeUnits',
        invocations: [
          { executionSuccessful: true, toolExecutionNotifications: notifications.map(notification) },
        ],
        results,
      },
    ],
  };
  return `${JSON.stringify(log, null, 2)}\n`;
}

/** A rule as GitHub wants it, which shows `help` beside an alert and refuses rules without descriptions. */
export function sarifRule(id: string, name: string, description: string, help: string): object {
  const text = { text: description };
  return { id, name, shortDescription: text, fullDescription: text, help: { text: help } };
}

/** A place in a file of the repository, relative to the directory that the command runs in. */
export function sarifPlace(file: string, line: number, column: number): object {
  return {
    artifactLocation: { uri: encodeURI(file.replaceAll('\\', '/')), uriBaseId: '%SRCROOT%' },
    region: { startLine: line, startColumn: column },
  };
}

function notification({ level, text, ruleId }: SarifNotification): object {
  return { level, message: { text }, ...(ruleId !== undefined && { associatedRule: { id: ruleId } }) };
}
