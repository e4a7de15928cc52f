import type ts from 'typescript';
import {
  Table,
  TableCheck,
  TableColumn,
  TableExclusion,
  TableForeignKey,
  TableIndex,
  TableUnique,
  View,
} from 'typeorm';
import { textOf, type Constants } from './sql-text.js';
import type { TypeScript } from './typescript.js';

/** The classes that describe a schema. Their constructors do nothing but keep what they are given. */
const SCHEMA_CLASSES: Readonly<Record<string, new (options: never) => object>> = {
  Table,
  TableCheck,
  TableColumn,
  TableExclusion,
  TableForeignKey,
  TableIndex,
  TableUnique,
  View,
};

/** A value that is known without running anything, or the part of it that is not. */
export type Literal = { readonly value: unknown } | { readonly unreadable: ts.Node };

/** What the values of a class's file hang on. */
export interface LiteralScope {
  readonly ts: TypeScript;
  readonly source: ts.SourceFile;
  readonly constants: Constants;
  /** The value of `this.name`, where nothing can change it. */
  readonly ownProperty: (name: string) => ts.Expression | undefined;
  /** The query runner's name. */
  readonly runner: string | undefined;
}

/**
 * The value that an expression is certain to have: literals, arrays and objects of them, TypeORM's schema classes made
 * of them, and constants of the file that nothing changes. A table that the query runner loads stands for its name.
 */
export function literalOf(expression: ts.Expression, scope: LiteralScope): Literal {
  try {
    return { value: new LiteralReader(scope).read(expression) };
  } catch (error) {
    if (error instanceof NotLiteral) return { unreadable: error.node };
    throw error;
  }
}

class NotLiteral extends Error {
  constructor(readonly node: ts.Node) {
    super('not a literal');
  }
}

class LiteralReader {
  private readonly open = new Set<ts.Node>();

  constructor(private readonly scope: LiteralScope) {}

  read(node: ts.Expression): unknown {
    // A constant that is made of itself would be read for ever.
    if (this.open.has(node)) throw new NotLiteral(node);
    this.open.add(node);
    try {
      return this.readNew(node);
    } finally {
      this.open.delete(node);
    }
  }

  private readNew(node: ts.Expression): unknown {
    const { ts, constants } = this.scope;
    const text = textOf(ts, node, constants);
    if (text) return text.text;
    if (
      ts.isParenthesizedExpression(node) ||
      ts.isAsExpression(node) ||
      ts.isSatisfiesExpression(node) ||
      ts.isNonNullExpression(node)
    ) {
      return this.read(node.expression);
    }
    if (ts.isNumericLiteral(node)) return Number(node.text);
    if (ts.isPrefixUnaryExpression(node)) return this.readSigned(node);
    if (node.kind === ts.SyntaxKind.TrueKeyword) return true;
    if (node.kind === ts.SyntaxKind.FalseKeyword) return false;
    if (node.kind === ts.SyntaxKind.NullKeyword) return null;
    if (ts.isArrayLiteralExpression(node))
      return node.elements.flatMap((element) => this.readElement(element));
    if (ts.isObjectLiteralExpression(node)) return this.readObject(node);
    if (ts.isNewExpression(node)) return this.readSchemaClass(node);
    if (ts.isIdentifier(node)) return this.readIdentifier(node);
    if (ts.isAwaitExpression(node)) return this.readLoadedTable(node);
    if (ts.isPropertyAccessExpression(node) && node.expression.kind === ts.SyntaxKind.ThisKeyword) {
      const value = this.scope.ownProperty(node.name.text);
      if (value && this.isUntouched((use) => isThis(ts, use, node.name.text))) return this.read(value);
    }
    throw new NotLiteral(node);
  }

  private readSigned(node: ts.PrefixUnaryExpression): number {
    const { ts } = this.scope;
    if (node.operator !== ts.SyntaxKind.MinusToken || !ts.isNumericLiteral(node.operand)) {
      throw new NotLiteral(node);
    }
    return -Number(node.operand.text);
  }

  private readElement(element: ts.Expression): unknown[] {
    if (!this.scope.ts.isSpreadElement(element)) return [this.read(element)];
    const value = this.read(element.expression);
    if (!Array.isArray(value)) throw new NotLiteral(element);
    return value as unknown[];
  }

