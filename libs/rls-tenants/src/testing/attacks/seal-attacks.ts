import { sealSettingOf } from '../../policies/index.js';
import {
  becomeInBlock,
  blockSql,
  keyConditionOfLiterals,
  readInBlockSql,
  setInBlock,
  touchSql,
} from '../isolation.sql.js';
import {
  asAttacker,
  ordinaryColumn,
  quoted,
  touches,
  type Attack,
  type Scene,
  type Target,
} from './attack.js';

/**
 * What any SQL on the connection may do, and what the seal is there for: none of it is held by the plain setting. Within
 * one statement, because the library carries the tenant in front of each.
 */
export async function sealAttacks(scene: Scene): Promise<Attack[]> {
  const { session, metadata, table, tenantSetting, own, sealedFrom } = scene;
  if (sealedFrom === undefined) return [];
  const reading = (way: string, before: (target: Target) => readonly string[]): Attack => ({
    way,
    attempt: (target) => {
      const sql = readInBlockSql(before(target), table, keyConditionOfLiterals(target.key));
      return asAttacker(scene, () => session.seesInBlock(sql));
    },
  });
  const becomes = ({ tenantId }: Target) => setInBlock(tenantSetting, tenantId);
  const unless = (target: Target, ...statements: string[]) => (target === own ? [] : statements);
  const column = quoted(ordinaryColumn(scene));
  return [
    reading('reads the row by setting its tenant', (target) => [becomes(target)]),
    reading('reads the row by setting its tenant, without a seal', (target) =>
      unless(target, becomes(target), setInBlock(sealSettingOf(tenantSetting), '')),
    ),
    reading(`reads the row as role "${sealedFrom}"`, (target) => unless(target, becomeInBlock(sealedFrom))),
    ...((await session.may('UPDATE', metadata))
      ? [
          {
            way: 'updates the row by setting its tenant',
            attempt: (target: Target) =>
              touches(scene, target, () => {
                const update = touchSql(table, column, keyConditionOfLiterals(target.key));
                return asAttacker(scene, () => session.seesInBlock(blockSql([becomes(target), update])));
              }),
          },
        ]
      : []),
  ];
}
