import { DataSource } from 'typeorm';
import {
  addTransactionalDataSource,
  deleteDataSourceByName,
  initializeTransactionalContext,
} from 'typeorm-transactional';
import { tenantContext } from '../../libs/rls-tenants/src/context/tenant-context.js';
import { A, B } from '../support/notes.js';
import { letterOf, storedNotes } from './support/notes-app.js';
import { startApp, stopApp } from './support/typeorm-transactional-app.js';

// In this order: what initializeTransactionalContext() patches stays patched.
describe('initializeTransactionalContext() of typeorm-transactional', () => {
  it('that is never called keeps the application from starting', async () => {
    await expect(startApp('in dataSourceFactory')).rejects.toThrow(
      'please call initializeTransactionalContext()',
    );
    deleteDataSourceByName('default');
  });

  it('that comes after the application leaves its repositories out of transactions, and isolated', async () => {
    const started = await startApp('never');
    initializeTransactionalContext();
    addTransactionalDataSource(started.app.get(DataSource));
    const seen = await Promise.all(
      [A, B].map((tenantId) =>
        tenantContext(tenantId, async () => {
          await expect(
            started.transactions.REQUIRED(async () => {
              await started.notes.add('not undone');
              throw new Error('no');
            }),
          ).rejects.toThrow('no');
          return (await started.notes.find()).map((note) => `${letterOf(note.tenantId)} ${note.body}`).sort();
        }),
      ),
    );
    expect(seen).toEqual([
      ['A not undone', 'A seed'],
      ['B not undone', 'B seed'],
    ]);
    expect(await storedNotes(started)).toEqual(['A not undone', 'B not undone']);
    await stopApp(started);
  });
});
