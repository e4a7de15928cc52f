export { SESSION_SETTINGS, type LintOptions, type SessionSetting } from './context.js';
export { sortLintFindings, type CorrectedFile, type LintFinding, type LintSeverity } from './finding.js';
export { lintMigrations, type LintInput, type LintReport } from './lint.js';
export { loadTypeScript, type TypeScript } from './typescript.js';
export { readMigrationFile } from './read-file.js';
export { recordCalls } from './record-calls.js';
export { RECORDED_METHODS } from './recording-query-runner.js';
export type { LintRule } from './rule.js';
export { LINT_RULES } from './rules/index.js';
