import { fileURLToPath } from 'node:url';
import type { ContenderFile } from '../support/contender-process.js';

/** Who is measured, and against whom. */
export interface StatementContender extends ContenderFile {
  /** As tables and charts say it. */
  label: string;
  /** The contender it is compared with: the same ORM in the same version, without row-level security. */
  baseline: string;
  /** Measured through PgBouncer too. */
  pooled: boolean;
}

export const PLAIN = 'plain';
export const LIBRARY = 'rls-tenants';
export const SEALED = 'rls-tenants-sealed';

const file = (name: string) => fileURLToPath(new URL(`./contenders/${name}.contender.js`, import.meta.url));

/** What runs on the workspace's own packages. */
export const OWN_CONTENDERS: readonly StatementContender[] = [
  {
    name: PLAIN,
    label: 'TypeORM, explicit WHERE, no RLS',
    file: file('plain'),
    baseline: PLAIN,
    pooled: true,
  },
  { name: LIBRARY, label: 'nestjs-rls-tenants', file: file('rls-tenants'), baseline: PLAIN, pooled: true },
  {
    name: 'hand-written',
    label: 'TypeORM, hand-written BEGIN, set_config, COMMIT',
    file: file('hand-written'),
    baseline: PLAIN,
    pooled: true,
  },
];

/** The library with a seal, on tables whose policies ask for it. */
export const SEALED_CONTENDER: StatementContender = {
  name: SEALED,
  label: 'nestjs-rls-tenants, sealed',
  file: file('rls-tenants'),
  variant: 'sealed',
  baseline: PLAIN,
  pooled: true,
};
