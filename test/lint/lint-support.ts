import { lintMigrations, type LintReport } from '../../libs/rls-tenants/src/lint/index.js';

type Options = NonNullable<Parameters<typeof lintMigrations>[1]>;

/** Lints one file, by our own rules only. */
export function lintText(text: string, options: Options = {}): Promise<LintReport> {
  return lintMigrations([{ file: 'example.ts', text }], { squawk: false, ...options });
}

/** `rule:line:column` of each finding. */
export function places({ findings }: LintReport): string[] {
  return findings.map(({ ruleId, line, column }) => `${ruleId}:${line}:${column}`);
}

/** A migration whose `up` and `down` are these lines. `up` begins in line 3. */
export function migration(up: string, down = 'await queryRunner.query(`SELECT 1`);', members = ''): string {
  return `export class Example1760000000000 implements MigrationInterface {${members}
async up(queryRunner: QueryRunner): Promise<void> {
${up}
}
async down(queryRunner: QueryRunner): Promise<void> {
${down}
}
}
`;
}
