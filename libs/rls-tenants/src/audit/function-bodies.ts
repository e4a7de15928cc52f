import type { DatabaseAudit } from './database-audit.js';
import type { CatalogFunction } from './database-catalog.js';

/**
 * What the bodies of functions mention. They are text, of any language, and may assemble SQL from strings: a word counts
 * as the name that it may be, wherever it stands.
 */
export class FunctionBodies {
  private readonly byName = new Map<string, CatalogFunction[]>();
  private readonly words = new Map<CatalogFunction, ReadonlySet<string>>();
  private readonly tenantRelations: ReadonlySet<string>;

  constructor(audit: DatabaseAudit) {
    for (const one of audit.database.functions)
      this.byName.set(one.name, [...(this.byName.get(one.name) ?? []), one]);
    this.tenantRelations = new Set(
      [...audit.protectedRelations, ...readersOf(audit)].map(({ name }) => name),
    );
  }

  /** The function and those that its body names, and theirs. */
  reach(start: CatalogFunction): CatalogFunction[] {
    const found = new Set([start]);
    for (const one of found)
      for (const word of this.wordsOf(one))
        for (const called of this.byName.get(word) ?? []) found.add(called);
    return [...found];
  }

  /** It names a tenant table, or a view of one, or nobody can say: it is compiled, or runs SQL that it puts together. */
  mayReadTenants(start: CatalogFunction): boolean {
    return this.reach(start).some((one) => {
      const words = this.wordsOf(one);
      if (words.has('execute') || (one.body === null && one.extension === null)) return true;
      return [...words].some((word) => this.tenantRelations.has(word));
    });
  }

  /** The identifiers of a body and whatever else looks like one; folded to lower case unless quoted. */
  wordsOf(one: CatalogFunction): ReadonlySet<string> {
    const known = this.words.get(one);
    if (known) return known;
    const words = new Set(
      [...(one.body ?? '').matchAll(/"((?:[^"]|"")+)"|[\p{L}_][\p{L}\p{N}_$]*/gu)].map(([word, quoted]) =>
        quoted === undefined ? word.toLowerCase() : quoted.replaceAll('""', '"'),
      ),
    );
    this.words.set(one, words);
    return words;
  }
}

/** The functions that policies of protected tables call, and those that these call. */
export function policyFunctions(audit: DatabaseAudit, bodies: FunctionBodies): Map<CatalogFunction, string> {
  const found = new Map<CatalogFunction, string>();
  for (const relation of audit.protectedRelations) {
    for (const policy of relation.policies) {
      for (const oid of audit.dependenciesOf(relation, policy)?.functions ?? []) {
        const called = audit.function(oid);
        if (!called || found.has(called)) continue;
        for (const one of bodies.reach(called))
          if (!found.has(one)) found.set(one, `policy "${policy.name}" on table "${audit.nameOf(relation)}"`);
      }
    }
  }
  return found;
}

/** Views and materialized views through which rows of tenants come. */
function readersOf(audit: DatabaseAudit) {
  return audit.database.relations.filter(
    (relation) =>
      (relation.kind === 'v' || relation.kind === 'm') &&
      audit.readsOf(relation).some((read) => audit.tenantTable(read.relation) !== undefined),
  );
}
