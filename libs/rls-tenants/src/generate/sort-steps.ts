import { RlsConfigurationError } from '../errors.js';
import { parseTableName, quoteIdentifier, quoteTable } from '../policies/index.js';
import { concurrently, indexOptions, operationStep } from './operation-code.js';
import {
  METADATA_TABLE,
  constantsOf,
  parseStatement,
  relationsOf,
  shorten,
  sliceBytes,
  tokensOf,
  typesOf,
  type ParsedSql,
} from './statement.js';
import {
  originsOf,
  type OperationStep,
  type Phase,
  type SchemaFacts,
  type SqlStep,
  type Step,
} from './step.js';

/** The order of the files: relaxing drops come before those that lose data. */
export const STAGES = [
  'structure',
  'data',
  'index',
  'partitioned-index',
  'attach-partitioned-index',
  'not-valid',
  'validate',
  'relax',
  'drop',
] as const;

/** When a file runs. */
export type Stage = (typeof STAGES)[number];

/** A step, and the file that it belongs to. */
export interface Item {
  readonly step: Step;
  readonly stage: Stage;
  /** What the file is about: a table, a view, a type, or `objects`. */
  readonly subject: string;
  /** SQL that runs without a transaction: it has a file apart from operations. */
  readonly concurrent: boolean;
  /** What else of the same stage must stand before it. */
  readonly needs: readonly string[];
  /** What takes its place if what it needs cannot stand before it. */
  readonly deferred?: readonly Item[];
}

/** The subject of what belongs to no table. */
export const OBJECTS = 'objects';

/** Decides for each step of an input what file it belongs to. libpg-query's `loadModule()` must have finished. */
export class StepSorter {
  private readonly parsed: ReadonlyMap<Step, ParsedSql>;
  private readonly created: ReadonlySet<string>;
  /** Objects that are dropped and made again. */
  private readonly recreated: ReadonlySet<string>;
  /** Tables that lose a column, or are dropped. */
  private readonly shrinking: ReadonlySet<string>;
  /** What the file of a view is about, where it is about other views too. */
  private readonly viewSubjects = new Map<string, string>();
  /** The view that is dropped while a column of the table changes its type, and made again. */
  private readonly viewsAround = new Map<string, string>();

  constructor(
    private readonly steps: readonly Step[],
    private readonly facts: SchemaFacts,
  ) {
    this.parsed = new Map(
      steps.flatMap((step) => (step.kind === 'sql' ? [[step, parseStatement(step.up)] as const] : [])),
    );
    const effects = [...this.parsed.values()].flatMap(({ effect, table }) =>
      effect ? [{ ...effect, table }] : [],
    );
    const objects = (verb: 'create' | 'drop') =>
      effects.filter((one) => one.verb === verb).map(({ object }) => object);
    const created = new Set(objects('create'));
    this.created = new Set([...created].flatMap((one) => (one.startsWith('table ') ? [one.slice(6)] : [])));
    this.recreated = new Set(objects('drop').filter((one) => created.has(one)));
    this.shrinking = new Set(
      effects
        .filter(({ verb, object }) => verb === 'drop' && /^(?:column|table) /.test(object))
        .map(({ table }) => table ?? ''),
    );
    this.findViewsAround();
  }

  /** PostgreSQL changes no type of a column that a view reads: it is dropped and made again in the same transaction. */
  private findViewsAround(): void {
    const reads = new Map<string, Set<string>>();
    for (const [step, { node, effect }] of this.parsed) {
      if (!effect || !this.recreated.has(effect.object) || !effect.object.startsWith('view ')) continue;
      const texts = step.kind === 'sql' ? step.down.map((sql) => parseStatement(sql).node) : [];
      const found = [node, ...texts].flatMap(relationsOf);
      reads.set(effect.object, new Set([...(reads.get(effect.object) ?? []), ...found]));
    }
    for (const [view, tables] of reads) this.joinViews(view, tables, reads);
    for (const { table = '', command } of this.parsed.values()) {
      if (command?.subtype !== 'AT_AlterColumnType') continue;
      const [first, ...others] = [...reads].filter(([, tables]) => tables.has(table)).map(([view]) => view);
      if (first === undefined) continue;
      const subject = this.viewSubjects.get(first) ?? first;
      this.viewsAround.set(table, subject);
      for (const view of others) this.viewSubjects.set(view, subject);
    }
  }

