import type ts from 'typescript';
import { RlsConfigurationError } from '../errors.js';
import type {
  Direction,
  EntityUse,
  Migration,
  MigrationFile,
  Operation,
  Place,
  RunnerCall,
  Statement,
  Suppression,
  Unanalyzable,
} from './migration.js';
import { literalOf } from './literal.js';
import { readSql } from './read-sql.js';
import { RECORDED_METHODS } from './recording-query-runner.js';
import { constantsOf, textOf, type Constants } from './sql-text.js';
import type { TypeScript } from './typescript.js';

/** The package whose operations are safe by construction, and its entry points. */
const LIBRARY = /^nestjs-rls-tenants(?:\/\w+)?$/;

/** Methods of a query runner that neither change a schema nor rows. */
const HARMLESS =
  /^(?:connect|release|has[A-Z]\w*|get[A-Z]\w*|startTransaction|commitTransaction|rollbackTransaction)$/;

/**
 * Reads the migrations of a file, without running it. libpg-query's `loadModule()` must have finished.
 *
 * @throws RlsConfigurationError if it is neither TypeScript nor JavaScript.
 */
export function readMigrationFile(ts: TypeScript, file: string, text: string): MigrationFile {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const [problem] = (source as unknown as { parseDiagnostics: ts.DiagnosticWithLocation[] }).parseDiagnostics;
  if (problem) {
    const { line } = source.getLineAndCharacterOfPosition(problem.start);
    throw new RlsConfigurationError(
      `${file}:${line + 1} cannot be parsed: ${ts.flattenDiagnosticMessageText(problem.messageText, ' ')}`,
      'Name TypeScript or JavaScript files that compile.',
    );
  }
  const imported = libraryNames(ts, source);
  const constants = constantsOf(ts, source);
  const migrations: Migration[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isClassLike(node) && isMigration(ts, node)) {
      migrations.push(new ClassReader(ts, source, node, constants, imported).read());
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return { file, text, migrations, suppressions: suppressionsIn(text) };
}

/** The local names of what the library exports. */
function libraryNames(ts: TypeScript, source: ts.SourceFile): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  for (const statement of source.statements) {
    if (!ts.isImportDeclaration(statement) || !ts.isStringLiteral(statement.moduleSpecifier)) continue;
    const bindings = statement.importClause?.namedBindings;
    if (!LIBRARY.test(statement.moduleSpecifier.text) || !bindings || !ts.isNamedImports(bindings)) continue;
    for (const { name, propertyName } of bindings.elements) names.set(name.text, (propertyName ?? name).text);
  }
  return names;
}

/** Properties of a query runner that only say how it stands. */
const STATE: ReadonlySet<string> = new Set(['isTransactionActive', 'isReleased', 'data']);

/** Base classes of the library that have `transaction = false`. */
const NON_TRANSACTIONAL: ReadonlySet<string> = new Set(['ConcurrentMigration', 'TenantBackfillMigration']);

/** Methods that call their callback for each element. */
const ITERATION = /^(?:map|flatMap|forEach|reduce)$/;

/** A class with an `up`, or with the `operations` of an RlsMigration. */
function isMigration(ts: TypeScript, node: ts.ClassLikeDeclaration): boolean {
  const abstract = node.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.AbstractKeyword) ?? false;
  const implementsIt = (node.heritageClauses ?? []).some(({ types }) =>
    types.some(({ expression }) => /Migration(?:Interface)?$/.test(expression.getText())),
  );
  const up = node.members.find((member) => ts.isMethodDeclaration(member) && member.name.getText() === 'up');
  const takesOne = up !== undefined && ts.isMethodDeclaration(up) && up.parameters.length === 1;
  return !abstract && (implementsIt || (takesOne && /\d{13}$/.test(node.name?.text ?? '')));
}

/** Where the reader stands while it walks through a method. */
interface Scope {
  readonly direction: Direction;
  readonly runner: string | undefined;
  readonly conditional: boolean;
  readonly repeated: boolean;
  readonly allRows: boolean;
  readonly visited: ReadonlySet<string>;
}

/** A function of the class. */
interface Method {
  readonly parameters: ts.NodeArray<ts.ParameterDeclaration>;
  readonly body: ts.ConciseBody;
}

