import { inverseOf } from './inverse.js';
import { parseStatement, relationsOf, typesOf, type ParsedSql } from './statement.js';
import type { Note, SqlStep } from './step.js';

/** Statements as steps, and what could not be undone, or undoes nothing. */
export interface PairedStatements {
  readonly steps: readonly SqlStep[];
  readonly notes: readonly Note[];
}

/**
 * Finds for each statement of an `up` those of the `down` that undo it: `DROP INDEX` for `CREATE INDEX` of the same name.
 * Where `down` has none, the inverse is derived if it is mechanical. libpg-query's `loadModule()` must have finished.
 *
 * @param ups single statements, in the order of execution.
 * @param downs single statements, in the order in which they undo.
 */
export function pairStatements(ups: readonly string[], downs: readonly string[]): PairedStatements {
  const parsedUps = ups.map(parseStatement);
  const open = downs.map(parseStatement);
  const found = new Map<ParsedSql, string[]>();
  // The last statement is undone first.
  for (const up of parsedUps.toReversed()) {
    const index = open.findIndex((down) => undoes(up, down));
    if (index >= 0)
      found.set(
        up,
        open.splice(index, 1).map(({ sql }) => sql),
      );
  }
  for (const up of parsedUps) {
    const recreation = 'AlterEnumStmt' in up.node ? enumRecreation(up, open) : [];
    if (recreation.length > 0) found.set(up, recreation);
  }
  const notes: Note[] = [];
  const steps = parsedUps.map((up): SqlStep => {
    const down = found.get(up) ?? inverseOf(up);
    if (!down && !isGuard(up, parsedUps)) notes.push(noDown(up));
    return { kind: 'sql', up: up.sql, down: down ?? [] };
  });
  if (open.length > 0) {
    const reason = 'It undoes nothing that up() does, as far as its objects show: write it where it belongs.';
    notes.push({ kind: 'left-out', statements: open.map(({ sql }) => sql), reason });
  }
  return { steps, notes };
}

/** `DROP … IF EXISTS` in front of what is made anew: it takes away what an interrupted run left. */
function isGuard({ sql, effect }: ParsedSql, ups: readonly ParsedSql[]): boolean {
  const madeAnew = ups.some((up) => up.effect?.verb === 'create' && up.effect.object === effect?.object);
  return effect?.verb === 'drop' && madeAnew && /\bIF\s+EXISTS\b/i.test(sql);
}

function undoes(up: ParsedSql, down: ParsedSql): boolean {
  if (writes(up) && writes(down) && !up.effect && !down.effect) return up.table === down.table;
  if (!up.effect || !down.effect || up.effect.object !== down.effect.object) return false;
  const opposite = { create: 'drop', drop: 'create', alter: 'alter' } as const;
  return down.effect.verb === opposite[up.effect.verb];
}

function writes({ changes }: ParsedSql): boolean {
  return changes.some(({ kind }) => kind === 'write');
}

/** What takes an enum's value away: a new type without it, in place of the old one. Taken out of `open`. */
function enumRecreation(up: ParsedSql, open: ParsedSql[]): string[] {
  const type = up.effect!.object.split(' ')[1]!;
  const involved = new Set([type, `${type}_old`]);
  const belongs = ({ node, effect }: ParsedSql) =>
    [...typesOf(node), ...relationsOf(node), effect?.object.split(' ')[1] ?? ''].some((one) =>
      involved.has(one),
    ) ||
    ('RenameStmt' in node && [...involved].some((one) => effect?.object.includes(one.split('.').at(-1)!)));
  const first = open.findIndex(belongs);
  const last = open.findLastIndex(belongs);
  return first < 0 ? [] : open.splice(first, last - first + 1).map(({ sql }) => sql);
}

function noDown({ sql, effect }: ParsedSql): Note {
  const drops = effect?.verb === 'drop';
  return {
    kind: 'no-down',
    statements: [sql],
    reason: drops
      ? 'down() does not restore it, and nothing brings back the data: its file has nothing to undo it with.'
      : 'down() has nothing that undoes it, and its inverse cannot be derived: complete the down() of its file.',
  };
}
