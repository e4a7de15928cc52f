import { RlsConfigurationError } from '../errors.js';
import { quoteIdentifier, quoteTable } from '../policies/index.js';
import { addedColumn, alteredType, changesInPlace, type ColumnDeclaration } from './column.js';
import { operationStep } from './operation-code.js';
import { withRenamedColumns } from './renamed-columns.js';
import { parseStatement, plain, sliceBytes, tokensOf, type ParsedSql } from './statement.js';
import { originsOf, type Note, type SchemaFacts, type SqlStep, type Step } from './step.js';

/** What rewriting made of the steps, and what it changed. */
export interface RewrittenSteps {
  readonly steps: readonly Step[];
  readonly notes: readonly Note[];
}

/** What else rewriting may know. */
export interface RewriteOptions {
  /**
   * True if TypeORM's naming strategy would give the index its name: then an entity declared it. Default: TypeORM's own
   * pattern, `IDX_` and a hash.
   */
  isGeneratedIndex?(index: {
    readonly name: string;
    readonly table: string | undefined;
    readonly columns: readonly (string | undefined)[];
  }): boolean;
}

/** What TypeORM names by itself. */
const GENERATED_NAME = /^(?:IDX|UQ|REL|XCL)_[0-9a-f]{23,27}$/;

const NO_REWRITE = 'no row and no index is written anew';

/** A step and what its statement says; undefined for operations. */
interface Entry {
  readonly step: Step;
  readonly parsed: ParsedSql | undefined;
}

/** Why something is refused, and what to do. */
interface Refusal {
  readonly message: string;
  readonly hint: string;
}

/**
 * Takes the danger out of what TypeORM generates: a column that is dropped and added again becomes an ALTER COLUMN TYPE
 * where PostgreSQL need not write the table anew; indexes that no entity declares stay; views of tenant tables keep
 * `security_invoker`; a column that rows have no value for is added without NOT NULL first. libpg-query's `loadModule()`
 * must have finished.
 *
 * @throws RlsConfigurationError for what has no safe form: other changes of a type, enums made anew, primary keys and
 * exclusion constraints of tables in use. It names each of them, and the way around.
 */
export function rewriteSteps(
  steps: readonly Step[],
  facts: SchemaFacts,
  options: RewriteOptions = {},
): RewrittenSteps {
  return new Rewriter(steps, facts, options).rewrite();
}

class Rewriter {
  private entries: Entry[];
  private readonly notes: Note[] = [];
  private readonly refusals: Refusal[] = [];
  private readonly created: ReadonlySet<string>;
  /** Tables with a column whose type changes in place. */
  private readonly changedTables = new Set<string>();

  constructor(
    steps: readonly Step[],
    private readonly facts: SchemaFacts,
    private readonly options: RewriteOptions,
  ) {
    this.entries = withRenamedColumns(steps).map(entry);
    this.created = new Set(this.objects('create', 'table'));
  }

  rewrite(): RewrittenSteps {
    this.refuseEnumRecreation();
    this.refuseCopiedColumns();
    this.rewriteRecreatedColumns();
    this.cancelRecreated();
    this.refuseReplacedUnique();
    this.keepUnmanagedIndexes();
    this.entries = this.entries.flatMap((one) => this.rewriteOne(one));
    if (this.refusals.length > 0) throw refused(this.refusals);
    return { steps: this.entries.map(({ step }) => step), notes: this.notes };
  }

  /** The names of the objects of a kind that the steps create or drop. */
  private objects(verb: 'create' | 'drop', kind: string): string[] {
    return this.entries.flatMap(({ parsed }) =>
      parsed?.effect?.verb === verb && parsed.effect.object.startsWith(`${kind} `)
        ? [parsed.effect.object.slice(kind.length + 1)]
        : [],
    );
  }

  private inUse(table: string | undefined): table is string {
    return table !== undefined && !this.created.has(table) && this.facts.exists(table);
  }

  private refuse(message: string, hint: string): void {
    this.refusals.push({ message, hint });
  }