  /** Views that are made anew and read each other have one file, in their own order. */
  private joinViews(view: string, tables: ReadonlySet<string>, all: ReadonlyMap<string, unknown>): void {
    const subject = this.viewSubject(view);
    for (const other of tables) {
      const name = `view ${other}`;
      if (name === view || !all.has(name)) continue;
      const former = this.viewSubject(name);
      for (const one of all.keys()) if (this.viewSubject(one) === former) this.viewSubjects.set(one, subject);
    }
  }

  /** The steps with their places. @throws RlsConfigurationError for statements that are not known to be safe anywhere. */
  items(): Item[] {
    const items = this.steps.flatMap((step) =>
      step.kind === 'operation' ? [operationItem(step)] : this.statement(step, this.parsed.get(step)!),
    );
    this.checkData();
    this.checkRenames(items);
    return items;
  }

  private inUse(table: string): boolean {
    return !this.created.has(table) && this.facts.exists(table);
  }

  private statement(step: SqlStep, parsed: ParsedSql): Item[] {
    const { node, effect, table, command } = parsed;
    const [kind] = effect?.object.split(' ') ?? [];
    if (kind === 'metadata') return [this.metadata(step, parsed)];
    if (parsed.changes.some(({ kind: change }) => change === 'write')) {
      return [item(step, 'data', parsed.table!)];
    }
    if ('IndexStmt' in node) return this.createIndex(step, parsed);
    if (effect?.verb === 'drop' && (kind === 'index' || DROPS.has(kind!)))
      return [this.drop(step, parsed, kind!)];
    if ('AlterEnumStmt' in node) return [item(step, 'structure', `type ${effect!.object.split(' ')[1]}`)];
    if (command && table !== undefined) return this.alterTable(step, parsed, table);
    if (effect === undefined) throw unclassified(step);
    return [this.structure(step, parsed)];
  }

  /** What a table, a view or the schema itself is made of. */
  private structure(step: SqlStep, parsed: ParsedSql): Item {
    const { node, effect, table } = parsed;
    const needs = relationsOf(node).filter((one) => one !== table);
    if (effect!.object.startsWith('view '))
      return item(step, 'structure', this.viewSubject(effect!.object), needs);
    if (table !== undefined) return item(step, 'structure', table, needs);
    if ('CreateEnumStmt' in node || 'CreateDomainStmt' in node) {
      const user = this.userOfType(effect!.object.slice('type '.length));
      if (user !== undefined) return item(step, 'structure', user);
    }
    return item(step, 'structure', OBJECTS);
  }

  private viewSubject(view: string): string {
    return this.viewSubjects.get(view) ?? view;
  }

  /** The table that has columns of the type, if it is the only one. */
  private userOfType(type: string): string | undefined {
    const users = new Set<string>();
    for (const { node, table } of this.parsed.values()) {
      if (table !== undefined && typesOf(node).includes(type)) users.add(table);
    }
    const [only, second] = users;
    return second === undefined ? only : undefined;
  }

  private alterTable(step: SqlStep, parsed: ParsedSql, table: string): Item[] {
    const { subtype, name = '' } = parsed.command!;
    const partitions = parsed.changes.flatMap((one) => ('partition' in one ? [one.partition] : []));
    const needs = [...relationsOf(parsed.node).filter((one) => one !== table), ...partitions];
    if ('AlterTableStmt' in parsed.node && parsed.node.AlterTableStmt.objtype === 'OBJECT_INDEX') {
      return [item(step, 'attach-partitioned-index', table)];
    }
    if (subtype === 'AT_AddConstraint') return this.addConstraint(step, parsed, table, needs);
    if (subtype === 'AT_DropConstraint') return [this.dropConstraint(step, parsed, table)];
    if (subtype === 'AT_ValidateConstraint') return [item(step, 'validate', table)];
    if (subtype === 'AT_DropColumn') return [item(step, 'drop', table)];
    const view = this.viewsAround.get(table);
    if (subtype === 'AT_AlterColumnType' && view !== undefined) return [item(step, 'structure', view)];
    if (subtype === 'AT_SetNotNull' && this.inUse(table)) {
      const options = { table, column: name };
      return [operationItem(operationStep('notNull', 'validate', options, originsOf(step)))];
    }
    return [item(step, 'structure', table, needs)];
  }

