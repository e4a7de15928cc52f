import type ts from 'typescript';
import { loadModule } from 'libpg-query';
import { RlsConfigurationError } from '../errors.js';
import { loadTypeScript, readMigrationFile, type TypeScript } from '../lint/index.js';
import type { Migration, MigrationFile, Operation, Statement } from '../lint/migration.js';
import { pairStatements } from './pair-statements.js';
import { inlineParameters, shorten, singleCommands } from './statement.js';
import type { Note, Phase, SqlStep, Step } from './step.js';

/** A migration file as steps. */
export interface ReadSteps {
  readonly migration: Migration;
  readonly steps: readonly Step[];
  readonly notes: readonly Note[];
  /** What cannot be read, so that nothing is known of it. */
  readonly unreadable: readonly string[];
  /** What stands in the way of moving its statements into other files. */
  readonly problems: readonly string[];
}

/** When the library's operations run, as they stand in a file. */
const OPERATION_PHASES: Readonly<Record<string, Phase>> = {
  addNullableColumn: 'structure',
  addTenantColumn: 'structure',
  alterTenantPolicy: 'structure',
  compositeForeignKey: 'structure',
  compositeUnique: 'structure',
  grantTable: 'structure',
  protectJoinTable: 'structure',
  protectTable: 'structure',
  protectedPartition: 'structure',
  unprotectTable: 'structure',
  concurrentIndex: 'index',
  tenantIndex: 'index',
  uniqueConstraint: 'index',
  partitionIndexes: 'partitioned-index',
  parentIndex: 'attach-partitioned-index',
  partitionedIndex: 'attach-partitioned-index',
  checkConstraint: 'validate',
  notNull: 'validate',
  validatedForeignKey: 'validate',
};

/**
 * Reads a migration file into steps, each statement with what undoes it.
 *
 * @throws RlsConfigurationError if the file cannot be parsed, or does not hold exactly one migration.
 */
export async function readSteps(file: string, text: string): Promise<ReadSteps> {
  const [typescript] = await Promise.all([loadTypeScript(), loadModule()]);
  const read = readMigrationFile(typescript, file, text);
  const [migration, second] = read.migrations;
  if (!migration || second) {
    throw new RlsConfigurationError(
      `${file} holds ${read.migrations.length} migrations.`,
      'Name a file with one migration: a class with an up() and a down(), or with the operations of an RlsMigration.',
    );
  }
  const calls = callsOf(typescript, file, text);
  const ups = migration.statements.filter(({ direction }) => direction === 'up').flatMap(texts);
  const downs = migration.statements.filter(({ direction }) => direction === 'down').flatMap(texts);
  const paired = pairStatements(
    ups.map(({ sql }) => sql),
    downs.map(({ sql }) => sql),
  );
  const placed = [
    ...paired.steps.map((step, index) => ({
      step: withReview(step, ups[index]!.statement, read),
      at: ups[index]!.statement,
    })),
    ...migration.operations
      .filter(({ name }) => OPERATION_PHASES[name] !== undefined)
      .map((operation) => ({ step: operationStepOf(operation, calls), at: operation })),
  ];
  return {
    migration,
    // Stable: the commands of one ALTER TABLE have one place.
    steps: placed.sort((a, b) => a.at.line - b.at.line || a.at.column - b.at.column).map(({ step }) => step),
    notes: paired.notes,
    unreadable: unreadable(file, migration),
    problems: problemsOf(file, migration, calls),
  };
}

/** The single statements of one that was read, its parameters written into it. */
function texts(statement: Statement): { sql: string; statement: Statement }[] {
  const sql = inlineParameters(statement.sql, literalParameters(statement.parameters) ?? []);
  return singleCommands(sql).map((one) => ({ sql: one, statement }));
}

/** TypeORM writes parameters as JSON. Undefined for anything else. */
function literalParameters(parameters: string | undefined): unknown[] | undefined {
  if (parameters === undefined) return [];
  try {
    const parsed: unknown = JSON.parse(parameters);
    return Array.isArray(parsed) ? parsed : undefined;
  } catch {
    return undefined;
  }
}

