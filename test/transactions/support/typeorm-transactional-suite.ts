import {
  deleteDataSourceByName,
  runInTransaction,
  runOnTransactionCommit,
  runOnTransactionComplete,
  runOnTransactionRollback,
} from 'typeorm-transactional';
import { tenantContext } from '../../../libs/rls-tenants/src/context/tenant-context.js';
import { NoTenantContextError } from '../../../libs/rls-tenants/src/errors.js';
import { who } from '../../http/support/http-app.js';
import { A, B } from '../../support/notes.js';
import { letterOf, storedNotes, type TransactionalApp } from './notes-app.js';
import { itKeepsTenantsApart } from './propagation-suite.js';
import { startApp, stopApp } from './typeorm-transactional-app.js';

/** What holds for typeorm-transactional with either of its storage drivers. */
export function itWorksWithTypeOrmTransactional(): void {
  let started: TransactionalApp;

  beforeAll(async () => {
    started = await startApp('in dataSourceFactory');
  });
  afterAll(async () => {
    await stopApp(started);
    deleteDataSourceByName('default');
  });

  // Without this library too: see the suite of its order.
  itKeepsTenantsApart(() => started, 'own');

  describe('hooks', () => {
    /** Who a hook ran for, and whose rows it saw. */
    const hook = () => {
      let done: (seen: unknown) => void;
      const seen = new Promise((resolve) => (done = resolve));
      const run = () => {
        const name = letterOf(who());
        started.notes.raw().then(
          (rows) => done([name, [...new Set(rows.map(({ tenantId }) => letterOf(tenantId)))].sort()]),
          (error: unknown) => done([name, error]),
        );
      };
      return { seen, run };
    };

    it('run for the tenant whose context surrounds the transaction, two at once', async () => {
      const seen = await Promise.all(
        [A, B].map((tenantId) =>
          tenantContext(tenantId, async () => {
            const [committed, completed] = [hook(), hook()];
            await runInTransaction(async () => {
              runOnTransactionCommit(committed.run);
              runOnTransactionComplete(completed.run);
              await started.notes.add('hooked');
            });
            return [await committed.seen, await completed.seen];
          }),
        ),
      );
      expect(seen).toEqual([
        [
          ['A', ['A']],
          ['A', ['A']],
        ],
        [
          ['B', ['B']],
          ['B', ['B']],
        ],
      ]);
    });

    it('run for that tenant after a rollback too', async () => {
      const rolledBack = hook();
      await tenantContext(A, async () => {
        await expect(
          runInTransaction(async () => {
            runOnTransactionRollback(rolledBack.run);
            await started.notes.add('undone');
            throw new Error('no');
          }),
        ).rejects.toThrow('no');
      });
      expect(await rolledBack.seen).toEqual(['A', ['A']]);
      expect(await storedNotes(started)).not.toContain('A undone');
    });

    it('run for the transaction’s tenant, not for the one who added them in a nested context', async () => {
      const [added, bound] = [hook(), hook()];
      await tenantContext(A, () =>
        runInTransaction(() =>
          tenantContext(B, async () => {
            runOnTransactionCommit(added.run);
            runOnTransactionCommit(() => tenantContext(B, bound.run));
          }),
        ),
      );
      expect(await added.seen).toEqual(['A', ['A']]);
      expect(await bound.seen).toEqual(['B', ['B']]);
    });

    it('of a transaction that nobody opened run for nobody, and are refused', async () => {
      const added = hook();
      await runInTransaction(() => tenantContext(A, async () => runOnTransactionCommit(added.run)));
      expect(await added.seen).toEqual(['nobody', expect.any(NoTenantContextError)]);
    });
  });
}

/** The same under a seal. */
export function itKeepsSealedTenantsApart(): void {
  let started: TransactionalApp;
  beforeAll(async () => {
    started = await startApp('in dataSourceFactory', 'sealed');
  });
  afterAll(async () => {
    await stopApp(started);
    deleteDataSourceByName('default');
  });

  itKeepsTenantsApart(() => started, 'own', 'sealed');
}