  private addConstraint(step: SqlStep, parsed: ParsedSql, table: string, needs: readonly string[]): Item[] {
    const [change] = parsed.changes;
    if (change?.kind !== 'add-constraint') return [item(step, 'structure', table, needs)];
    const { type, name, columns, notValid, usingIndex, references } = change.constraint;
    const live = this.inUse(table);
    if (usingIndex) return [item(step, 'attach-partitioned-index', table)];
    if (type === 'foreign key' || type === 'check') {
      if (notValid) return [item(step, 'not-valid', table)];
      if (name === undefined && live) throw unnamed(step, table);
      const twoSteps = () => addNotValid(step, table, name!, references);
      if (live || this.waitsForKey(change.constraint)) return twoSteps();
      const keep = item(step, 'structure', table, needs);
      return [type === 'foreign key' && name !== undefined ? { ...keep, deferred: twoSteps() } : keep];
    }
    if (type !== 'unique' || !live) return [item(step, 'structure', table, needs)];
    if (isSpecialUnique(parsed)) {
      throw new RlsConfigurationError(
        `Table "${table}" is in use and gets unique constraint "${name}", which is deferrable or has a form that no index built before can take: ${shorten(step.up)}`,
        'Build its index CONCURRENTLY, and add the constraint USING INDEX, in migrations of their own.',
      );
    }
    const options = { table, columns: [...columns], name };
    return [operationItem(operationStep('uniqueConstraint', 'index', options, originsOf(step)))];
  }

  /** A foreign key that references columns which become unique later than the tables are made. */
  private waitsForKey({
    references,
    referencedColumns,
  }: {
    readonly references: string | undefined;
    readonly referencedColumns: readonly string[];
  }): boolean {
    if (references === undefined || !this.inUse(references)) return false;
    const wanted = [...referencedColumns].sort().join();
    const added = this.steps.some((step) => {
      const [change] = this.parsed.get(step)?.changes ?? [];
      if (change?.kind !== 'add-constraint' || change.table !== references) return false;
      return change.constraint.type === 'unique' && [...change.constraint.columns].sort().join() === wanted;
    });
    return added || this.steps.some((step) => addsUnique(step, references));
  }

  private createIndex(step: SqlStep, parsed: ParsedSql): Item[] {
    const [change] = parsed.changes;
    if (change?.kind !== 'create-index') throw unclassified(step);
    const { table } = change;
    if (change.only) return [item(step, 'attach-partitioned-index', table)];
    if (change.concurrently && this.recreated.has(parsed.effect!.object)) {
      // It is dropped first if it is there: that can be run again as it stands.
      return [{ ...item(step, 'index', table), concurrent: true }];
    }
    const options = indexOptions(parsed);
    const origins = originsOf(step);
    if (this.isPartitioned(table)) {
      if (!options) throw unsupportedIndex(step, table);
      return [
        operationItem(operationStep('partitionIndexes', 'partitioned-index', options, origins)),
        operationItem(operationStep('parentIndex', 'attach-partitioned-index', options)),
      ];
    }
    if (options) return [operationItem(operationStep('concurrentIndex', 'index', options, origins))];
    if (change.name === undefined) throw unsupportedIndex(step, table);
    const name = quoteTable(parsed.effect!.object.slice('index '.length));
    const drop = `DROP INDEX CONCURRENTLY IF EXISTS ${name}`;
    return [
      // An interrupted build leaves an invalid index: the next run builds it anew.
      { ...item({ kind: 'sql', up: drop, down: [], origins: [] }, 'index', table), concurrent: true },
      {
        ...item({ kind: 'sql', up: concurrently(parsed), down: [drop], origins }, 'index', table),
        concurrent: true,
      },
    ];
  }

