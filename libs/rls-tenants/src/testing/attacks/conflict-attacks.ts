import { quoteTable } from '../../policies/index.js';
import { insertSql, onConflictSql, UNIQUE_KEYS_SQL, VALUES_SQL } from '../isolation.sql.js';
import {
  asAttacker,
  ordinaryColumn,
  quoted,
  touches,
  type Attack,
  type Scene,
  type Target,
} from './attack.js';
import { removeRow } from './read-attacks.js';

interface UniqueKey {
  readonly columns: readonly string[];
  readonly meaningless: boolean;
}

/** INSERT … ON CONFLICT on each unique key of the table, with the values that the other tenant's row has there. */
export async function conflictAttacks(scene: Scene): Promise<Attack[]> {
  const { session, metadata, table, scope } = scene;
  if (!(await session.may('INSERT', metadata)) || !(await session.mayRemove(metadata))) return [];
  const update = await session.may('UPDATE', metadata);
  const { rows: keys } = await session.query<UniqueKey>(UNIQUE_KEYS_SQL, [quoteTable(metadata.tablePath)]);
  const column = quoted(ordinaryColumn(scene));
  return keys.flatMap(({ columns, meaningless }) => {
    const named = `ON CONFLICT (${columns.join(', ')})`;
    const tells = !meaningless && !columns.includes(scope.column.databaseName);
    return [
      ...(update
        ? [
            conflictAttack(
              scene,
              `overwrites the row with INSERT … ${named} DO UPDATE`,
              columns,
              (target, sql) => touches(scene, target, () => sql(onConflictSql(columns, column))),
            ),
          ]
        : []),
      ...(tells
        ? [
            conflictAttack(
              scene,
              `learns what values the row has from INSERT … ${named} DO NOTHING`,
              columns,
              async (_target, sql) => (await sql(onConflictSql(columns))) === 0,
            ),
          ]
        : []),
    ];
  });

  function conflictAttack(
    { own, columns: all }: Scene,
    way: string,
    key: readonly string[],
    attempt: (target: Target, run: (onConflict: string) => Promise<number>) => Promise<boolean>,
  ): Attack {
    return {
      way,
      attempt: async (target) => {
        // Its own row must not be in the way of its copy with the other's key.
        if (target !== own) await removeRow(scene, own);
        const { rows } = await session.query<{ values: string; hasNull: boolean }>(VALUES_SQL, [
          target.content,
          key,
        ]);
        const { values, hasNull } = rows[0]!;
        if (hasNull) throw new Error(`the row has no value in (${key.join(', ')}): give one with \`make\``);
        return attempt(target, async (onConflict) => {
          const sql = insertSql(table, all) + onConflict;
          const run = () => session.query(sql, [own.content, values]);
          return (await asAttacker(scene, run)).affected;
        });
      },
    };
  }
}
