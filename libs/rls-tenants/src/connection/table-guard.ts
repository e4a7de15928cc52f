import { loadModule, parseSync } from 'libpg-query';
import { parseTableName, type TableName } from '../policies/index.js';

/** Tells whether a statement names one of a set of tables, by PostgreSQL's own grammar. */
export class TableGuard {
  // Most statements outside a tenant context are not about these tables; they are not worth parsing. U& may spell a
  // name in escapes.
  private readonly mention: RegExp;
  private readonly tables: TableName[];

  private constructor(tables: readonly string[]) {
    this.tables = tables.map(parseTableName);
    const names = this.tables.map(({ name }) =>
      name.replaceAll('"', '""').replace(/[.*+?^${}()|[\]\\]/g, '\\$&'),
    );
    this.mention = tables.length === 0 ? /(?!)/ : new RegExp(`U&"|${names.join('|')}`, 'i');
  }

  /** @param tables in TypeORM's notation (`note`, `billing.note`). */
  static async of(tables: readonly string[]): Promise<TableGuard> {
    await loadModule();
    return new TableGuard(tables);
  }

  /** The first of the tables that the statement names, or undefined. What does not parse, PostgreSQL refuses itself. */
  namedTable(text: string): string | undefined {
    if (!this.mention.test(text)) return undefined;
    let tree: unknown;
    try {
      tree = parseSync(text);
    } catch {
      return undefined;
    }
    return this.find(tree);
  }

  private find(node: unknown): string | undefined {
    if (typeof node !== 'object' || node === null) return undefined;
    for (const [key, value] of Object.entries(node)) {
      const found =
        (key === 'RangeVar' || key === 'relation') && this.matches(value)
          ? (value as RangeVar).relname
          : this.find(value);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  private matches({ relname, schemaname }: RangeVar): boolean {
    return this.tables.some(
      ({ schema, name }) => name === relname && (!schema || !schemaname || schema === schemaname),
    );
  }
}

interface RangeVar {
  relname?: string;
  schemaname?: string;
}