  private isPartitioned(table: string): boolean {
    const made = [...this.parsed.values()].some(
      ({ changes: [change] }) =>
        change?.kind === 'create-table' && change.table === table && change.partitioned,
    );
    return made || this.facts.isPartitioned(table);
  }

  private drop(step: SqlStep, parsed: ParsedSql, kind: string): Item {
    const { effect, table } = parsed;
    if (kind === 'index') return this.dropIndex(step, parsed);
    if (kind === 'view') {
      const again = this.recreated.has(effect!.object);
      const dropped = again ? withReview(step, 'MIG040', 'it is made again in this transaction') : step;
      return item(dropped, again ? 'structure' : 'drop', this.viewSubject(effect!.object));
    }
    if (kind === 'table') return item(step, 'drop', table!);
    return item(step, 'drop', this.droppedBefore(step) ?? OBJECTS);
  }

  /** The table that the step before drops something of: a type goes with the column that had it. */
  private droppedBefore(step: SqlStep): string | undefined {
    for (const before of this.steps.slice(0, this.steps.indexOf(step)).toReversed()) {
      const parsed = this.parsed.get(before);
      if (parsed?.effect?.verb === 'drop' && this.shrinking.has(parsed.table ?? '')) return parsed.table;
    }
    return undefined;
  }

  private dropIndex(step: SqlStep, { effect, changes: [change], sql }: ParsedSql): Item {
    const path = effect!.object.slice('index '.length);
    const [undo] = step.down;
    const former = undo === undefined ? undefined : parseStatement(undo);
    const table = former?.table ?? this.tableOfIndex(path) ?? path;
    const stage = this.recreated.has(effect!.object) ? 'index' : 'relax';
    if (this.isPartitioned(table)) return item(step, stage, table);
    const already = change?.kind === 'drop-index' && change.concurrently && /\bIF\s+EXISTS\b/i.test(sql);
    const up = already ? sql : `DROP INDEX CONCURRENTLY IF EXISTS ${quoteTable(path)}`;
    const down = former
      ? [`DROP INDEX CONCURRENTLY IF EXISTS ${quoteTable(path)}`, concurrently(former)]
      : step.down;
    const changed = already ? step : { ...step, up, down, origins: originsOf(step) };
    return { ...item(changed, stage, table), concurrent: true };
  }

  private tableOfIndex(path: string): string | undefined {
    for (const { effect, table } of this.parsed.values()) {
      if (effect?.verb === 'create' && effect.object === `index ${path}`) return table;
    }
    return undefined;
  }

  private dropConstraint(step: SqlStep, { effect }: ParsedSql, table: string): Item {
    // In the transaction that adds the one of the same name, so that there is no moment without it.
    if (this.recreated.has(effect!.object))
      return item(step, this.inUse(table) ? 'not-valid' : 'structure', table);
    // What a foreign key references goes after the key.
    const keys = isReferenceable(step) ? this.keysDropped(table).filter((one) => one !== table) : [];
    const shrinks = [table, ...keys].some((one) => this.shrinking.has(one));
    return item(step, shrinks ? 'drop' : 'relax', table, keys);
  }

  /** The tables whose foreign keys to a table are dropped. */
  private keysDropped(references: string): string[] {
    return this.steps.flatMap((step) => {
      const parsed = this.parsed.get(step);
      if (step.kind !== 'sql' || parsed?.command?.subtype !== 'AT_DropConstraint') return [];
      const [change] = step.down.flatMap((sql) => parseStatement(sql).changes);
      const isKey = change?.kind === 'add-constraint' && change.constraint.references === references;
      return isKey ? [parsed.table!] : [];
    });
  }

