import type { QueryRunner } from 'typeorm';
import { RlsConfigurationError } from '../../errors.js';
import {
  commentOnSealFunctionSql,
  commentOnSealSql,
  DEFAULT_TENANT_SETTING,
  quoteLiteral,
  replaceSealFunctionsSql,
  sealObjectsOf,
} from '../../policies/index.js';
import { operation, runAll, type RlsOperation } from '../rls-operation.js';
import { checkSealInstalled } from '../seal.js';

/** What to upgrade. */
export interface UpgradeSealOptions {
  /** Default `'rls.current_tenant'`. */
  tenantSetting?: string;
}

/** A verifying function as it was. */
interface FormerFunction {
  readonly signature: string;
  readonly definition: string;
  readonly comment: string | null;
}

/** What each upgrade replaced, the last one at the end. */
type Upgrades = readonly (readonly FormerFunction[])[];

const COMMENT_PREFIX = 'nestjs-rls-tenants: former functions of the tenant seal ';

/**
 * Makes the functions that verify seals those of this version of the library, for a release whose notes ask for it.
 * Policies, keys, and who may call the functions stay as they are; statements that run meanwhile are not disturbed.
 *
 * The former functions are kept as the comment on their schema, because `down` runs in another process, perhaps under
 * another version: it puts them back to the letter.
 *
 * @throws RlsConfigurationError if the seal is not installed; in `down`, if what was kept is not there any more.
 */
export function upgradeSeal({
  tenantSetting = DEFAULT_TENANT_SETTING,
}: UpgradeSealOptions = {}): RlsOperation {
  return operation(
    `upgrade the tenant seal of ${tenantSetting}`,
    async (queryRunner) => {
      await checkSealInstalled(queryRunner, 'upgrade the tenant seal', tenantSetting);
      const upgrades = await upgradesOf(queryRunner, tenantSetting);
      const replaced = await functionsOf(queryRunner, tenantSetting);
      await runAll(queryRunner, replaceSealFunctionsSql(tenantSetting));
      await keep(queryRunner, [...upgrades, replaced], tenantSetting);
    },
    async (queryRunner) => {
      const upgrades = await upgradesOf(queryRunner, tenantSetting);
      const former = upgrades.at(-1);
      if (!former) {
        throw new RlsConfigurationError(
          `The functions that the upgrade of the tenant seal of ${tenantSetting} replaced are not known any more.`,
          `They were the comment on schema ${sealObjectsOf(tenantSetting).schema}. Restore it, or stay with the functions that are there.`,
        );
      }
      for (const { signature, definition, comment } of former) {
        await runAll(queryRunner, [
          definition,
          commentOnSealFunctionSql(signature, comment === null ? undefined : quoteLiteral(comment)),
        ]);
      }
      await keep(queryRunner, upgrades.slice(0, -1), tenantSetting);
    },
  );
}

async function functionsOf(queryRunner: QueryRunner, tenantSetting: string): Promise<FormerFunction[]> {
  const { currentTenant, readableTenants } = sealObjectsOf(tenantSetting);
  return (await queryRunner.query(
    `SELECT signature, pg_get_functiondef(to_regprocedure(signature)) AS definition,
       obj_description(to_regprocedure(signature), 'pg_proc') AS comment FROM unnest($1::text[]) AS signature`,
    [[currentTenant, readableTenants]],
  )) as FormerFunction[];
}

async function keep(queryRunner: QueryRunner, upgrades: Upgrades, tenantSetting: string): Promise<void> {
  const comment = upgrades.length === 0 ? undefined : quoteLiteral(COMMENT_PREFIX + JSON.stringify(upgrades));
  await queryRunner.query(commentOnSealSql(comment, tenantSetting));
}

async function upgradesOf(queryRunner: QueryRunner, tenantSetting: string): Promise<Upgrades> {
  const { schema } = sealObjectsOf(tenantSetting);
  const [{ comment }] = (await queryRunner.query(
    `SELECT obj_description(to_regnamespace($1), 'pg_namespace') AS comment`,
    [schema],
  )) as [{ comment: string | null }];
  if (comment === null) return [];
  try {
    if (comment.startsWith(COMMENT_PREFIX))
      return JSON.parse(comment.slice(COMMENT_PREFIX.length)) as Upgrades;
  } catch {
    // Said below.
  }
  throw new RlsConfigurationError(
    `Schema ${schema} has a comment of somebody else's: ${comment.slice(0, 100)}.`,
    'The former functions of the tenant seal are kept there. Restore that comment, or remove it.',
  );
}