/** Reads one migration class. */
class ClassReader {
  private readonly statements: Statement[] = [];
  private readonly calls: RunnerCall[] = [];
  private readonly operations: Operation[] = [];
  private readonly unanalyzable: Unanalyzable[] = [];
  private readonly entityUses: EntityUse[] = [];
  private outsideTransaction = false;

  constructor(
    private readonly ts: TypeScript,
    private readonly source: ts.SourceFile,
    private readonly node: ts.ClassLikeDeclaration,
    private readonly constants: Constants,
    private readonly imported: ReadonlyMap<string, string>,
  ) {}

  read(): Migration {
    const className = this.node.name?.text ?? 'default';
    const named = textOfMember(this.ts, this.property('name'), this.constants) ?? className;
    const digits = /\d{13}$/.exec(named)?.[0];
    this.readOperations();
    const base = this.base();
    if (base && this.libraryBase() === undefined) {
      this.skip(base, this.node, 'up', `what the base class ${shorten(base.getText())} does`);
    }
    const up = this.method('up');
    const down = this.method('down');
    if (up) this.readMethod(up, 'up');
    if (down) this.readMethod(down, 'down');
    return {
      ...this.place(this.node.name ?? this.node, this.node),
      file: this.source.fileName,
      className,
      name: named,
      timestamp: digits === undefined ? undefined : Number(digits),
      transaction: this.transaction(),
      statements: this.statements,
      calls: this.calls,
      operations: this.operations,
      unanalyzable: this.unanalyzable,
      entityUses: this.entityUses,
      down: this.down(down),
    };
  }

  private property(name: string): ts.PropertyDeclaration | undefined {
    return this.node.members.find(
      (member): member is ts.PropertyDeclaration =>
        this.ts.isPropertyDeclaration(member) && member.name.getText() === name,
    );
  }

  /** A method, or a property that holds a function. */
  private method(name: string): Method | undefined {
    const { ts } = this;
    for (const member of this.node.members) {
      if (member.name?.getText() !== name) continue;
      if (ts.isMethodDeclaration(member) && member.body)
        return { parameters: member.parameters, body: member.body };
      const value = ts.isPropertyDeclaration(member) ? member.initializer : undefined;
      if (value && (ts.isArrowFunction(value) || ts.isFunctionExpression(value))) return value;
    }
    return undefined;
  }

  private transaction(): boolean | undefined {
    const initializer = this.property('transaction')?.initializer?.getText().split(/\s/)[0];
    if (initializer === undefined) return NON_TRANSACTIONAL.has(this.libraryBase() ?? '') ? false : undefined;
    return initializer === 'false' ? false : initializer === 'true' ? true : undefined;
  }

  private down(method: Method | undefined): Migration['down'] {
    if (!method) return this.property('operations') || this.base() ? 'present' : 'missing';
    if (!this.ts.isBlock(method.body)) return 'present';
    const [first] = method.body.statements;
    if (!first) return 'empty';
    return this.ts.isThrowStatement(first) ? 'throws' : 'present';
  }

  /** The library's class that this one extends. */
  private libraryBase(): string | undefined {
    const base = this.base();
    return base && this.imported.get(base.getText());
  }

  private base(): ts.Expression | undefined {
    const clause = this.node.heritageClauses?.find(
      ({ token }) => token === this.ts.SyntaxKind.ExtendsKeyword,
    );
    return clause?.types[0]?.expression;
  }

  /** The `operations` of an RlsMigration: calls of the library's functions, `runSql` with SQL of its own. */
  private readOperations(): void {
    const getter = this.node.members.find(
      (member) => this.ts.isGetAccessor(member) && member.name.getText() === 'operations',
    );
    if (getter) return this.skip(getter, getter, 'up', 'operations that are no list');
    const initializer = this.property('operations')?.initializer;
    const array = initializer && unwrap(this.ts, initializer);
    if (!array) return;
    if (!this.ts.isArrayLiteralExpression(array)) return this.readSteps(array);
    for (const element of array.elements) this.readOperation(element);
  }

  /** `uid.add` with `const uid = uniqueColumn({ … })`: operations that a function of the library gives. */
  private readSteps(list: ts.Expression): void {
    const { ts } = this;
    const given =
      ts.isPropertyAccessExpression(list) && ts.isIdentifier(list.expression)
        ? this.constants.get(list.expression.text)
        : undefined;
    const name = given && this.libraryCall(given);
    if (name === undefined || !ts.isCallExpression(given!)) {
      return this.skip(list, list, 'up', 'operations that are no list');
    }
    this.operations.push({ ...this.place(list, list), name, table: this.tableOption(given) });
  }

