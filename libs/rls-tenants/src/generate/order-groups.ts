import type { Item } from './sort-steps.js';

/** What one subject's files are made of, and what had to be put off. */
export interface Group {
  readonly subject: string;
  readonly items: readonly Item[];
  readonly deferred: readonly Item[];
}

/**
 * The items of one stage by their subject, in their own order as far as each comes after what it needs. Where subjects
 * need each other, foreign keys are put off: they take no part here, and what takes their place is in `deferred`.
 */
export function orderGroups(items: readonly Item[]): Group[] {
  const waiting = new Map<string, Item[]>();
  for (const one of items) waiting.set(one.subject, [...(waiting.get(one.subject) ?? []), one]);
  const groups: Group[] = [];
  while (waiting.size > 0) {
    const isOpen = ({ needs }: Item) => needs.some((need) => waits(waiting, need));
    const ready =
      [...waiting].find(([, own]) => !own.some(isOpen)) ??
      [...waiting].find(([, own]) => own.filter(isOpen).every(({ deferred }) => deferred)) ??
      [...waiting][0]!;
    const [subject, own] = ready;
    const late = own.filter((one) => isOpen(one) && one.deferred);
    waiting.delete(subject);
    groups.push({
      subject,
      items: own.filter((one) => !late.includes(one)),
      deferred: late.flatMap((one) => one.deferred ?? []),
    });
  }
  return groups;
}

/** A table or a view is needed under its name. */
function waits(waiting: ReadonlyMap<string, readonly Item[]>, need: string): boolean {
  return waiting.has(need) || waiting.has(`view ${need}`);
}
