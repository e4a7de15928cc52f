export { databaseKnowledge, type DatabaseKnowledge } from './database-knowledge.js';
export { generateMigrations, type GeneratedMigrations, type GenerateOptions } from './generate-migrations.js';
export { pairStatements, type PairedStatements } from './pair-statements.js';
export { renderFile, renderFiles } from './render.js';
export { rewriteSteps, type RewriteOptions, type RewrittenSteps } from './rewrite.js';
export { splitMigrationFile, type SplitFile, type SplitOptions } from './split-file.js';
export { splitSteps } from './split.js';
export { originsOf } from './step.js';
export { inlineParameters } from './statement.js';
export type {
  Note,
  OperationStep,
  Phase,
  PlannedFile,
  RenderedFile,
  SchemaFacts,
  SqlStep,
  Step,
} from './step.js';