  /** What TypeORM notes about a view or a generated column goes where that goes. */
  private metadata(given: SqlStep, { node, effect }: ParsedSql): Item {
    const step = effect!.verb === 'drop' ? withReview(given, 'MIG012', "one row of TypeORM's own") : given;
    const constants = new Set(constantsOf(node));
    const lastPart = (path: string) => path.split('.').at(-1)!;
    for (const parsed of this.parsed.values()) {
      const object = parsed.effect?.object ?? '';
      if (object.startsWith('view ') && constants.has(lastPart(object.slice('view '.length)))) {
        const gone = parsed.effect!.verb === 'drop' && !this.recreated.has(object);
        return item(step, gone ? 'drop' : 'structure', this.viewSubject(object));
      }
    }
    for (const { table } of this.parsed.values()) {
      if (table === undefined || lastPart(table) === METADATA_TABLE || !constants.has(lastPart(table)))
        continue;
      return item(step, effect!.verb === 'drop' && this.shrinking.has(table) ? 'drop' : 'structure', table);
    }
    return item(step, 'structure', METADATA_TABLE);
  }

  /** Rows are written after the whole structure: what a later step would change under them is refused. */
  private checkData(): void {
    this.steps.forEach((step, index) => {
      const written = this.parsed.get(step)?.changes.find(({ kind }) => kind === 'write');
      if (!written || this.parsed.get(step)?.effect?.object.startsWith('metadata ')) return;
      const tables = new Set(relationsOf(this.parsed.get(step)!.node));
      const after = this.steps.slice(index + 1).find((other) => {
        if (other.kind === 'operation') return other.phase === 'structure' && tables.has(other.table);
        const parsed = this.parsed.get(other);
        return parsed?.table !== undefined && tables.has(parsed.table) && changesTable(parsed);
      });
      const before = this.steps.slice(0, index).find((other) => {
        const parsed = this.parsed.get(other);
        return parsed?.command?.subtype === 'AT_DropConstraint' && tables.has(parsed.table!);
      });
      if (after) throw dataBetween(step, after, 'before a later statement changes their table', 'before');
      if (before) throw dataBetween(step, before, 'after a constraint of their table is dropped', 'after');
    });
  }

  /** Names change with the structure: what used the old one before, and runs later, would not find it. */
  private checkRenames(items: readonly Item[]): void {
    const late = new Set(
      items.filter(({ stage }) => stage !== 'structure').flatMap(({ step }) => originsOf(step)),
    );
    this.steps.forEach((step, index) => {
      const [change] = this.parsed.get(step)?.changes ?? [];
      if (change?.kind !== 'rename' || change.table === undefined) return;
      const { table, from, object } = change;
      const user = this.steps.slice(0, index).find((other) => {
        const parsed = this.parsed.get(other);
        if (!parsed || !originsOf(other).some((sql) => late.has(sql))) return false;
        if (!relationsOf(parsed.node).includes(table)) return false;
        return (
          object !== 'column' || tokensOf(parsed.sql).some(({ text }) => text.replaceAll('"', '') === from)
        );
      });
      if (!user) return;
      throw new RlsConfigurationError(
        `A statement that runs in a later file uses a name that is changed after it: ${shorten((user as SqlStep).up)} … ${shorten((step as SqlStep).up)}`,
        'Move the statement that renames into a migration of its own, after this one.',
      );
    });
  }
}

/** Kinds of objects whose loss is for a later deploy. */
const DROPS: ReadonlySet<string> = new Set([
  'table',
  'view',
  'type',
  'sequence',
  'schema',
  'extension',
  'function',
]);

function item(step: SqlStep, stage: Stage, subject: string, needs: readonly string[] = []): Item {
  return { step, stage, subject, concurrent: false, needs };
}

function operationItem(step: OperationStep): Item {
  const phase: Phase = step.phase;
  const deferred = phase === 'structure' ? [{ ...bare(step), stage: 'not-valid' as const }] : [];
  return { ...bare(step), ...(deferred.length > 0 && { deferred }) };
}

function bare(step: OperationStep): Item {
  return { step, stage: step.phase, subject: step.table, concurrent: false, needs: step.references ?? [] };
}