  /** The name of the library's function that an expression calls. */
  private libraryCall(expression: ts.Expression): string | undefined {
    return this.ts.isCallExpression(expression) && this.ts.isIdentifier(expression.expression)
      ? this.imported.get(expression.expression.text)
      : undefined;
  }

  private readOperation(element: ts.Expression): void {
    const { ts } = this;
    if (ts.isSpreadElement(element)) return this.readSteps(element.expression);
    const name = this.libraryCall(element);
    if (name === undefined || !ts.isCallExpression(element)) {
      // `runOn('default')(operation)`: where it runs is no matter here.
      const [restricted] = ts.isCallExpression(element) ? element.arguments : [];
      const restriction = ts.isCallExpression(element) ? this.libraryCall(element.expression) : undefined;
      if (restricted && /^(?:runOn|withHints)$/.test(restriction ?? ''))
        return this.readOperation(restricted);
      return this.skip(element, element, 'up', `the operation ${shorten(element.getText())}`);
    }
    this.operations.push({ ...this.place(element, element), name, table: this.tableOption(element) });
    if (name !== 'runSql') return;
    const [up, down] = element.arguments;
    const scope = {
      runner: undefined,
      conditional: false,
      repeated: false,
      allRows: false,
      visited: new Set<string>(),
    };
    if (up) this.readText(up, element, { ...scope, direction: 'up' });
    if (down) this.readText(down, element, { ...scope, direction: 'down' });
  }

  /** The literal `table` or `joinTable` of an operation's options. */
  private tableOption({ arguments: [options] }: ts.CallExpression): string | undefined {
    if (!options || !this.ts.isObjectLiteralExpression(options)) return undefined;
    for (const property of options.properties) {
      if (!this.ts.isPropertyAssignment(property)) continue;
      if (!['table', 'joinTable'].includes(property.name.getText())) continue;
      return textOf(this.ts, property.initializer, this.constants)?.text.replace(/^public\./, '');
    }
    return undefined;
  }

  private readMethod(method: Method, direction: Direction): void {
    this.outsideTransaction = false;
    const runner = method.parameters[0]?.name.getText();
    const scope = {
      direction,
      runner,
      conditional: false,
      repeated: false,
      allRows: false,
      visited: new Set<string>(),
    };
    this.walk(method.body, scope);
  }

  private walk(node: ts.Node, scope: Scope): void {
    const { ts } = this;
    if (ts.isCallExpression(node)) return this.readCall(node, scope);
    const isRead = ts.isPropertyAccessExpression(node) && this.isRunner(node.expression, scope);
    if (isRead && STATE.has(node.name.text)) return;
    if (ts.isIdentifier(node) && node.text === scope.runner && isUse(ts, node)) {
      return this.skip(node, node, scope.direction, 'what happens with the query runner here');
    }
    const repeated =
      ts.isForStatement(node) ||
      ts.isForOfStatement(node) ||
      ts.isForInStatement(node) ||
      ts.isWhileStatement(node);
    const conditional =
      repeated || ts.isIfStatement(node) || ts.isConditionalExpression(node) || ts.isCatchClause(node);
    const inner = {
      ...scope,
      repeated: scope.repeated || repeated,
      conditional: scope.conditional || conditional,
    };
    ts.forEachChild(node, (child) => this.walk(child, inner));
  }

  private readCall(call: ts.CallExpression, scope: Scope): void {
    const { ts } = this;
    const callee = call.expression;
    if (ts.isPropertyAccessExpression(callee) && this.isRunner(callee.expression, scope)) {
      return this.readRunnerCall(call, callee.name.text, scope);
    }
    if (this.isRunner(rootOf(ts, callee), scope)) return this.readManagerCall(call, callee, scope);
    if (ts.isPropertyAccessExpression(callee) && callee.expression.kind === ts.SyntaxKind.ThisKeyword) {
      const method = this.method(callee.name.text);
      if (method && !scope.visited.has(callee.name.text))
        return this.follow(callee.name.text, method, call, scope);
    }
    const library = ts.isIdentifier(callee) ? this.imported.get(callee.text) : undefined;
    const takesRunner = call.arguments.some((argument) => this.isRunner(argument, scope));
    if (library !== undefined && library !== 'withAllRows') {
      this.operations.push({ ...this.place(call, call), name: library, table: this.tableOption(call) });
    } else if (library === undefined && takesRunner) {
      const what = `what ${shorten(callee.getText())}() does with the query runner`;
      this.skip(call, call, scope.direction, what);
    }
    const iterates = ts.isPropertyAccessExpression(callee) && ITERATION.test(callee.name.text);
    const inner = {
      ...scope,
      allRows: scope.allRows || library === 'withAllRows',
      repeated: scope.repeated || iterates,
      conditional: scope.conditional || iterates,
    };
    ts.forEachChild(call, (child) => {
      if (!ts.isExpression(child) || !this.isRunner(child, scope)) this.walk(child, inner);
    });
  }

