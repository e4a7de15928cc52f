import { RlsConfigurationError } from '../errors.js';
import { typeScriptLiteral } from './operation-code.js';
import { tokensOf } from './statement.js';
import type { OperationStep, PlannedFile, RenderedFile, SqlStep } from './step.js';

/** Where the house's formatter breaks lines. */
const LINE_WIDTH = 110;

const LIBRARY = 'nestjs-rls-tenants/migrations';

/** Files as TypeORM's own command line names them, one millisecond after the other, so that they run in this order. */
export function renderFiles(files: readonly PlannedFile[], timestamp: number): RenderedFile[] {
  return files.map((file, index) => renderFile(file, timestamp + index));
}

/**
 * A migration file in TypeScript: an RlsMigration or a ConcurrentMigration where it has operations of the library, and
 * TypeORM's plain interface otherwise.
 *
 * @param timestamp milliseconds, of 13 digits: TypeORM reads the last 13 of the class name.
 */
export function renderFile(file: PlannedFile, timestamp: number): RenderedFile {
  if (!/^\d{13}$/.test(String(timestamp))) {
    throw new RlsConfigurationError(
      `${timestamp} is no timestamp of a migration.`,
      'TypeORM takes milliseconds, 13 digits: Date.now().',
    );
  }
  const slug = kebab(file.slug);
  const className = `${pascal(slug)}${timestamp}`;
  const operations = file.steps.some(({ kind }) => kind === 'operation');
  const body = operations ? operationsClass(file, className) : queriesClass(file, className);
  return { name: `${timestamp}-${slug}.ts`, className, text: body };
}

function kebab(slug: string): string {
  return slug
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-|-$/g, '');
}

/** A name that is only digits or empty is no class name. */
function pascal(slug: string): string {
  const words = slug.split('-').map((word) => word.charAt(0).toUpperCase() + word.slice(1));
  const name = words.join('');
  return /^[A-Z]/.test(name) ? name : `Migration${name}`;
}

function operationsClass(file: PlannedFile, className: string): string {
  const base = file.transaction ? 'RlsMigration' : 'ConcurrentMigration';
  const plainSql = file.steps.some(({ kind }) => kind === 'sql');
  const imports = [
    ...new Set([
      base,
      ...(plainSql ? ['runSql'] : []),
      ...file.steps.flatMap((step) => (step.kind === 'operation' ? step.imports : [])),
    ]),
  ].sort();
  const lines = file.steps.flatMap((step) => [
    ...(step.kind === 'sql' ? reviewed(step) : []),
    `${step.kind === 'sql' ? runSql(step) : operationCode(step)},`,
  ]);
  const head = `${importLine(imports, LIBRARY)}\n\n${comment(file)}export class ${className} extends ${base} {\n`;
  const [only = ''] = lines;
  const list =
    lines.length === 1 && only.length + 26 <= LINE_WIDTH && !only.includes('\n')
      ? `[${only.slice(0, -1)}]`
      : `[\n${indent(lines, 4)}\n  ]`;
  return `${head}  readonly operations = ${list};\n}\n`;
}

/** The call on one line, or its options one to a line. */
function operationCode({ code }: OperationStep): string {
  if (4 + code.length + 1 <= LINE_WIDTH || !code.startsWith(`${code.split('({ ')[0]}({ `)) return code;
  const [name, options] = splitAt(code, '({ ');
  return `${name}({\n${entriesOf(options.slice(0, -' })'.length))
    .map((one) => `  ${one},\n`)
    .join('')}})`;
}

/** The entries of an object, at commas that stand in no bracket and no string. */
function entriesOf(text: string): string[] {
  const entries: string[] = [];
  let [start, depth] = [0, 0];
  let quote: string | undefined;
  for (let index = 0; index < text.length; index++) {
    const sign = text[index]!;
    if (quote !== undefined) {
      if (sign === '\\') index++;
      else if (sign === quote) quote = undefined;
    } else if (sign === "'" || sign === '"' || sign === '`') quote = sign;
    else if ('([{'.includes(sign)) depth++;
    else if (')]}'.includes(sign)) depth--;
    else if (sign === ',' && depth === 0) {
      entries.push(text.slice(start, index).trim());
      start = index + 1;
    }
  }
  return [...entries, text.slice(start).trim()].filter((one) => one !== '');
}

function runSql({ up, down }: SqlStep): string {
  const [first, second] = [template(up), template(down.join(';\n'))];
  const line = `runSql(${first}, ${second})`;
  return line.length + 5 <= LINE_WIDTH && !line.includes('\n')
    ? line
    : `runSql(\n${indent([`${first},`, `${second},`], 2)}\n)`;
}

