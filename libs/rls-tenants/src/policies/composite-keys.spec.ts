import { RlsConfigurationError } from '../errors.js';
import {
  addCompositeForeignKeySql,
  addCompositeUniqueSql,
  type CompositeForeignKey,
} from './composite-keys.js';

const key: CompositeForeignKey = {
  table: 'task',
  name: 'task_project_fk',
  columns: [{ column: 'project_id', referencedColumn: 'id' }],
  referencedTable: 'project',
};

describe('a composite foreign key', () => {
  it('pairs the tenant columns first', () => {
    expect(addCompositeForeignKeySql({ ...key, onDelete: 'CASCADE', referencedTenantColumn: 'org_id' })).toBe(
      'ALTER TABLE "task" ADD CONSTRAINT "task_project_fk" FOREIGN KEY ("tenant_id", "project_id") ' +
        'REFERENCES "project" ("org_id", "id") ON DELETE CASCADE ON UPDATE NO ACTION',
    );
  });

  it.each(['SET NULL', 'SET DEFAULT'] as const)('names the columns that ON DELETE %s sets', (onDelete) => {
    expect(addCompositeForeignKeySql({ ...key, onDelete })).toContain(
      `ON DELETE ${onDelete} ("project_id") ON UPDATE`,
    );
  });

  it.each(['SET NULL', 'SET DEFAULT'] as const)(
    'refuses ON UPDATE %s, which would set the tenant column',
    (onUpdate) => {
      expect(() => addCompositeForeignKeySql({ ...key, onUpdate })).toThrow(RlsConfigurationError);
    },
  );

  it('refuses an action that is none', () => {
    expect(() =>
      addCompositeForeignKeySql({ ...key, onDelete: 'CASCADE; DROP TABLE task' as 'CASCADE' }),
    ).toThrow(RlsConfigurationError);
  });

  it('refuses to be a key on the tenant alone', () => {
    expect(() => addCompositeForeignKeySql({ ...key, columns: [] })).toThrow(RlsConfigurationError);
  });
});

describe('a composite unique constraint', () => {
  it('begins with the tenant column', () => {
    expect(addCompositeUniqueSql({ table: 'task', name: 'task_uq', columns: ['id'] })).toBe(
      'ALTER TABLE "task" ADD CONSTRAINT "task_uq" UNIQUE ("tenant_id", "id")',
    );
  });

  it('refuses to be one on the tenant alone', () => {
    expect(() => addCompositeUniqueSql({ table: 'task', name: 'task_uq', columns: [] })).toThrow(
      RlsConfigurationError,
    );
  });
});