  private refuseEnumRecreation(): void {
    const made = new Set(this.objects('create', 'type'));
    for (const { parsed } of this.entries) {
      if (!parsed || !('RenameStmt' in parsed.node) || parsed.node.RenameStmt.renameType !== 'OBJECT_TYPE')
        continue;
      const renamed = parsed.effect!.object.split(' ').slice(3);
      const type = [...made].find((one) => renamed.includes(one.split('.').at(-1)!));
      if (type === undefined) continue;
      const column = this.entries.find(
        (other) =>
          other.parsed?.command?.subtype === 'AT_AlterColumnType' &&
          other.parsed.sql.includes(type.split('.').at(-1)!),
      )?.parsed;
      const where = column ? `column "${column.command?.name}" of table "${column.table}"` : 'its columns';
      this.refuse(
        `Enum "${type}" is made anew, and ${where} changes to it: PostgreSQL writes the table anew under ACCESS EXCLUSIVE, and fails on a row that has a removed value.`,
        'Leave unused values in the enum (adding values is safe), or move to text with a CHECK constraint: add a text column, fill it in a backfill, switch over, drop the enum column in a later deploy.',
      );
      // What belongs to it would only repeat the refusal.
      this.entries = this.entries.filter((one) => one.parsed !== column);
    }
  }

  /** TypeORM makes a generated column plain by a rename, a new column, and an UPDATE of all rows. */
  private refuseCopiedColumns(): void {
    for (const { parsed } of this.entries) {
      const [change] = parsed?.changes ?? [];
      if (change?.kind !== 'rename' || change.to !== `TEMP_OLD_${change.from}`) continue;
      const { table, from: column } = change;
      this.refuse(
        `Column "${column}" of table "${table}" is generated and becomes a plain one, by an UPDATE of all rows into a new column: what is written in between is lost.`,
        `PostgreSQL does it in place: in a migration of your own, ALTER TABLE … ALTER COLUMN ${quoteIdentifier(column)} DROP EXPRESSION, and DELETE its row (type GENERATED_COLUMN) of typeorm_metadata. Then generate again.`,
      );
    }
  }

  private rewriteRecreatedColumns(): void {
    for (const dropped of this.entries) {
      const { parsed } = dropped;
      const { verb, object = '' } = parsed?.effect ?? {};
      const table = parsed?.table;
      if (verb !== 'drop' || !object.startsWith('column ') || !this.inUse(table)) continue;
      const added = this.entries
        .slice(this.entries.indexOf(dropped))
        .find((one) => one.parsed?.effect?.verb === 'create' && one.parsed.effect.object === object);
      if (!added) continue;
      const replacement = this.alterColumn(dropped, added);
      if (!replacement) continue;
      this.changedTables.add(table);
      this.entries = this.entries.flatMap((one) =>
        one === dropped ? [] : one === added ? replacement.map(entry) : [one],
      );
    }
  }

  /** What changes the column without dropping it. */
  private alterColumn(dropped: Entry, added: Entry): SqlStep[] | undefined {
    const table = dropped.parsed!.table!;
    const to = addedColumn(added.parsed!)!;
    const [undo] = (dropped.step as SqlStep).down;
    const from = undo === undefined ? undefined : addedColumn(parseStatement(undo));
    const what = `Column "${to.name}" of table "${table}" is dropped and added again`;
    if (!from) {
      this.refuse(
        `${what}, which loses its values; its former type is not known, because nothing in down() adds it back.`,
        expandHint(to),
      );
      return undefined;
    }
    if (from.rest !== to.rest || !changesInPlace(from.type, to.type)) {
      this.refuse(
        `${what} to make ${from.type.text} into ${to.type.text}: that loses its values, and to convert them PostgreSQL would write the table anew under ACCESS EXCLUSIVE.`,
        expandHint(to),
      );
      return undefined;
    }
    const origins = [dropped.parsed!.sql, added.parsed!.sql];
    this.note(
      'rewritten',
      origins,
      `${what}, which loses its values. PostgreSQL makes ${from.type.text} into ${to.type.text} in place: ${NO_REWRITE}.`,
    );
    const [first, ...others] = columnChanges(table, from, to);
    return [{ ...first!, origins }, ...others.map((one) => ({ ...one, origins: [] }))];
  }