/** The step with a reason why a rule of the linter does not apply to it. */
function withReview(step: SqlStep, rule: string, reason: string): SqlStep {
  const { rules = [], reason: before } = step.reviewed ?? {};
  if (rules.includes(rule)) return step;
  const reasons = before === undefined ? reason : `${before}; ${reason}`;
  return { ...step, origins: originsOf(step), reviewed: { rules: [...rules, rule], reason: reasons } };
}

/** `ADD CONSTRAINT … NOT VALID`, and its validation in another file. */
function addNotValid(step: SqlStep, table: string, name: string, references: string | undefined): Item[] {
  const validate: SqlStep = {
    kind: 'sql',
    up: `ALTER TABLE ${quoteTable(table)} VALIDATE CONSTRAINT ${quoteIdentifier(name)}`,
    down: [],
    origins: [],
    ...(references !== undefined && { allRows: [...new Set([table, references])] }),
  };
  const add: SqlStep = { ...step, up: `${step.up.replace(/;\s*$/, '')} NOT VALID`, origins: originsOf(step) };
  return [item(add, 'not-valid', table), item(validate, 'validate', table)];
}

/** DEFERRABLE, NULLS NOT DISTINCT, INCLUDE: what comes after the list of columns. */
function isSpecialUnique({ sql }: ParsedSql): boolean {
  const tokens = tokensOf(sql);
  const unique = tokens.findIndex(({ text, depth }) => depth === 0 && text.toUpperCase() === 'UNIQUE');
  const close = tokens.findIndex(({ text, depth }, index) => index > unique && depth === 0 && text === ')');
  const between = tokens[unique + 1]?.text !== '(';
  return between || sliceBytes(sql, tokens[close]!.end).replace(/^;/, '') !== '';
}

/** A unique or primary key is dropped, as far as what undoes it shows. */
function isReferenceable({ down }: SqlStep): boolean {
  const [change] = down.flatMap((sql) => parseStatement(sql).changes);
  return change?.kind === 'add-constraint' && ['unique', 'primary key'].includes(change.constraint.type);
}

function addsUnique(step: Step, table: string): boolean {
  return step.kind === 'operation' && step.table === table && step.imports.includes('uniqueConstraint');
}

/** Commands under which a statement that writes rows does something else. */
const SWITCHES =
  /^AT_(?:ColumnDefault|(?:Enable|Disable|Force|NoForce)RowSecurity|(?:Enable|Disable)(?:Always|Replica)?Trig\w*)$/;

function changesTable({ changes, command, effect }: ParsedSql): boolean {
  return (
    changes.some(({ kind }) => kind === 'rename' || kind === 'column-type') ||
    SWITCHES.test(command?.subtype ?? '') ||
    /^(?:trigger|policy) /.test(effect?.object ?? '')
  );
}

function dataBetween(write: Step, other: Step, when: string, place: string): RlsConfigurationError {
  const [first, second] = place === 'before' ? [write, other] : [other, write];
  const text = (step: Step) => shorten(step.kind === 'sql' ? step.up : step.code);
  return new RlsConfigurationError(
    `Rows are written ${when}: ${text(first)} … ${text(second)}`,
    `Move the statement that writes rows into a migration of its own, ${place} this one, with what it needs around it.`,
  );
}

function unclassified({ up }: SqlStep): RlsConfigurationError {
  return new RlsConfigurationError(
    `A statement cannot be put into any file, because nothing is known of what it does: ${shorten(up)}`,
    'Move it into a migration of its own.',
  );
}

function unnamed({ up }: SqlStep, table: string): RlsConfigurationError {
  return new RlsConfigurationError(
    `A constraint of table "${table}" has no name, so that it cannot be validated afterwards: ${shorten(up)}`,
    'Name it: ADD CONSTRAINT name …',
  );
}

function unsupportedIndex({ up }: SqlStep, table: string): RlsConfigurationError {
  return new RlsConfigurationError(
    `An index of table "${parseTableName(table).name}" has a form that the library does not build (INCLUDE, NULLS NOT DISTINCT, WITH, TABLESPACE), and it is unnamed or its table is partitioned: ${shorten(up)}`,
    'Name it, or build it by hand in a migration of its own.',
  );
}