  private readObject(node: ts.ObjectLiteralExpression): Record<string, unknown> {
    const { ts } = this.scope;
    const value: Record<string, unknown> = {};
    for (const property of node.properties) {
      if (ts.isShorthandPropertyAssignment(property)) {
        value[property.name.text] = this.read(property.name);
      } else if (ts.isSpreadAssignment(property)) {
        Object.assign(value, this.read(property.expression));
      } else if (ts.isPropertyAssignment(property) && !ts.isComputedPropertyName(property.name)) {
        value[property.name.text] = this.read(property.initializer);
      } else {
        throw new NotLiteral(property);
      }
    }
    return value;
  }

  /** `new Table({ … })`, with TypeORM's own class: the SQL that it makes of it is TypeORM's own as well. */
  private readSchemaClass(node: ts.NewExpression): object {
    const { ts, source } = this.scope;
    const name = typeormName(ts, source, node.expression);
    const schemaClass = name === undefined ? undefined : SCHEMA_CLASSES[name];
    const [options] = node.arguments ?? [];
    if (!schemaClass) throw new NotLiteral(node);
    return new schemaClass((options ? this.read(options) : undefined) as never);
  }

  private readIdentifier(node: ts.Identifier): unknown {
    if (node.text === 'undefined') return undefined;
    const { ts } = this.scope;
    const value = constantAt(ts, node);
    // Of a table that is loaded only the name is read, and that stays the same.
    if (value && ts.isAwaitExpression(value)) return this.read(value);
    if (!value || !this.isUntouched((use) => ts.isIdentifier(use) && use.text === node.text)) {
      throw new NotLiteral(node);
    }
    return this.read(value);
  }

  /** `await queryRunner.getTable('note')`: only the database knows its columns, but its name is written here. */
  private readLoadedTable(node: ts.AwaitExpression): unknown {
    const { ts, runner } = this.scope;
    const call = node.expression;
    if (!ts.isCallExpression(call) || !ts.isPropertyAccessExpression(call.expression))
      throw new NotLiteral(node);
    const { expression, name } = call.expression;
    const [path] = call.arguments;
    if (name.text !== 'getTable' || expression.getText() !== runner || !path) throw new NotLiteral(node);
    return this.read(path);
  }

  /** False if a use of a constant may change what it holds: `columns.push(…)`, `table.name = …`, `change(options)`. */
  private isUntouched(isUse: (node: ts.Node) => boolean): boolean {
    const { ts, source, runner } = this.scope;
    const isChanged = (node: ts.Node): boolean =>
      (isUse(node) && !isHarmlessUse(ts, node, runner)) || (ts.forEachChild(node, isChanged) ?? false);
    return !isChanged(source);
  }
}

function isThis(ts: TypeScript, node: ts.Node, name: string): boolean {
  return (
    ts.isPropertyAccessExpression(node) &&
    node.expression.kind === ts.SyntaxKind.ThisKeyword &&
    node.name.text === name
  );
}

/** What the constant that a name means in its place is made of; nothing for a variable, a parameter and the like. */
function constantAt(ts: TypeScript, { text, parent }: ts.Identifier): ts.Expression | undefined {
  for (let scope: ts.Node | undefined = parent; scope; scope = scope.parent) {
    const found = declarationsIn(ts, scope).find(({ name }) => declares(ts, name, text));
    if (!found) continue;
    const isConst = (ts.getCombinedNodeFlags(found) & ts.NodeFlags.Const) !== 0;
    const isPlain = ts.isVariableDeclaration(found) && ts.isIdentifier(found.name) && isConst;
    return isPlain ? found.initializer : undefined;
  }
  return undefined;
}

/** The variables and parameters that belong to a block, a loop, a function, a `catch` or the file. */
function declarationsIn(
  ts: TypeScript,
  scope: ts.Node,
): readonly (ts.VariableDeclaration | ts.ParameterDeclaration)[] {
  if (ts.isFunctionLike(scope)) return scope.parameters;
  if (ts.isCatchClause(scope)) return scope.variableDeclaration ? [scope.variableDeclaration] : [];
  if (ts.isBlock(scope) || ts.isSourceFile(scope)) {
    return scope.statements.flatMap((one) =>
      ts.isVariableStatement(one) ? one.declarationList.declarations : [],
    );
  }
  const isLoop = ts.isForStatement(scope) || ts.isForOfStatement(scope) || ts.isForInStatement(scope);
  const initializer = isLoop ? scope.initializer : undefined;
  return initializer && ts.isVariableDeclarationList(initializer) ? initializer.declarations : [];
}