  /** What TypeORM drops and makes again as it was: constraints and indexes of a rewritten column, and what is unique. */
  private cancelRecreated(): void {
    for (const dropped of this.entries) {
      const { parsed } = dropped;
      if (parsed?.effect?.verb !== 'drop' || !/^(?:constraint|index) /.test(parsed.effect.object)) continue;
      const [undo] = (dropped.step as SqlStep).down;
      const former = undo === undefined ? undefined : parseStatement(undo);
      if (!former || !(this.changedTables.has(former.table ?? '') || isUnique(former))) continue;
      const again = this.entries.find(
        (one) => one !== dropped && one.parsed !== undefined && sameDefinition(one.parsed, former),
      );
      if (!again) continue;
      this.entries = this.entries.filter((one) => one !== dropped && one !== again);
      this.note(
        'left-out',
        [parsed.sql, again.parsed!.sql],
        'It is dropped and made again as it was. PostgreSQL needs none of that: it stays.',
      );
    }
  }

  /** A unique index or constraint cannot be built beside the one whose name it takes. */
  private refuseReplacedUnique(): void {
    for (const { parsed } of this.entries) {
      if (!parsed || parsed.effect?.verb !== 'create' || !isUnique(parsed) || !this.inUse(parsed.table))
        continue;
      const { object } = parsed.effect;
      const dropped = this.entries.find(
        (one) => one.parsed?.effect?.verb === 'drop' && one.parsed.effect.object === object,
      );
      const former = (dropped?.step as SqlStep | undefined)?.down.map(parseStatement) ?? [];
      if (!dropped || (object.startsWith('index ') && former.length > 0 && !former.some(isUnique))) continue;
      const [kind, name] = [
        object.split(' ')[0],
        object
          .split('.')
          .at(-1)
          ?.replace(/^index /, ''),
      ];
      this.refuse(
        `Unique ${kind} "${name}" of table "${parsed.table}" is dropped and made again in another form under the same name: between the two nothing keeps duplicates out.`,
        'Give the new one another name: it is built first, and the old one is dropped after it.',
      );
    }
  }

  /** Indexes that somebody made by hand, of which no entity knows. */
  private keepUnmanagedIndexes(): void {
    // Nothing generates a migration that does nothing else: somebody means it.
    if (this.entries.every(({ parsed }) => parsed?.effect?.object.startsWith('index '))) return;
    const made = new Set(this.objects('create', 'index'));
    const gone = new Set([...this.objects('drop', 'table'), ...this.objects('drop', 'column')]);
    this.entries = this.entries.filter(({ step, parsed }) => {
      const { verb, object = '' } = parsed?.effect ?? {};
      const name = object.slice('index '.length);
      if (verb !== 'drop' || !object.startsWith('index ') || made.has(name)) return true;
      const [undo] = (step as SqlStep).down;
      const former = undo === undefined ? undefined : parseStatement(undo);
      const columns =
        former?.changes.flatMap((one) => (one.kind === 'create-index' ? one.columns : [])) ?? [];
      if (this.isGeneratedIndex(name.split('.').at(-1)!, former?.table, columns)) return true;
      if (former && (gone.has(former.table!) || columns.some((one) => gone.has(`${former.table}.${one}`))))
        return true;
      this.note(
        'left-out',
        [parsed!.sql],
        `TypeORM did not name index "${name}": somebody made it by hand, and TypeORM drops what no entity declares. It stays. Declare it with @Index('${name}', { synchronize: false }), so that it is not dropped the next time; to drop it, do so in a migration of its own.`,
      );
      return false;
    });
  }

  private isGeneratedIndex(
    name: string,
    table: string | undefined,
    columns: readonly (string | undefined)[],
  ): boolean {
    return GENERATED_NAME.test(name) || (this.options.isGeneratedIndex?.({ name, table, columns }) ?? false);
  }

