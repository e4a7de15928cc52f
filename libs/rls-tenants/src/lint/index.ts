export type { LintOptions } from './context.js';
export { sortLintFindings, type CorrectedFile, type LintFinding, type LintSeverity } from './finding.js';
export { lintMigrations, type LintInput, type LintReport } from './lint.js';
export { loadTypeScript, type TypeScript } from './typescript.js';
export { readMigrationFile } from './read-file.js';
export type { LintRule } from './rule.js';
export { LINT_RULES } from './rules/index.js';