function declares(ts: TypeScript, name: ts.BindingName, text: string): boolean {
  if (ts.isIdentifier(name)) return name.text === text;
  return name.elements.some((one) => ts.isBindingElement(one) && declares(ts, one.name, text));
}

/** A use that is known to leave the value as it is; whatever is not known may change it. */
function isHarmlessUse(ts: TypeScript, use: ts.Node, runner: string | undefined): boolean {
  const { parent } = use;
  const isName = 'name' in parent && parent.name === use;
  if (isName || ts.isArrayLiteralExpression(parent) || ts.isPropertyAssignment(parent)) return true;
  if (ts.isSpreadElement(parent) || ts.isSpreadAssignment(parent)) return true;
  if (
    ts.isAsExpression(parent) ||
    ts.isSatisfiesExpression(parent) ||
    ts.isNonNullExpression(parent) ||
    ts.isParenthesizedExpression(parent)
  ) {
    return isHarmlessUse(ts, parent, runner);
  }
  if (ts.isNewExpression(parent)) return parent.expression.getText().replace(/^\w+\./, '') in SCHEMA_CLASSES;
  if (ts.isPropertyAccessExpression(parent)) return isRead(ts, parent);
  if (!ts.isCallExpression(parent) || !ts.isPropertyAccessExpression(parent.expression)) return false;
  return parent.expression.expression.getText() === runner;
}

/** `table.name` in a text or as an argument, and neither a call of it nor an assignment to it. */
function isRead(ts: TypeScript, access: ts.PropertyAccessExpression): boolean {
  const { parent } = access;
  return ts.isTemplateSpan(parent) || (ts.isCallExpression(parent) && parent.expression !== access);
}

/** What an expression is called in the package `typeorm`, however it was imported. */
function typeormName(ts: TypeScript, source: ts.SourceFile, node: ts.Expression): string | undefined {
  if (ts.isPropertyAccessExpression(node) && ts.isIdentifier(node.expression)) {
    return isTypeorm(ts, source, node.expression.text) ? node.name.text : undefined;
  }
  if (!ts.isIdentifier(node)) return undefined;
  for (const statement of source.statements) {
    for (const element of namesFromTypeorm(ts, statement)) {
      if (element.name.getText() === node.text) return (element.propertyName ?? element.name).getText();
    }
  }
  return undefined;
}

/** `import { Table as T } from 'typeorm'`, `const { Table: T } = require('typeorm')` */
function namesFromTypeorm(
  ts: TypeScript,
  statement: ts.Statement,
): readonly (ts.ImportSpecifier | ts.BindingElement)[] {
  if (ts.isImportDeclaration(statement)) {
    const bindings = statement.importClause?.namedBindings;
    const named = bindings && ts.isNamedImports(bindings) ? bindings.elements : [];
    return isTypeormText(ts, statement.moduleSpecifier) ? named : [];
  }
  if (!ts.isVariableStatement(statement)) return [];
  return statement.declarationList.declarations.flatMap(({ name, initializer }) =>
    ts.isObjectBindingPattern(name) && isRequire(ts, initializer) ? [...name.elements] : [],
  );
}

/** `import * as typeorm from 'typeorm'`, `const typeorm_1 = require('typeorm')` */
function isTypeorm(ts: TypeScript, source: ts.SourceFile, name: string): boolean {
  return source.statements.some((statement) => {
    if (ts.isImportDeclaration(statement)) {
      const bindings = statement.importClause?.namedBindings;
      const star = bindings && ts.isNamespaceImport(bindings) && bindings.name.text === name;
      return star === true && isTypeormText(ts, statement.moduleSpecifier);
    }
    return (
      ts.isVariableStatement(statement) &&
      statement.declarationList.declarations.some(
        (one) => one.name.getText() === name && isRequire(ts, one.initializer),
      )
    );
  });
}

function isRequire(ts: TypeScript, node: ts.Expression | undefined): boolean {
  if (!node || !ts.isCallExpression(node) || node.expression.getText() !== 'require') return false;
  return node.arguments[0] !== undefined && isTypeormText(ts, node.arguments[0]);
}

function isTypeormText(ts: TypeScript, node: ts.Expression): boolean {
  return ts.isStringLiteral(node) && node.text === 'typeorm';
}