/** A finding that is suppressed with a reason stays so. */
function withReview(
  step: SqlStep,
  { anchorLine, line }: Statement,
  { suppressions }: MigrationFile,
): SqlStep {
  const own = suppressions.filter(
    ({ targetLine, reason }) => [anchorLine, line].includes(targetLine) && reason !== '',
  );
  const [first] = own;
  if (!first) return step;
  return {
    ...step,
    reviewed: {
      rules: own.flatMap(({ ruleIds }) => ruleIds),
      reason: own.map(({ reason }) => reason).join('; '),
    },
  };
}

/** A call of a function, and what of the file it depends on. */
interface Call {
  readonly code: string;
  readonly foreign: readonly string[];
}

/** The calls of a file by where they begin, as `line:column`. */
function callsOf(ts: TypeScript, file: string, text: string): ReadonlyMap<string, Call> {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const calls = new Map<string, Call>();
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node) && ts.isIdentifier(node.expression)) {
      const { line, character } = source.getLineAndCharacterOfPosition(node.getStart());
      calls.set(`${line + 1}:${character + 1}`, {
        code: oneLine(node.getText()),
        foreign: foreignNames(ts, node),
      });
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return calls;
}

/** Names that the call takes from the file around it; its own function comes from the library. */
function foreignNames(ts: TypeScript, call: ts.CallExpression): string[] {
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isPropertyAssignment(node)) return visit(node.initializer);
    if (ts.isIdentifier(node) && node.text !== 'undefined') found.push(node.text);
    ts.forEachChild(node, visit);
  };
  for (const argument of call.arguments) visit(argument);
  return found;
}

/** Line breaks of the layout away; those in a template literal are text. */
function oneLine(code: string): string {
  if (code.includes('`')) return code;
  return code
    .replaceAll(/\(\{\s*\n\s*/g, '({ ')
    .replaceAll(/,?\s*\n\s*\}/g, ' }')
    .replaceAll(/,?\s*\n\s*\]/g, ']')
    .replaceAll(/\[\s*\n\s*/g, '[')
    .replaceAll(/\s*\n\s*/g, ' ');
}

function operationStepOf(operation: Operation, calls: ReadonlyMap<string, Call>): Step {
  return {
    kind: 'operation',
    phase: OPERATION_PHASES[operation.name]!,
    table: operation.table ?? operation.name,
    code: calls.get(`${operation.line}:${operation.column}`)?.code ?? '',
    imports: [operation.name],
  };
}

function unreadable(file: string, { unanalyzable, entityUses }: Migration): string[] {
  return [
    ...unanalyzable.map(({ line, what }) => `${file}:${line} cannot be read: ${what}`),
    ...entityUses.map(({ line, what }) => `${file}:${line} uses entities: ${what}`),
  ];
}

function problemsOf(file: string, migration: Migration, calls: ReadonlyMap<string, Call>): string[] {
  const at = ({ line }: { line: number }, what: string) => `${file}:${line} ${what}`;
  const { statements, operations } = migration;
  return [
    ...statements.flatMap((one) =>
      statementProblems(one).map((what) => at(one, `${what}: ${shorten(one.sql)}`)),
    ),
    ...operations.flatMap((one) =>
      operationProblems(one, calls.get(`${one.line}:${one.column}`)).map((what) =>
        at(one, `${one.name}: ${what}`),
      ),
    ),
  ];
}

function statementProblems(statement: Statement): string[] {
  return [
    ...(statement.conditional || statement.repeated ? ['runs under a condition or in a loop'] : []),
    ...(statement.allRows ? ['runs in withAllRows'] : []),
    ...(literalParameters(statement.parameters) ? [] : ['has parameters that are computed']),
  ];
}

function operationProblems({ name, table }: Operation, call: Call | undefined): string[] {
  if (name === 'runSql') return [];
  if (OPERATION_PHASES[name] === undefined) return ['it is not known when it runs'];
  if (table === undefined) return ['its table is not a literal'];
  if (!call) return ['its call is not found'];
  return call.foreign.length > 0 ? [`it depends on ${call.foreign.join(', ')} of this file`] : [];
}