  private rewriteOne(one: Entry): Entry[] {
    const { parsed } = one;
    if (!parsed) return [one];
    const step = one.step as SqlStep;
    if ('ViewStmt' in parsed.node) return [entry(this.undoneAsCaller(this.securityInvoker(step, parsed)))];
    if (parsed.effect?.verb === 'drop' && parsed.effect.object.startsWith('view '))
      return [entry(this.undoneAsCaller(step))];
    if ('CreateTableAsStmt' in parsed.node && parsed.effect?.object.startsWith('view '))
      this.refuseMaterializedView(step, parsed);
    if (!this.inUse(parsed.table)) return [one];
    switch (parsed.command?.subtype) {
      case 'AT_AddColumn':
        return this.addColumn(step, parsed).map(entry);
      case 'AT_AlterColumnType':
        return [entry(this.changeType(step, parsed))];
      case 'AT_AddConstraint':
        this.refuseConstraint(parsed);
        return [one];
      default:
        return [one];
    }
  }

  private securityInvoker(step: SqlStep, parsed: ParsedSql): SqlStep {
    const view = parsed.changes.find((change) => change.kind === 'create-view');
    const read = this.protectedRead(parsed);
    if (!view || view.securityInvoker || read === undefined) return step;
    const up = withSecurityInvoker(step.up);
    this.note(
      'rewritten',
      [step.up],
      `View "${view.name}" reads ${read} with its owner's rights, whom policies do not bind as they bind the app role. It is created WITH (security_invoker = true), which needs PostgreSQL 15. A view that is made anew has lost its grants: grant them again.`,
    );
    return { ...step, up, origins: [step.up] };
  }

  /** What brings a view back must not bring it back with its owner's rights: TypeORM does not read the option. */
  private undoneAsCaller(step: SqlStep): SqlStep {
    const down = step.down.map((sql) => {
      const undo = parseStatement(sql);
      const [view] = undo.changes;
      if (view?.kind !== 'create-view' || !('ViewStmt' in undo.node) || view.securityInvoker) return sql;
      return this.protectedRead(undo) === undefined ? sql : withSecurityInvoker(sql);
    });
    return down.every((sql, index) => sql === step.down[index])
      ? step
      : { ...step, down, origins: originsOf(step) };
  }

  /** What of a view's tables is a tenant table, or a view that may read one; in words. */
  private protectedRead(parsed: ParsedSql): string | undefined {
    const tenantTable = this.tenantTableRead(parsed);
    if (tenantTable !== undefined) return `the tenant table "${tenantTable}"`;
    const view = readsOf(parsed).find((one) => !this.created.has(one) && !this.facts.exists(one));
    return view === undefined ? undefined : `view "${view}"`;
  }

  /** The first tenant table that a view reads, by itself or through another view of the steps. */
  private tenantTableRead(parsed: ParsedSql, seen: ReadonlySet<string> = new Set()): string | undefined {
    for (const read of readsOf(parsed)) {
      if (this.facts.isTenantTable(read)) return read;
      const view = seen.has(read)
        ? undefined
        : this.entries.find((one) => one.parsed?.effect?.verb === 'create' && isView(one.parsed, read));
      const found = view?.parsed && this.tenantTableRead(view.parsed, new Set([...seen, read]));
      if (found !== undefined) return found;
    }
    return undefined;
  }

  private refuseMaterializedView(step: SqlStep, parsed: ParsedSql): void {
    const tenantTable = this.tenantTableRead(parsed);
    if (tenantTable === undefined || step.reviewed?.rules.includes('MIG055')) return;
    this.refuse(
      `Materialized view "${parsed.effect?.object.slice('view '.length)}" keeps rows of the tenant table "${tenantTable}", and no policy can protect it: whoever may read it sees the rows of all tenants.`,
      'Make it a plain view, or a table of its own with the tenant column that a job fills. Where no login that serves requests may read it, write a migration of your own that says so to the linter: rls-lint-ignore MIG055 with the reason.',
    );
  }

