import { loadModule } from 'libpg-query';
import type { DataSource } from 'typeorm';
import { tenantTablesOf } from '../entities/index.js';
import { DEFAULT_ADMIN_ROLE, DEFAULT_TENANT_COLUMN, DEFAULT_TENANT_SETTING } from '../policies/index.js';
import { RlsConfigurationError } from '../errors.js';
import { lintContext, type LintOptions } from './context.js';
import { readDatabaseFacts } from './database-facts.js';
import { sortLintFindings, type LintFinding } from './finding.js';
import type { Migration, MigrationFile, Suppression } from './migration.js';
import { readMigrationFile } from './read-file.js';
import { recordCalls } from './record-calls.js';
import type { AnchoredFinding, LintRule } from './rule.js';
import { LINT_RULES } from './rules/index.js';
import { unusedIgnore } from './rules/MIG085.unused-ignore.rule.js';
import { runSquawk } from './squawk.js';
import { loadTypeScript } from './typescript.js';

/** A file to read: its name as findings show it, and what is in it. */
export interface LintInput {
  readonly file: string;
  readonly text: string;
  /** False for a file that is read for what it says of tables, and not linted. Default true. */
  readonly lint?: boolean;
}

/** What a lint found, and how much of the migrations it saw. */
export interface LintReport {
  readonly findings: readonly LintFinding[];
  readonly coverage: {
    readonly files: number;
    readonly migrations: number;
    /** SQL statements that were read. */
    readonly statements: number;
    /** Calls of the library's own operations, safe by construction. */
    readonly operations: number;
    /** What could not be read: each is a finding of MIG013. */
    readonly unanalyzable: number;
    /** Findings that a comment with a reason suppresses. */
    readonly suppressed: number;
  };
  /** What was left out, and why: a check that was skipped never looks like one that passed. */
  readonly skipped: readonly string[];
}

/**
 * Reads migrations, without running them, and looks for what locks, fails or leaks.
 *
 * @param inputs the migrations; the more of the history, the better the rules know the tables.
 * @throws RlsConfigurationError if `typescript` is not installed, or a file cannot be parsed.
 */
export async function lintMigrations(
  inputs: readonly LintInput[],
  options: LintOptions & {
    readonly squawk?: boolean | undefined;
    /** Ids of opt-in rules to run as well: `MIG090`. */
    readonly rules?: readonly string[] | undefined;
    /**
     * An initialized data source of a database that the migrations are for: what its entities declare and what its
     * catalog says is known to the rules. It is read in one transaction that can only read.
     */
    readonly dataSource?: DataSource | undefined;
  } = {},
): Promise<LintReport> {
  const rules = rulesToRun(options.rules ?? []);
  const [ts] = await Promise.all([loadTypeScript(), loadModule()]);
  const { dataSource } = options;
  const declared = dataSource ? tenantTablesOf(dataSource) : [];
  const tenantColumn =
    options.tenantColumn ?? agreed(declared.map((one) => one.tenantColumn)) ?? DEFAULT_TENANT_COLUMN;
  const tenantSetting =
    options.tenantSetting ?? agreed(declared.map((one) => one.tenantSetting)) ?? DEFAULT_TENANT_SETTING;
  const adminRole = options.adminRole ?? DEFAULT_ADMIN_ROLE;
  const transactionMode = options.transactionMode ?? dataSource?.options.migrationsTransactionMode;
  const read = inputs.map(({ file, text }) => readMigrationFile(ts, file, text));
  const facts = dataSource && (await readDatabaseFacts(dataSource, tenantColumn, read));
  const files = await recordCalls(read, facts);
  const told = { ...options, tenantColumn, tenantSetting, adminRole, transactionMode };
  const context = lintContext(files, told, facts);
  const linted = files.filter((_, index) => inputs[index]!.lint !== false);
  const migrations = linted.flatMap((file) => file.migrations);
  const squawk = options.squawk === false ? undefined : await runSquawk(migrations);
  const found = [
    ...migrations.flatMap((migration) => rules.flatMap((rule) => rule.check(migration, context))),
    ...(squawk?.ran ? squawk.findings : []),
  ];
  const optedOut = LINT_RULES.filter((rule) => !rules.includes(rule)).map(({ id }) => id);
  const didRun = (ruleId: string) =>
    ruleId.startsWith('squawk/') ? squawk?.ran === true : !optedOut.includes(ruleId);
  const { kept, suppressed } = suppress(linted, found, didRun);
  const skipped =
    squawk === undefined ? ['squawk: switched off.'] : squawk.ran ? [] : [`squawk: ${squawk.reason}`];
  return {
    findings: sortLintFindings(kept),
    coverage: { ...coverage(linted, migrations), suppressed },
    skipped,
  };
}

/** What all entities say; nothing where they say different things. */
function agreed(values: readonly string[]): string | undefined {
  return new Set(values).size === 1 ? values[0] : undefined;
}

/** @throws RlsConfigurationError for an id that no rule has. */
function rulesToRun(asked: readonly string[]): readonly LintRule[] {
  const unknown = asked.find((ruleId) => !LINT_RULES.some(({ id }) => id === ruleId));
  if (unknown !== undefined) {
    throw new RlsConfigurationError(
      `There is no rule ${JSON.stringify(unknown)}.`,
      `Rules that run on demand: ${LINT_RULES.filter(({ optIn }) => optIn)
        .map(({ id }) => id)
        .join(', ')}. All others run always.`,
    );
  }
  return LINT_RULES.filter(({ id, optIn }) => !optIn || asked.includes(id));
}

function coverage(files: readonly MigrationFile[], migrations: readonly Migration[]) {
  const count = (of: (migration: Migration) => readonly unknown[]) =>
    migrations.reduce((sum, migration) => sum + of(migration).length, 0);
  return {
    files: files.length,
    migrations: migrations.length,
    statements: count(({ statements }) => statements),
    operations: count(({ operations }) => operations),
    unanalyzable: count(({ unanalyzable }) => unanalyzable),
  };
}

/** Takes away what comments suppress, and adds what is wrong with the comments. */
function suppress(
  files: readonly MigrationFile[],
  found: readonly AnchoredFinding[],
  didRun: (ruleId: string) => boolean,
): { kept: LintFinding[]; suppressed: number } {
  const used = new Set<string>();
  const key = (file: string, { line }: Suppression, ruleId: string) => `${file}:${line}:${ruleId}`;
  const suppressions = new Map(files.map((file) => [file.file, file.suppressions]));
  const remaining = found.filter((finding) => {
    const by = (suppressions.get(finding.file) ?? []).filter(
      ({ targetLine, ruleIds, reason }) =>
        [finding.anchorLine, finding.line].includes(targetLine) &&
        reason !== '' &&
        ruleIds.includes(finding.ruleId),
    );
    for (const one of by) used.add(key(finding.file, one, finding.ruleId));
    return by.length === 0;
  });
  const stale = files.flatMap((file) =>
    file.suppressions.flatMap((one) =>
      unusedIgnore(
        file.file,
        one,
        // Whether a rule would still find it is not known where it did not run.
        one.ruleIds.filter((ruleId) => !used.has(key(file.file, one, ruleId)) && didRun(ruleId)),
      ),
    ),
  );
  const kept = [...remaining, ...stale].map(({ anchorLine: _anchorLine, ...finding }) => finding);
  return { kept, suppressed: found.length - remaining.length };
}