  /** The query runner itself, with or without parentheses, casts and exclamation marks. */
  private isRunner(node: ts.Expression, scope: Scope): boolean {
    const bare = unwrap(this.ts, node);
    return this.ts.isIdentifier(bare) && bare.text === scope.runner;
  }

  private readRunnerCall(call: ts.CallExpression, method: string, scope: Scope): void {
    const [argument] = call.arguments;
    if (method === 'commitTransaction') this.outsideTransaction = true;
    if (method === 'startTransaction') this.outsideTransaction = false;
    if (method === 'query' && argument) return this.readText(argument, call, scope);
    const recorded = RECORDED_METHODS.find((one) => one === method);
    if (recorded !== undefined) return this.readSchemaCall(call, recorded, scope);
    if (!HARMLESS.test(method)) this.skip(call, call, scope.direction, `queryRunner.${method}()`);
  }

  /** A call that can be recorded, if it is known what it is told. */
  private readSchemaCall(call: ts.CallExpression, method: RunnerCall['method'], scope: Scope): void {
    const { ts, source, constants } = this;
    const ownProperty = (name: string) => this.constantProperty(name);
    const told = { ts, source, constants, ownProperty, runner: scope.runner };
    const args: unknown[] = [];
    for (const argument of call.arguments) {
      const literal = literalOf(argument, told);
      if ('unreadable' in literal) {
        const part = shorten(literal.unreadable.getText());
        const what = `queryRunner.${method}(), because ${part} is known at run time only`;
        return this.skip(call, call, scope.direction, what);
      }
      args.push(literal.value);
    }
    const { direction, conditional, repeated, allRows } = scope;
    this.calls.push({
      ...this.place(call, call),
      method,
      args,
      position: this.statements.length,
      direction,
      conditional,
      repeated,
      allRows,
      outsideTransaction: this.outsideTransaction,
    });
  }

  /** The value of a property that says that it is `readonly`. */
  private constantProperty(name: string): ts.Expression | undefined {
    const property = this.property(name);
    const isReadonly = property?.modifiers?.some(({ kind }) => kind === this.ts.SyntaxKind.ReadonlyKeyword);
    return isReadonly === true ? property?.initializer : undefined;
  }

  /** `queryRunner.manager.query(…)` is a query; everything else there is about entities. */
  private readManagerCall(call: ts.CallExpression, callee: ts.Expression, scope: Scope): void {
    const [argument] = call.arguments;
    if (/\.(?:manager|connection|dataSource)\.query$/.test(callee.getText()) && argument) {
      return this.readText(argument, call, scope);
    }
    const what = shorten(callee.getText());
    this.entityUses.push({ ...this.place(call, call), direction: scope.direction, what: `${what}()` });
    for (const child of call.arguments) this.walk(child, scope);
  }

  /** A method of the class itself runs as if it stood where it is called. */
  private follow(name: string, method: Method, call: ts.CallExpression, scope: Scope): void {
    const position = call.arguments.findIndex((argument) => this.isRunner(argument, scope));
    const parameter = position < 0 ? undefined : method.parameters[position]?.name;
    if (parameter && !this.ts.isIdentifier(parameter)) {
      return this.skip(call, call, scope.direction, `what ${name}() does with the query runner`);
    }
    const visited = new Set([...scope.visited, name]);
    if (parameter) this.walk(method.body, { ...scope, runner: parameter.text, visited });
  }