  private addColumn(step: SqlStep, parsed: ParsedSql): Step[] {
    const table = parsed.table!;
    const added = parsed.changes.find((change) => change.kind === 'add-column');
    const column = addedColumn(parsed);
    if (!added || !column) return [step];
    if (parsed.changes.some(({ kind }) => kind === 'add-constraint')) {
      this.refuse(
        `Column "${column.name}" is added to table "${table}" together with a constraint, which is checked under the lock of both.`,
        'Add the column by itself, and the constraint in an ALTER TABLE of its own.',
      );
      return [step];
    }
    const { rewrite } = added.column;
    if (rewrite !== undefined && (column.rest !== '' || column.default === undefined)) {
      this.refuse(
        `Column "${column.name}" cannot be added to table "${table}" without writing it anew under ACCESS EXCLUSIVE: ${rewrite}.`,
        'Add a plain column, fill it in a backfill, and give it its default or sequence afterwards.',
      );
      return [step];
    }
    const empty = column.notNull && !added.column.hasDefault;
    if (rewrite === undefined && !empty) return [step];
    const alter = `ALTER TABLE ${quoteTable(table)}`;
    const name = quoteIdentifier(column.name);
    const why = empty
      ? 'A NOT NULL column without a default cannot be added to a table that has rows'
      : `Its default would write the table anew under ACCESS EXCLUSIVE (${rewrite})`;
    this.note(
      'rewritten',
      [step.up],
      `${why}. Column "${column.name}" of table "${table}" is added nullable${column.default === undefined ? '' : ', its default apart'}; fill the rows there are in a backfill${column.notNull ? ', before the file that makes it NOT NULL runs' : ''}.`,
    );
    const add: SqlStep = {
      ...step,
      up: `${alter} ADD COLUMN ${name} ${column.type.text}`,
      origins: [step.up],
    };
    const setDefault: SqlStep[] =
      column.default === undefined
        ? []
        : [
            {
              kind: 'sql',
              up: `${alter} ALTER COLUMN ${name} SET DEFAULT ${column.default}`,
              down: [`${alter} ALTER COLUMN ${name} DROP DEFAULT`],
              origins: [],
            },
          ];
    const notNull = column.notNull
      ? [operationStep('notNull', 'validate', { table, column: column.name })]
      : [];
    return [add, ...setDefault, ...notNull];
  }

  private changeType(step: SqlStep, parsed: ParsedSql): SqlStep {
    if (step.reviewed?.rules.includes('MIG037')) return step;
    const [undo] = step.down;
    const from = undo === undefined ? undefined : alteredType(parseStatement(undo));
    const to = alteredType(parsed)!;
    const column = parsed.command?.name ?? '';
    if (from && changesInPlace(from, to)) return { ...step, reviewed: inPlace(from.text, to.text) };
    this.refuse(
      `Column "${column}" of table "${parsed.table}" changes ${from ? `from ${from.text} ` : ''}to ${to.text}: ${from ? 'PostgreSQL writes the table anew' : 'its former type is not in down(), and PostgreSQL may write the table anew'} under ACCESS EXCLUSIVE.`,
      expandHint({ name: column, type: to }),
    );
    return step;
  }

  private refuseConstraint(parsed: ParsedSql): void {
    const [change] = parsed.changes;
    if (change?.kind !== 'add-constraint' || change.constraint.usingIndex) return;
    const { type, name } = change.constraint;
    if (type === 'primary key') {
      this.refuse(
        `Table "${change.table}" is in use and gets primary key "${name}": its index is built under ACCESS EXCLUSIVE.`,
        'Build a unique index CONCURRENTLY, make its columns NOT NULL, then ADD CONSTRAINT … PRIMARY KEY USING INDEX in a migration of its own.',
      );
    }
    if (type === 'exclude') {
      this.refuse(
        `Table "${change.table}" is in use and gets exclusion constraint "${name}": PostgreSQL builds its index under ACCESS EXCLUSIVE and knows no other way.`,
        'Add it in a maintenance window, in a migration of its own with a reason for the linter.',
      );
    }
    if (type === 'unique' && this.facts.isPartitioned(change.table)) {
      this.refuse(
        `Partitioned table "${change.table}" is in use and gets unique constraint "${name}": its indexes are built under ACCESS EXCLUSIVE, and PostgreSQL makes no constraint of an index there.`,
        'Declare a unique index in place of the constraint, @Index([…], { unique: true }): it is built on each partition concurrently.',
      );
    }
    if (type === 'foreign key' && this.facts.isPartitioned(change.table)) {
      this.refuse(
        `Partitioned table "${change.table}" is in use and gets foreign key "${name}": before PostgreSQL 18 it cannot be added NOT VALID there, and is checked under a lock.`,
        'Add the same foreign key to each partition NOT VALID and validate it; the partitioned table then takes them over without a check.',
      );
    }
  }