function queriesClass(file: PlannedFile, className: string): string {
  const steps = file.steps.filter((step): step is SqlStep => step.kind === 'sql');
  const up = steps.flatMap((step) => [...reviewed(step), ...query(step.up, step.allRows)]);
  const down = steps.toReversed().flatMap((step) => step.down.flatMap((sql) => query(sql)));
  const needsAllRows = steps.some(({ allRows }) => allRows);
  return (
    (needsAllRows ? `${importLine(['withAllRows'], LIBRARY)}\n` : '') +
    `import type { MigrationInterface, QueryRunner } from 'typeorm';\n\n` +
    `${comment(file)}export class ${className} implements MigrationInterface {\n` +
    (file.transaction ? '' : '  readonly transaction = false;\n\n') +
    `  async up(queryRunner: QueryRunner): Promise<void> {\n${indent(up, 4)}\n  }\n\n` +
    `  async down(${down.length === 0 ? '' : 'queryRunner: QueryRunner'}): Promise<void> {\n` +
    `${indent(file.transaction ? orNothing(down) : outside(down), 4)}\n  }\n}\n`
  );
}

function orNothing(lines: readonly string[]): readonly string[] {
  return lines.length === 0 ? ['// There is nothing to undo, or nothing that could undo it.'] : lines;
}

/** TypeORM reverts in a transaction, whatever the migration says. */
function outside(lines: readonly string[]): readonly string[] {
  if (lines.length === 0) return orNothing(lines);
  return [
    '// `migration:revert` opens a transaction, in which PostgreSQL refuses this.',
    'const { isTransactionActive } = queryRunner;',
    'if (isTransactionActive) await queryRunner.commitTransaction();',
    ...lines,
    'if (isTransactionActive) await queryRunner.startTransaction();',
  ];
}

function query(sql: string, allRows?: readonly string[]): string[] {
  const text = template(sql);
  const margin = allRows ? 6 : 4;
  const line = `await queryRunner.query(${text});`;
  const call =
    line.length + margin <= LINE_WIDTH && !text.includes('\n')
      ? line
      : `await queryRunner.query(\n${indent([text], 2)},\n);`;
  if (!allRows) return [call];
  return [
    `await withAllRows(queryRunner, ${typeScriptLiteral(allRows)}, async () => {\n${indent([call], 2)}\n});`,
  ];
}

function reviewed({ reviewed: why }: SqlStep): string[] {
  return why ? [`// rls-lint-ignore ${why.rules.join(', ')}: ${why.reason}`] : [];
}

/** SQL in a template literal; a long list of columns one to a line. */
function template(sql: string): string {
  const text = sql.length + 40 > LINE_WIDTH ? spread(sql) : sql;
  return `\`${text.replaceAll('\\', '\\\\').replaceAll('`', '\\`').replaceAll('${', '\\${')}\``;
}

/** The elements of a CREATE TABLE on lines of their own. Texts of several lines have their own layout. */
function spread(sql: string): string {
  if (!/^\s*CREATE\s+TABLE\b/i.test(sql) || sql.includes('\n')) return sql;
  const tokens = tokensOf(sql);
  const open = tokens.find(({ text, depth }) => text === '(' && depth === 0);
  const close = tokens.find(
    ({ text, depth, start }) => text === ')' && depth === 0 && start > (open?.start ?? Infinity),
  );
  if (!open || !close) return sql;
  const bytes = Buffer.from(sql);
  const breaks = tokens.filter(
    ({ text, depth, start }) => text === ',' && depth === 1 && start < close.start,
  );
  const starts = [open.end, ...breaks.map(({ end }) => end)];
  const elements = starts.map((start, index) =>
    bytes
      .subarray(start, (breaks[index] ?? close).start)
      .toString()
      .trim(),
  );
  const head = bytes.subarray(0, open.end).toString();
  return `${head}\n        ${elements.join(',\n        ')}\n      ${bytes.subarray(close.start).toString()}`;
}

function comment({ comment: text }: PlannedFile): string {
  return text === undefined ? '' : `/** ${text} */\n`;
}

function importLine(names: readonly string[], from: string): string {
  const line = `import { ${names.join(', ')} } from '${from}';`;
  return line.length <= LINE_WIDTH
    ? line
    : `import {\n${names.map((name) => `  ${name},\n`).join('')}} from '${from}';`;
}

function splitAt(text: string, separator: string): [string, string] {
  const index = text.indexOf(separator);
  return [text.slice(0, index), text.slice(index + separator.length)];
}

/** Code in a margin; the later lines of a template literal are text, and stay as they are. */
function indent(lines: readonly string[], width: number): string {
  const margin = ' '.repeat(width);
  let inTemplate = false;
  return lines
    .flatMap((block) => block.split('\n'))
    .map((line) => {
      const text = inTemplate ? line : `${margin}${line}`;
      if ((line.replaceAll(/\\./g, '').match(/`/g) ?? []).length % 2 === 1) inTemplate = !inTemplate;
      return text;
    })
    .join('\n');
}