  private readText(expression: ts.Expression, call: ts.Node, scope: Scope): void {
    const sql = textOf(this.ts, expression, this.constants);
    if (!sql) return this.skip(expression, call, scope.direction, 'SQL that is put together at run time');
    try {
      const parsed = readSql(sql.text);
      for (const { index, ...statement } of parsed) {
        this.statements.push({
          ...statement,
          ...this.placeAt(sql.offsets[index] ?? expression.getStart(), call),
          direction: scope.direction,
          conditional: scope.conditional,
          repeated: scope.repeated,
          allRows: scope.allRows,
          outsideTransaction: this.outsideTransaction,
          callStatements: parsed.length,
          parameters: parametersOf(this.ts, call),
        });
        for (const change of statement.changes) {
          if (change.kind === 'unknown') this.skip(expression, call, scope.direction, change.what);
        }
      }
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.skip(expression, call, scope.direction, `SQL that PostgreSQL cannot parse (${reason})`, true);
    }
  }

  private skip(node: ts.Node, call: ts.Node, direction: Direction, what: string, broken = false): void {
    this.unanalyzable.push({ ...this.place(node, call), direction, what, broken });
  }

  private place(node: ts.Node, anchor: ts.Node): Place {
    return this.placeAt(node.getStart(), anchor);
  }

  private placeAt(offset: number, anchor: ts.Node): Place {
    const { line, character } = this.source.getLineAndCharacterOfPosition(offset);
    // A comment stands above the whole statement: above `await`, above an `export`.
    let outermost = anchor;
    while (!this.ts.isStatement(outermost) && outermost.parent && !isListElement(this.ts, outermost)) {
      outermost = outermost.parent;
    }
    const anchorLine = this.source.getLineAndCharacterOfPosition(outermost.getStart()).line;
    return { line: line + 1, column: character + 1, anchorLine: anchorLine + 1 };
  }
}

/** What `query()` is given beside the SQL; `runSql` has no such thing. */
function parametersOf(ts: TypeScript, call: ts.Node): string | undefined {
  if (!ts.isCallExpression(call) || !ts.isPropertyAccessExpression(call.expression)) return undefined;
  const [, ...parameters] = call.arguments;
  return parameters.length === 0 ? undefined : parameters.map((one) => one.getText()).join(', ');
}

/** What a chain of properties and calls begins with. */
function rootOf(ts: TypeScript, node: ts.Expression): ts.Expression {
  const chained =
    ts.isPropertyAccessExpression(node) || ts.isElementAccessExpression(node) || ts.isCallExpression(node);
  return chained ? rootOf(ts, node.expression) : node;
}

/** False for the name of a parameter or of another object's property. */
function isUse(ts: TypeScript, { parent, text }: ts.Identifier): boolean {
  if (ts.isParameter(parent)) return false;
  return !(
    ts.isPropertyAccessExpression(parent) &&
    parent.name.text === text &&
    parent.expression.getText() !== text
  );
}

function isListElement(ts: TypeScript, node: ts.Node): boolean {
  return ts.isArrayLiteralExpression(node.parent) || ts.isClassElement(node);
}

function unwrap(ts: TypeScript, node: ts.Expression): ts.Expression {
  return ts.isAsExpression(node) ||
    ts.isSatisfiesExpression(node) ||
    ts.isParenthesizedExpression(node) ||
    ts.isNonNullExpression(node)
    ? unwrap(ts, node.expression)
    : node;
}

function textOfMember(
  ts: TypeScript,
  property: ts.PropertyDeclaration | undefined,
  constants: Constants,
): string | undefined {
  return property?.initializer && textOf(ts, property.initializer, constants)?.text;
}

function shorten(text: string): string {
  const line = text.replaceAll(/\s+/g, ' ');
  return line.length > 60 ? `${line.slice(0, 57)}...` : line;
}

const SUPPRESSION = /^\s*\/\/\s*rls-lint-ignore\b\s*([^:]*)(?::(.*))?$/;

/** Comments on lines of their own; they stand above the next line that is code. */
function suppressionsIn(text: string): Suppression[] {
  const lines = text.split(/\r?\n/);
  return lines.flatMap((line, index) => {
    const match = SUPPRESSION.exec(line);
    if (!match) return [];
    let target = index + 1;
    while (/^\s*(?:\/\/|\*|\/\*|$)/.test(lines[target] ?? 'code')) target++;
    const ruleIds = match[1]!.split(/[\s,]+/).filter((id) => id !== '');
    return [{ line: index + 1, targetLine: target + 1, ruleIds, reason: (match[2] ?? '').trim() }];
  });
}