  private note(kind: Note['kind'], statements: readonly string[], reason: string): void {
    this.notes.push({ kind, statements, reason });
  }
}

/** TypeORM reads the columns of an index from the catalog in no order: that it is another is no difference. */
function sameDefinition(one: ParsedSql, other: ParsedSql): boolean {
  const definition = ({ node }: ParsedSql) => {
    if (!('IndexStmt' in node)) return plain(node);
    const { indexParams = [], ...index } = node.IndexStmt;
    return plain([index, indexParams.map(plain).sort()]);
  };
  return definition(one) === definition(other);
}

function isUnique({ node, changes }: ParsedSql): boolean {
  const isConstraint = changes.some(
    (change) => change.kind === 'add-constraint' && change.constraint.type === 'unique',
  );
  return isConstraint || ('IndexStmt' in node && node.IndexStmt.unique === true);
}

function readsOf({ changes }: ParsedSql): readonly string[] {
  return changes.flatMap((change) => (change.kind === 'create-view' ? change.reads : []));
}

function isView({ effect }: ParsedSql, name: string): boolean {
  return effect?.object === `view ${name}`;
}

function entry(step: Step): Entry {
  return { step, parsed: step.kind === 'sql' ? parseStatement(step.up) : undefined };
}

/** Type, default and NOT NULL from one declaration to the other. */
function columnChanges(table: string, from: ColumnDeclaration, to: ColumnDeclaration): SqlStep[] {
  const alter = `ALTER TABLE ${quoteTable(table)} ALTER COLUMN ${quoteIdentifier(to.name)}`;
  const setDefault = ({ default: value }: ColumnDeclaration) =>
    value === undefined ? `${alter} DROP DEFAULT` : `${alter} SET DEFAULT ${value}`;
  const setNull = ({ notNull }: ColumnDeclaration) => `${alter} ${notNull ? 'SET' : 'DROP'} NOT NULL`;
  const change = (up: string, down: string): SqlStep => ({ kind: 'sql', up, down: [down] });
  const type = change(`${alter} TYPE ${to.type.text}`, `${alter} TYPE ${from.type.text}`);
  return [
    { ...type, reviewed: inPlace(from.type.text, to.type.text) },
    ...(from.default === to.default ? [] : [change(setDefault(to), setDefault(from))]),
    ...(from.notNull === to.notNull ? [] : [change(setNull(to), setNull(from))]),
  ];
}

function inPlace(from: string, to: string): NonNullable<SqlStep['reviewed']> {
  return { rules: ['MIG037'], reason: `${from} becomes ${to} in place: ${NO_REWRITE}` };
}

function expandHint({ name, type }: Pick<ColumnDeclaration, 'name' | 'type'>): string {
  return `Expand, backfill, contract: add another column of type ${type.text} beside "${name}", write both, fill it in a backfill, read it, and drop "${name}" in a later deploy.`;
}

function withSecurityInvoker(sql: string): string {
  const tokens = tokensOf(sql);
  const as = tokens.find(({ text, depth }) => depth === 0 && text.toUpperCase() === 'AS')!;
  const options = tokens.find(
    ({ text, depth, start }) => depth === 0 && text.toUpperCase() === 'WITH' && start < as.start,
  );
  if (!options) {
    return `${sliceBytes(sql, 0, as.start)} WITH (security_invoker = true) ${sliceBytes(sql, as.start)}`;
  }
  const open = tokens.find(({ text, start }) => text === '(' && start > options.start)!;
  return `${sliceBytes(sql, 0, open.end)}security_invoker = true, ${sliceBytes(sql, open.end)}`;
}

function refused(refusals: readonly Refusal[]): RlsConfigurationError {
  const [only] = refusals;
  if (refusals.length === 1) return new RlsConfigurationError(only!.message, only!.hint);
  const hints = [...new Set(refusals.map(({ hint }) => hint))];
  return new RlsConfigurationError(
    refusals.map(({ message }, index) => `${index + 1}. ${message}`).join('\n'),
    hints.length === 1 ? hints[0]! : refusals.map(({ hint }, index) => `${index + 1}. ${hint}`).join('\n  '),
  );
}
