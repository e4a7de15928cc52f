import { places, lintText, migration } from './lint-support.js';

describe('the rules of squawk', () => {
  it('are run on each statement of up(), and mapped back to file, line and column', async () => {
    const report = await lintText(
      migration(
        'await queryRunner.query(`SELECT 1`);\nawait queryRunner.query(`\n  CREATE DOMAIN d\n  AS text CHECK (value > $$$$)`);',
        'await queryRunner.query(`DROP DATABASE d`);',
      ),
      { squawk: true },
    );
    expect(report.skipped).toEqual([]);
    expect(places(report)).toEqual(['squawk/ban-create-domain-with-constraint:5:3']);
    expect(report.findings[0]).toMatchObject({ severity: 'warning', file: 'example.ts' });
  });

  it('that this linter has its own version of are not reported twice', async () => {
    const up = `await queryRunner.query('CREATE INDEX a ON note (b)');
      await queryRunner.query('ALTER TABLE note ADD COLUMN c int NOT NULL');
      await queryRunner.query('ALTER TABLE note ADD CONSTRAINT d FOREIGN KEY (e) REFERENCES f (g)');
      await queryRunner.query('ALTER TABLE note ADD CONSTRAINT h UNIQUE (i)');
      await queryRunner.query('ALTER TABLE note RENAME COLUMN j TO k');
      await queryRunner.query('DROP INDEX l');
      await queryRunner.query('DROP TABLE m');`;
    const rules = (await lintText(migration(up), { squawk: true })).findings.map(({ ruleId }) => ruleId);
    expect(rules.filter((rule) => rule.startsWith('squawk/'))).toEqual([]);
    expect(new Set(rules)).toEqual(
      new Set(['MIG020', 'MIG035', 'MIG084', 'MIG030', 'MIG024', 'MIG040', 'MIG021', 'MIG011']),
    );
  });

  it('can be suppressed as ours are', async () => {
    const up = (comment: string) => migration(`${comment}\nawait queryRunner.query('DROP DATABASE d');`);
    expect(places(await lintText(up(''), { squawk: true }))).toEqual(['squawk/ban-drop-database:4:26']);
    const suppressed = await lintText(up('// rls-lint-ignore squawk/ban-drop-database: a copy'), {
      squawk: true,
    });
    expect(suppressed).toMatchObject({ findings: [], coverage: { suppressed: 1 } });
  });
});
