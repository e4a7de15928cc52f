import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { RlsConfigurationError } from '../errors.js';
import type { LintFinding } from './finding.js';
import type { Migration, Statement } from './migration.js';
import type { AnchoredFinding } from './rule.js';

/** What squawk was able to do. */
export type SquawkResult =
  | { readonly ran: true; readonly findings: readonly AnchoredFinding[] }
  | { readonly ran: false; readonly reason: string };

interface SquawkReport {
  readonly line: number;
  readonly level: string;
  readonly message: string;
  readonly help: string | null;
  readonly rule_name: string;
}

/**
 * Rules of squawk that this linter has its own version of, with knowledge of tenants, partitions and TypeORM's
 * transactions, and those about matters that the migration data source decides (timeouts) or that are style.
 */
const LEFT_OUT: ReadonlySet<string> = new Set([
  'adding-field-with-default',
  'adding-foreign-key-constraint',
  'adding-not-nullable-field',
  'adding-required-field',
  'adding-serial-primary-key-field',
  'ban-char-field',
  'ban-concurrent-index-creation-in-transaction',
  'ban-drop-column',
  'ban-drop-not-null',
  'ban-drop-table',
  'changing-column-type',
  'constraint-missing-not-valid',
  'disallowed-unique-constraint',
  'prefer-big-int',
  'prefer-bigint-over-int',
  'prefer-bigint-over-smallint',
  'prefer-identity',
  'prefer-robust-stmts',
  'prefer-text-field',
  'prefer-timestamp-tz',
  'renaming-column',
  'renaming-table',
  'require-concurrent-index-creation',
  'require-concurrent-index-deletion',
  'require-concurrent-partition-detach',
  'require-concurrent-reindex',
  'require-concurrent-refresh-materialized-view',
  'require-lock-timeout',
  'require-statement-timeout',
  'transaction-nesting',
]);

/** The generic rules of squawk (https://squawkhq.com), if `squawk-cli` is installed: an optional peer. */
export async function runSquawk(migrations: readonly Migration[]): Promise<SquawkResult> {
  const script = squawkScript();
  if (script === undefined) {
    return {
      ran: false,
      reason: 'squawk-cli is not installed: `npm install --save-dev squawk-cli` adds its rules.',
    };
  }
  const findings: AnchoredFinding[] = [];
  for (const migration of migrations) findings.push(...(await squawkOne(script, migration)));
  return { ran: true, findings };
}

function squawkScript(): string | undefined {
  try {
    // From where the command runs: squawk-cli is the application's dependency.
    const require = createRequire(join(process.cwd(), 'package.json'));
    return require.resolve('squawk-cli/js/bin/squawk');
  } catch {
    return undefined;
  }
}

async function squawkOne(script: string, migration: Migration): Promise<AnchoredFinding[]> {
  const statements = migration.statements.filter(({ direction }) => direction === 'up');
  if (statements.length === 0) return [];
  const { sql, starts } = joined(statements);
  const args = [script, '--reporter', 'json', '--stdin-filepath', migration.file];
  if (migration.transaction !== false) args.push('--assume-in-transaction');
  const reports = parseReport(await execute(args, sql)).filter((report) => !LEFT_OUT.has(report.rule_name));
  return reports.map((report) => finding(migration, report, statements, starts));
}

/** One statement after the other, and the line from which each stands. */
function joined(statements: readonly Statement[]): { sql: string; starts: number[] } {
  const starts: number[] = [];
  let line = 0;
  const sql = statements.map((statement) => {
    starts.push(line);
    line += statement.sql.split('\n').length + 1;
    return `${statement.sql}\n;`;
  });
  return { sql: sql.join('\n'), starts };
}

function finding(
  migration: Migration,
  report: SquawkReport,
  statements: readonly Statement[],
  starts: readonly number[],
): AnchoredFinding {
  const index = Math.max(
    starts.findLastIndex((start) => start <= report.line),
    0,
  );
  const statement = statements[index]!;
  const severity: LintFinding['severity'] = report.level === 'Error' ? 'error' : 'warning';
  return {
    ruleId: `squawk/${report.rule_name}`,
    title: report.rule_name,
    severity,
    file: migration.file,
    // The statement's own place: a line break in SQL may be an escape, and no line of the file.
    line: statement.line,
    column: statement.column,
    anchorLine: statement.anchorLine,
    message: report.message,
    fix: report.help ?? `See https://squawkhq.com/docs/${report.rule_name}`,
  };
}

function parseReport(output: string): SquawkReport[] {
  try {
    return JSON.parse(output) as SquawkReport[];
  } catch (cause) {
    throw new RlsConfigurationError(
      `squawk gave no report: ${output.slice(0, 200)}`,
      'Run `npx squawk --version`; reinstall squawk-cli, or leave it out with --no-squawk.',
      { cause },
    );
  }
}

/** squawk ends with 1 where it found something: its output counts. */
function execute(args: readonly string[], input: string): Promise<string> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, args, (error, stdout, stderr) => {
      resolve(stdout === '' && error ? stderr || error.message : stdout);
    });
    child.stdin?.end(input);
  });
}
